"""A table that lanes write, described once by its struct: the columns of its SELECT, its INSERT and its guarded UPDATE."""

from __future__ import annotations

import datetime as dt
import types
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_args
from uuid import UUID

import msgspec

from core.sql import Statement, array

S = TypeVar("S", bound=msgspec.Struct)

_TYPES = {UUID: "uuid", int: "bigint", str: "text", bool: "boolean", dt.datetime: "timestamptz"}


class HotTable(Generic[S]):
    """`struct`'s fields are the table's columns, in its order; `renamed` says where a column is called otherwise.

    `same` are fields that all rows of one batch agree in (the sale, its terms): they are sent once. `also` are columns that the
    database fills in, as SQL.
    """

    def __init__(
        self,
        name: str,
        struct: type[S],
        *,
        key: Sequence[str] = ("id",),
        same: Sequence[str] = (),
        renamed: Mapping[str, str] | None = None,
        also: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.struct = struct
        self.key = key
        self.same = same
        self._also = also or {}
        self._types = {field.name: _sql_type(field.type) for field in msgspec.structs.fields(struct)}
        self._columns = {field: (renamed or {}).get(field, field) for field in self._types}
        self._each = [field for field in self._types if field not in same]
        self._insert = self._insert_sql()
        # For SELECT, with the table's name, so that it can stand in a join.
        self.columns = ", ".join(f"{name}.{column}" for column in self._columns.values())
        self.width = len(self._columns)

    def index(self, field: str) -> int:
        """Where the field stands in a row of `SELECT {columns}`."""
        return list(self._columns).index(field)

    def read(self, rows: Iterable[Sequence[Any]]) -> list[S]:
        """Structs from rows of `SELECT {columns}`."""
        struct = self.struct
        return [struct(*row) for row in rows]

    def insert(self, rows: Sequence[S]) -> list[Statement]:
        """One statement for all rows; none for none."""
        if not rows:
            return []
        return [Statement(self._insert, [*self._shared(rows), *_arrays(rows, self._each)], rows=len(rows))]

    def update(
        self, rows: Sequence[S], was: Sequence[S], *, changed: tuple[str, ...], guard: tuple[str, ...]
    ) -> list[Statement]:
        """Write `changed` of each row, if the row still has the `guard` of what it `was`; none for none."""
        if not rows:
            return []
        each_key = [field for field in self.key if field in self._each]
        params = [*_arrays(rows, each_key), *_arrays(was, guard), *_arrays(rows, changed)]
        params += [getattr(rows[0], field) for field in self.key if field in self.same]
        return [Statement(_update_sql(self, changed, guard), params, rows=len(rows))]

    def _shared(self, rows: Sequence[S]) -> list[Any]:
        shared = []
        for field in self.same:
            value = getattr(rows[0], field)
            assert all(getattr(row, field) == value for row in rows), field
            shared.append(value)
        return shared

    def _insert_sql(self) -> str:
        columns = [*(self._columns[field] for field in (*self.same, *self._each)), *self._also]
        values = ["%s"] * len(self.same) + ["*", *self._also.values()]
        arrays = ", ".join(f"%s::{self._types[field]}[]" for field in self._each)
        return f"INSERT INTO {self.name} ({', '.join(columns)}) SELECT {', '.join(values)} FROM unnest({arrays})"  # noqa: S608


@cache
def _update_sql(table: HotTable[Any], changed: tuple[str, ...], guard: tuple[str, ...]) -> str:
    columns, types_of = table._columns, table._types
    each_key = [field for field in table.key if field in table._each]
    named = [*each_key, *(f"was_{field}" for field in guard), *(f"new_{field}" for field in changed)]
    arrays = ", ".join(f"%s::{types_of[field]}[]" for field in (*each_key, *guard, *changed))
    sets = ", ".join(f"{columns[field]} = given.new_{field}" for field in changed)
    wheres = [f"held.{columns[field]} = given.{field}" for field in each_key]
    wheres += [f"held.{columns[field]} = given.was_{field}" for field in guard]
    wheres += [f"held.{columns[field]} = %s" for field in table.key if field in table.same]
    given = f"unnest({arrays}) AS given ({', '.join(named)})"
    return f"UPDATE {table.name} AS held SET {sets} FROM {given} WHERE {' AND '.join(wheres)}"  # noqa: S608  # our own names


def _arrays(rows: Sequence[Any], fields: Iterable[str]) -> list[Any]:
    return [array(map(attrgetter(field), rows)) for field in fields]


def _sql_type(annotation: Any) -> str:
    """The SQL type of a field: of `UUID | None` as of `UUID`."""
    options = get_args(annotation) if isinstance(annotation, types.UnionType) else [annotation]
    (known,) = [option for option in options if option is not type(None)]
    return _TYPES[known]
