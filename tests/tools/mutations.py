"""Every column of every table that money or stock depends on, changed in one row of each kind, and the row deleted: which of it
does no check see?

The tables and columns are those of the models, so what is added later is looked at too.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import psycopg
from django.apps import apps
from django.db import connection, models
from psycopg import sql

from core import invariants
from core.errors import Refusal
from core.ids import uuid7
from core.invariants import Check
from sales import proof, selectors
from sales.formats import get_format, list_formats
from tests.tools.shop import NOW
from tests.tools.tamper import tamper

LONG = dt.timedelta(days=10)
PEERS = 2  # so many other values that stand in the same column, of rows of the same kind where there are any


@dataclass(frozen=True)
class Mutation:
    """One value of one row changed, or all of the row gone. `kind` is the row's, `way` is how: "other", "none", "later", …"""

    table: str
    column: str
    kind: str
    way: str
    was: Any
    to: Any
    statement: str

    @property
    def of(self) -> str:
        return f"{self.table}.{self.column}"

    def __str__(self) -> str:
        return f"{self.of} of {self.kind!r}, {self.way}: {self.was} → {self.to}"


# -- which there are


def mutations(left_out: Collection[str], kinds: dict[str, str]) -> Iterator[Mutation]:
    """`kinds` is table → SQL of a row's kind, where that is not the state of its sale."""
    for model in tables(left_out):
        yield from _of_table(model, kinds.get(model._meta.db_table) or _sale_state(model))


def tables(left_out: Collection[str]) -> list[type[models.Model]]:
    names = ["sales", *dict.fromkeys(format.app_label for format in list_formats()), "ledger", "payments"]
    found = [model for name in names for model in apps.get_app_config(name).get_models()]
    return [model for model in found if model._meta.db_table not in left_out]


def _sale_state(model: type[models.Model]) -> str:
    """SQL of the state of the sale that the row is of; of a table without one, all rows are of one kind."""
    names = {field.column for field in model._meta.concrete_fields}
    column = next((name for name in ("sale_id", "drop_id", "rally_id") if name in names), None)
    return f"(SELECT state FROM sales_sale WHERE id = row.{column})" if column else "'all'"


def _of_table(model: type[models.Model], kind: str) -> Iterator[Mutation]:
    table = model._meta.db_table
    fields = [field for field in model._meta.concrete_fields if field.column]
    names = ", ".join(f'row."{field.column}"' for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT row.ctid::text, {kind}, {names} FROM "{table}" AS row ORDER BY 2, row.ctid')
        rows = cursor.fetchall()
    assert rows, f"no row of {table} in this world"
    first_of_kind = {row[1]: row for row in reversed(rows)}
    for ctid, of_kind, *values in first_of_kind.values():
        deletion = sql.SQL("DELETE FROM {} WHERE ctid = {}").format(sql.Identifier(table), sql.Literal(ctid))
        yield Mutation(table, "*", str(of_kind), "gone", values[0], None, deletion.as_string(None))
        for number, (field, value) in enumerate(zip(fields, values, strict=True)):
            alike = [row[2 + number] for row in rows if row[1] == of_kind] + [row[2 + number] for row in rows]
            for way, to in _others(field, value, alike):
                statement = sql.SQL("UPDATE {} SET {} = {} WHERE ctid = {}").format(
                    sql.Identifier(table), sql.Identifier(field.column), sql.Literal(to), sql.Literal(ctid)
                )
                yield Mutation(table, field.column, str(of_kind), way, value, to, statement.as_string(None))


def _others(field: Any, value: Any, alike: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """What could stand there instead."""
    is_filled = value is not None
    if is_filled and field.null:
        yield "none", None
    peers = list(dict.fromkeys(each for each in alike if each is not None and each != value))[:PEERS]
    match field.get_internal_type():
        case "BooleanField":
            yield "not", not value
        case "DateTimeField":
            yield from [("later", value + LONG), ("earlier", value - LONG)] if is_filled else [("filled", NOW)]
        case "IntegerField" | "BigIntegerField":
            yield from [("more", value + 1), ("less", value - 1)] if is_filled else [("filled", 1)]
        case "CharField" | "TextField" | "SlugField":
            choices = [each for each, _ in field.choices or []] or [*peers, f"{value or ''}x"]
            yield from (("other", choice) for choice in choices if choice != value)
        case _:  # a UUID, or a reference by one
            yield from (("peer" if is_filled else "filled", peer) for peer in peers)
            yield "unknown" if is_filled else "filled", uuid7()


# -- which are seen


class Eyes:
    """All that `manage.py check_invariants` looks at, beginning with what is likely to see a change: the checks that saw others
    of its column, on the sale that was changed before."""

    def __init__(self) -> None:
        self._saw: Counter[str] = Counter()
        self._saw_of: defaultdict[str, set[str]] = defaultdict(set)
        self._where: dict[str, Any] = {}

    def see(self, mutation: Mutation) -> str | None:
        """What sees it: the check's name, or what refuses it before; None when nothing does."""
        try:
            with tamper(mutation.statement):
                return self._look(mutation.of)
        except (psycopg.IntegrityError, psycopg.DataError, Refusal) as refused:
            return type(refused).__name__

    def _look(self, column: str) -> str | None:
        def rank(look: tuple[Check, dict[str, Any]]) -> tuple[bool, bool, int]:
            check, where = look
            return check.name not in self._saw_of[column], where != self._where, -self._saw[check.name]

        for check, where in sorted(_all_checks(), key=rank):
            if not _holds(check, where):
                self._saw[check.name] += 1
                self._saw_of[column].add(check.name)
                self._where = where
                return check.name
        return None


def _all_checks() -> Iterator[tuple[Check, dict[str, Any]]]:
    for sale in selectors.published_sales():
        for check in get_format(sale.format).checks:
            yield check, {"sale_id": sale.id}
    for check in proof.BOOKS_CHECKS:
        yield check, {}


def _holds(check: Check, parameters: dict[str, Any]) -> bool:
    with connection.cursor() as cursor:
        return invariants.run(check, parameters, cursor).holds


@dataclass
class Found:
    """What became of all changes."""

    unseen: list[Mutation]
    seen: list[Mutation]  # the first of each table that a check sees
    allowed: dict[str, Mutation | None]  # pattern → a change that it allows and that nothing sees


def look_at(changes: Iterator[Mutation], may_go_unseen: Collection[str]) -> Found:
    """`may_go_unseen` are patterns of changes as they are written. One change of each is looked at, to see whether it is needed."""
    eyes, seen = Eyes(), dict[str, Mutation]()
    found = Found([], [], dict.fromkeys(may_go_unseen))
    for change in changes:
        allowing = [pattern for pattern in may_go_unseen if fnmatchcase(str(change), pattern)]
        if allowing and all(found.allowed[pattern] for pattern in allowing):
            continue
        name = eyes.see(change)
        if name is None:
            found.allowed |= dict.fromkeys(allowing, change)
            found.unseen += [] if allowing else [change]
        elif name.islower():
            seen.setdefault(change.table, change)
    found.seen = list(seen.values())
    return found
