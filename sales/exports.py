"""Lists as files, a sale's purchases and others, for a packing list or a spreadsheet: read page by page, so that no size of a sale
fills the memory or holds a transaction open."""

from __future__ import annotations

import csv
import datetime as dt
import io
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import StreamingHttpResponse
from django.utils import translation

from accounts.selectors import addresses
from core.money import Money, amount_text
from sales.formats import Format
from sales.mine import shown
from sales.models import Sale
from sales.things import Things

ROWS_AT_ONCE = 500
BYTES_AT_ONCE = 64 * 1024
COLUMNS = (
    "number", "fan", "e-mail", "units", "unit price", "total", "currency", "state", "placed (UTC)", "held until (UTC)", "paid",
    "refunded",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rows_of(format: Format, things: Things[Any], sale: Sale, *, emails: bool) -> Iterator[list[Any]]:
    """A line for each purchase, the newest first. E-mail addresses only for whom they are meant for."""
    cursor: str | None = ""
    while cursor is not None:
        page = things.page_of_sale(sale.id, cursor, size=ROWS_AT_ONCE)
        bought = shown(format, page.rows)
        found = addresses([row.record.fan_id for row in bought]) if emails else {}
        for row in bought:
            with translation.override(settings.LANGUAGE_CODE):  # programs read it, as they do the names of its columns
                state = row.words
            yield [
                str(row.record.id), row.fan, found.get(row.record.fan_id, ""), row.record.quantity, row.price, row.whole,
                sale.currency, state, row.at, row.held_until, row.paid, row.refunded,
            ]  # fmt: skip
        cursor = page.next


def as_csv(rows: Iterator[list[Any]], name: str, columns: Sequence[str] = COLUMNS) -> StreamingHttpResponse:
    return _streamed(_lines(rows, columns), "text/csv; charset=utf-8", f"{name}.csv")


async def _lines(rows: Iterator[list[Any]], columns: Sequence[str]) -> AsyncIterator[bytes]:
    yield b"\xef\xbb\xbf"  # or spreadsheets take it for another encoding
    yield _line(columns)
    while lines := await sync_to_async(_some)(rows):
        yield b"".join(_line([_text(value) for value in line]) for line in lines)


def _some(rows: Iterator[list[Any]]) -> list[list[Any]]:
    return list(islice(rows, ROWS_AT_ONCE))


def _line(values: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(values)
    return out.getvalue().encode()


def _text(value: Any) -> str:
    """As it stands in a cell. What a spreadsheet would take for a formula begins with an apostrophe."""
    if isinstance(value, Money):
        return amount_text(value.minor, value.currency)
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def as_xlsx(rows: Iterator[list[Any]], name: str, columns: Sequence[str] = COLUMNS) -> StreamingHttpResponse:
    """Money and times are numbers in it, so that it can add them up."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return _streamed(_workbook(rows, columns), kind, f"{name}.xlsx")


async def _workbook(rows: Iterator[list[Any]], columns: Sequence[str]) -> AsyncIterator[bytes]:
    with tempfile.TemporaryFile() as file:
        await sync_to_async(_write)(rows, columns, file)
        file.seek(0)
        while part := await sync_to_async(file.read)(BYTES_AT_ONCE):
            yield part


def _write(rows: Iterator[list[Any]], columns: Sequence[str], file: Any) -> None:
    with xlsxwriter.Workbook(
        file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    ) as book:
        sheet = book.add_worksheet()
        bold, time = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        sheet.write_row(0, 0, columns, bold)
        sheet.set_column(0, len(columns) - 1, 18)
        for number, line in enumerate(rows, start=1):
            for column, value in enumerate(line):
                if isinstance(value, Money):
                    sheet.write_number(number, column, float(amount_text(value.minor, value.currency)))
                elif isinstance(value, dt.datetime):
                    sheet.write_datetime(number, column, value.astimezone(dt.UTC).replace(tzinfo=None), time)
                elif isinstance(value, int):
                    sheet.write_number(number, column, value)
                else:
                    sheet.write_string(number, column, "" if value is None else str(value))


FILES = {"csv": as_csv, "xlsx": as_xlsx}


def _streamed(parts: AsyncIterator[bytes], kind: str, name: str) -> StreamingHttpResponse:
    answer = StreamingHttpResponse(parts, content_type=kind)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
