"""Sizes of values, rows, keys and messages, from what a statement sent.

DSQL counts stored bytes, after a compression of its own; zlib stands in for that. Values that the server itself makes
(`repeat('x', 2000000)`, INSERT … SELECT), literals in the text, arrays that come written out as text and the values of
executemany are not seen, nor is a key made too large by several values that are each small.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Json, Jsonb

from dsql.strict import catalog
from dsql.strict.refusals import LIMIT_EXCEEDED, Refusal

VALUE_BYTES_MAX = 1024 * 1024
ROW_BYTES_MAX = 2 * 1024 * 1024
MESSAGE_BYTES_MAX = 10 * 1024 * 1024
KEY_BYTES_MAX = 1_981  # seen on a cluster; the manual promises 1 KiB
# No value of a smaller message can be too large for anything, so that is all the ordinary statement is asked.
CLOSER_LOOK_BYTES = 1_900
UTF8_BYTES_MAX = 4  # of one character
PROTOCOL_VIOLATION = "08P01"
KEY_TOO_LARGE = Refusal(LIMIT_EXCEEDED, "key size too large")
# Bytes travel as hexadecimal digits in a text that the client fills in; below this the difference does not matter.
_HEX_MATTERS_BYTES = 16 * 1024
# Never wide; most of what is sent.
_NARROW = frozenset({NoneType, bool, int, float, Decimal, UUID, date, datetime, time, timedelta})


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """The table that an INSERT or UPDATE writes (quoted), and the columns it names; none are all of them."""

    table: str
    columns: tuple[str, ...]


def message_bytes(cursor: Any) -> int:
    """The size of the message that `cursor` sent last."""
    sent = cursor._query
    if sent is None:
        return 0
    if _binds_on_client(cursor):
        return len(sent.query)  # the values are in the text
    return len(sent.query) + sum(len(value) for value in sent.params or () if value is not None)


def written_bytes(cursor: Any) -> int:
    """An estimate of what the statement that `cursor` sent last adds to its transaction."""
    size_bytes = message_bytes(cursor)
    if size_bytes > _HEX_MATTERS_BYTES and _binds_on_client(cursor):
        binary = [value for value in cursor._query.params or () if value and value.startswith(b"'\\x")]
        size_bytes -= sum(map(len, binary)) // 2
    return size_bytes


def _binds_on_client(cursor: Any) -> bool:
    return isinstance(cursor, psycopg.ClientCursor)


def refuse_message(size_bytes: int) -> Refusal | None:
    """Why DSQL would not read a message of `size_bytes`, or None. It may also just close the connection."""
    if size_bytes <= MESSAGE_BYTES_MAX:
        return None
    return Refusal(PROTOCOL_VIOLATION, f"message size limit of {MESSAGE_BYTES_MAX} bytes exceeded")


def refuse_values(
    connection: Any, targets: Sequence[WriteTarget], params: Any, rows: int, *, takes_arrays: bool
) -> Refusal | None:
    """Why DSQL would not store `params`, or None. The statement has just written `rows` rows to `targets`.

    `takes_arrays` says that it casts something to an array, so that a text in braces is not a value.
    """
    given = list(params.values()) if isinstance(params, Mapping) else list(params or ())
    if takes_arrays:
        given = [param for param in given if not (type(param) is str and param.startswith("{"))]
    wide = list(_wide_values(given))
    if not wide:
        return None
    if any(len(value) > VALUE_BYTES_MAX and _stored_bytes(value) > VALUE_BYTES_MAX for value in wide):
        return Refusal(LIMIT_EXCEEDED, f"datatype limit greater than {VALUE_BYTES_MAX} bytes")
    if sum(map(len, wide)) > ROW_BYTES_MAX and any(_row_bytes(row) > ROW_BYTES_MAX for row in _rows(given, rows)):
        return Refusal(LIMIT_EXCEEDED, f"row size greater than {ROW_BYTES_MAX} bytes not supported")
    return KEY_TOO_LARGE if any(_key_is_too_large(connection, target, wide) for target in targets) else None


def is_key_too_large(error: psycopg.Error) -> bool:
    """Whether PostgreSQL itself found the key too large; its own limit is about 2,700 bytes."""
    return (error.diag.message_primary or "").startswith(("index row size", "index row requires"))


def _wide_values(params: Sequence[Any]) -> Iterator[bytes]:
    """The text, binary and JSON values in `params` that need a closer look, as bytes; arrays are taken apart."""
    for param in params:
        if type(param) in _NARROW:
            continue
        if isinstance(param, str):
            if len(param) * UTF8_BYTES_MAX >= CLOSER_LOOK_BYTES and len(data := _encoded(param)) >= CLOSER_LOOK_BYTES:
                yield data
        elif isinstance(param, (bytes, bytearray, memoryview)):
            if len(param) >= CLOSER_LOOK_BYTES:
                yield bytes(param)
        elif isinstance(param, (Json, Jsonb)):
            dumped = (param.dumps or json.dumps)(param.obj)
            if len(data := _encoded(dumped)) >= CLOSER_LOOK_BYTES:
                yield data
        elif isinstance(param, (list, tuple)) and _may_be_wide(param):
            yield from _wide_values(param)


def _may_be_wide(array: Sequence[Any]) -> bool:
    """Whether an element could need a closer look. Arrays of ids and numbers are the ordinary ones, and long."""
    first = next((element for element in array if element is not None), None)
    return isinstance(first, (str, bytes, bytearray, memoryview, Json, Jsonb, list, tuple))


def _encoded(text: str | bytes) -> bytes:
    return text.encode(errors="replace") if isinstance(text, str) else text


def _rows(params: list[Any], rows: int) -> Iterator[Sequence[Any]]:
    """`params` row by row: of an INSERT from arrays, of one with many rows of VALUES, or of a single row."""
    columns = [param for param in params if isinstance(param, (list, tuple))]
    if columns:
        yield from zip(*columns, strict=False)
    elif rows <= 1:
        yield params
    elif len(params) % rows == 0:
        width = len(params) // rows
        yield from (params[start : start + width] for start in range(0, len(params), width))


def _row_bytes(row: Sequence[Any]) -> int:
    return sum(_stored_bytes(value) for value in _wide_values(row))


def _stored_bytes(value: bytes) -> int:
    """What DSQL would store, more or less: it compresses, except where that makes things larger."""
    return min(len(value), len(zlib.compress(value, level=1)))


def _key_is_too_large(connection: Any, target: WriteTarget, wide: list[bytes]) -> bool:
    """Whether one of the `wide` values is now in a key of the table that is too large."""
    for key in catalog.wide_keys(connection, target.table):
        if target.columns and key.column not in target.columns:
            continue
        values = wide if key.is_binary else [value.decode(errors="replace") for value in wide]
        column = '"' + key.column.replace('"', '""') + '"'
        row = psycopg.ClientCursor(connection).execute(
            f"SELECT EXISTS (SELECT FROM {target.table} "  # noqa: S608
            f"WHERE {column.replace('%', '%%')} = ANY (%s) AND {key.size_sql.replace('%', '%%')} > {KEY_BYTES_MAX})",
            [values],
        )
        if row.fetchone() == (True,):
            return True
    return False
