"""A fan's pages that are the same for every format: what they have in its sales, and a receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from core import clock, paging
from core.errors import NotFound
from core.http import user_id
from core.paging import Page, cursor_of
from pictures.selectors import Shown as Picture
from pictures.selectors import pictures_of
from sales.bought import BoughtRow, with_refunds
from sales.formats import Format, get_format, list_formats
from sales.paper import receipt_pdf
from sales.things import Things


@dataclass(frozen=True, slots=True)
class Shelf:
    """A page of one kind of things. `param` is the name of its cursor in the address."""

    things: Things[Any]
    page: Page[BoughtRow]
    param: str


def shelf(format: Format, things: Things[Any], page: Page[Any]) -> Shelf:
    return Shelf(things, page.map(lambda rows: shown(format, rows)), param_of(format, things))


def param_of(format: Format, things: Things[Any]) -> str:
    """`after`, and for a format's second kind of things `after-1`."""
    number = list(format.things).index(things)
    return f"after-{number}" if number else "after"


def shown(format: Format, records: Any) -> list[BoughtRow]:
    return list(with_refunds(format.presenter.rows(records, clock.now())))


@dataclass(frozen=True, slots=True)
class Mine:
    """Something a fan has, with what its line needs beside its row."""

    row: BoughtRow
    things: Things[Any]
    format: Format
    picture: Picture | None

    @property
    def url(self) -> str:
        return reverse(self.things.page, args=[self.row.record.id])


@require_safe
@login_required
def mine(request: HttpRequest, format_name: str = "") -> HttpResponse:
    """What the fan has in sales, the newest first: of all formats, or of one."""
    formats = [get_format(format_name)] if format_name else list_formats()
    page = page_of_mine(user_id(request), formats, cursor_of(request))
    context = {"page": page, "chosen": formats[0] if format_name else None, "now": clock.now()}
    return render(request, "sales/mine.html", context)


def page_of_mine(fan_id: UUID, formats: Sequence[Format], cursor: str) -> Page[Mine]:
    """What the fan has, the newest first: one list over things of several kinds, whose ids all grow with time. From each come as
    many as the page could take."""
    found: list[tuple[Any, Things[Any], Format]] = []
    is_more = False
    for format in formats:
        for things in format.things:
            page = things.page_of_fan(fan_id, cursor)
            found += [(record, things, format) for record in page.rows]
            is_more |= page.next is not None
    found.sort(key=lambda each: each[0].id, reverse=True)
    kept = found[: paging.PAGE_ROWS]
    is_more |= len(found) > len(kept)
    rows = {
        row.record.id: row
        for format in formats
        for things in format.things
        for row in shown(format, [record for record, kind, _place in kept if kind is things])
    }
    pictures = pictures_of({row.sale.id for row in rows.values()})
    lines = [
        Mine(row, things, format, next(iter(pictures[row.sale.id]), None))
        for record, things, format in kept
        for row in [rows[record.id]]
    ]
    return Page(lines, str(kept[-1][0].id) if is_more else None)


@require_safe
@login_required
def receipt(request: HttpRequest, format_name: str, id: UUID) -> HttpResponse:
    things, row = _own(user_id(request), [get_format(format_name)], id)
    context = {
        "format": get_format(format_name), "sale": row.sale, "record": row.record, "row": row, "now": clock.now(),
        "proof_url": _proof_url(request, row),
    }  # fmt: skip
    return render(request, things.receipt, context)


@require_safe
@login_required
def receipt_on_paper(request: HttpRequest, id: UUID) -> HttpResponse:
    """The same, to keep: a PDF."""
    _format, row = _own(user_id(request), list_formats(), id)
    noun = _(get_format(row.sale.format).words.noun)
    pdf = receipt_pdf(row, noun=noun, proof_url=_proof_url(request, row), now=clock.now())
    answer = HttpResponse(pdf, content_type="application/pdf")
    answer["Content-Disposition"] = f'attachment; filename="receipt-{row.sale.slug}.pdf"'
    return answer


def _own(fan_id: UUID, formats: Sequence[Format], id: UUID) -> tuple[Things[Any], BoughtRow]:
    """One of the fan's own things. Raises NotFound, as its kind says it."""
    missing = NotFound()
    for format in formats:
        for things in format.things:
            try:
                (row,) = shown(format, [things.of_fan(fan_id, id)])
            except NotFound as error:
                missing = error
            else:
                return things, row
    raise missing


def _proof_url(request: HttpRequest, row: BoughtRow) -> str:
    return request.build_absolute_uri(f"{reverse('sales:proof', args=[row.sale.id])}?receipt={row.record.id}")
