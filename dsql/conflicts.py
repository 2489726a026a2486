"""Which of several new rows meet a unique key that is taken, in the table or by an earlier one of them.

The database compares, not Python: case, padding of decimals and expressions are its own affair.
"""

# The stubs leave out the private half of Django's models.
# mypy: disable-error-code="attr-defined, misc"

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import AutoField, CompositePrimaryKey, F, UniqueConstraint
from django.db.models.expressions import OrderBy
from django.db.models.sql import Query

# `given` are the new rows; each key adds one SELECT, whose rows say which new row has a key that is taken, and which
# has the same key as an earlier new row.
_ASK_SQL = """
WITH given AS (SELECT * FROM UNNEST({arrays}) AS given ({columns}))
SELECT dsql_key, dsql_row, dsql_first, dsql_taken FROM ({keys}) AS found WHERE dsql_taken OR dsql_first <> dsql_row
"""
_KEY_SQL = """
SELECT {number} AS dsql_key, dsql_row, MIN(dsql_row) OVER (PARTITION BY {news}) AS dsql_first,
    stored.dsql_there IS NOT NULL AS dsql_taken
FROM (SELECT dsql_row, {new_parts} FROM given{condition}) AS new
LEFT JOIN (SELECT {stored_parts}, TRUE AS dsql_there FROM {table}{condition}) AS stored ON {match}{nulls}
"""


class CannotCompare(Exception):
    """Nothing is known, or not enough, about the unique keys of these rows."""


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A unique key as SQL with its parameters: its parts, and the condition that rows must meet to be in it."""

    fields: tuple[Any, ...]
    parts: tuple[tuple[str, tuple[Any, ...]], ...]
    condition: tuple[str, tuple[Any, ...]] = ("", ())
    nulls_are_distinct: bool = True


def unique_keys(model: Any, given: Sequence[Any], connection: Any) -> list[UniqueKey]:
    """The keys that rows of `model` with values for the fields `given` can meet. Raises CannotCompare.

    A key that the database counts up is in none: no other row has it.
    """
    keys = [key for key in _keys_of(model._meta.concrete_model, connection) if not _is_counted(key, given)]
    if not keys:
        raise CannotCompare(f"{model} has no unique key that rows like these can meet")
    for field in (field for key in keys for field in key.fields):
        target = field.target_field if field.is_relation else field
        # The same that Django asks of values it sends as arrays.
        if hasattr(field, "get_placeholder") or target.get_internal_type() not in connection.data_types:
            raise CannotCompare(f"{field} cannot be sent in an array")
        if field not in given:
            raise CannotCompare(f"{field} gets its value in the database")
    return keys


def rows_without_conflict(
    connection: Any, table: str, keys: Sequence[UniqueKey], columns: Mapping[Any, Sequence[Any]]
) -> list[int]:
    """The numbers, from 0, of the rows that can be inserted one after the other; `columns` are their values."""
    count = len(next(iter(columns.values())))
    taken: dict[int, set[int]] = defaultdict(set)  # by the number of a row: the keys of it that are taken
    firsts: dict[int, dict[int, int]] = defaultdict(dict)  # ... and the first new row with the same key
    with connection.cursor() as cursor:
        cursor.execute(*_question(connection, table, keys, columns, count))
        for key, row, first, is_taken in cursor.fetchall():
            firsts[row][key] = first
            if is_taken:
                taken[row].add(key)
    kept = []
    occupied: set[tuple[int, int]] = set()
    for row in range(count):
        own = [(key, firsts[row].get(key, row)) for key in range(len(keys))]
        # Not simply "there is an earlier row with this key": that one may be left out itself, for another key.
        if not taken[row] and occupied.isdisjoint(own):
            kept.append(row)
            occupied.update(own)
    return kept


def _question(
    connection: Any, table: str, keys: Sequence[UniqueKey], columns: Mapping[Any, Sequence[Any]], count: int
) -> tuple[str, list[Any]]:
    quote = connection.ops.quote_name
    params: list[Any] = [list(range(count)), *map(list, columns.values())]
    selects = []
    for number, key in enumerate(keys):
        sql, key_params = _key_question(number, key, quote(table))
        selects.append(sql)
        params += key_params
    arrays = ", ".join(["%s::bigint[]", *(f"%s::{_array_type(field, connection)}[]" for field in columns)])
    names = ", ".join(["dsql_row", *(quote(field.column) for field in columns)])
    return _ASK_SQL.format(arrays=arrays, columns=names, keys=" UNION ALL ".join(selects)), params


def _key_question(number: int, key: UniqueKey, table: str) -> tuple[str, list[Any]]:
    numbers = range(len(key.parts))
    condition, condition_params = key.condition
    params = [param for _, part_params in key.parts for param in part_params] + list(condition_params)
    equal = "=" if key.nulls_are_distinct else "IS NOT DISTINCT FROM"
    sql = _KEY_SQL.format(
        number=number,
        table=table,
        news=", ".join(f"new.k{n}" for n in numbers),
        new_parts=", ".join(f"{part} AS k{n}" for n, (part, _) in enumerate(key.parts)),
        stored_parts=", ".join(f"{part} AS s{n}" for n, (part, _) in enumerate(key.parts)),
        condition=f" WHERE {condition}" if condition else "",
        match=" AND ".join(f"stored.s{n} {equal} new.k{n}" for n in numbers),
        nulls=" WHERE " + " AND ".join(f"new.k{n} IS NOT NULL" for n in numbers) if key.nulls_are_distinct else "",
    )
    return sql, params * 2  # once for the new rows, once for the stored ones


def _array_type(field: Any, connection: Any) -> str:
    return field.db_type(connection).split("(")[0]  # without a size, which would cut values short


# -- the keys of a model


def _keys_of(model: Any, connection: Any) -> Iterator[UniqueKey]:
    options = model._meta
    key = options.pk
    groups = [tuple(key.fields) if isinstance(key, CompositePrimaryKey) else (key,)]
    groups += [(field,) for field in options.local_concrete_fields if field.unique and not field.primary_key]
    groups += [tuple(map(options.get_field, names)) for names in options.unique_together]
    for fields in groups:
        yield _plain_key(fields, connection)
    for constraint in options.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield _key_of_constraint(model, constraint, connection)


def _plain_key(fields: Sequence[Any], connection: Any) -> UniqueKey:
    return UniqueKey(tuple(fields), tuple((connection.ops.quote_name(field.column), ()) for field in fields))


def _key_of_constraint(model: Any, constraint: Any, connection: Any) -> UniqueKey:
    """As the schema editor writes it: with the names of columns alone, which then stand for either kind of rows."""
    query = Query(model, alias_cols=False)
    compiler = query.get_compiler(connection=connection)
    parts = [F(name) for name in constraint.fields] or [_unordered(part) for part in constraint.expressions]
    compiled = [compiler.compile(part.resolve_expression(query)) for part in parts]
    condition = ("", ())
    names = {name for part in parts for name in _names_in(model, part)}
    if constraint.condition is not None:
        sql, params = compiler.compile(query.build_where(constraint.condition))
        condition = (sql, tuple(params))
        names |= _names_in(model, constraint.condition)
    return UniqueKey(
        fields=tuple(field for name in sorted(names) for field in _fields_named(model, name)),
        parts=tuple((sql, tuple(params)) for sql, params in compiled),
        condition=condition,
        nulls_are_distinct=constraint.nulls_distinct is not False,
    )


def _unordered(expression: Any) -> Any:
    return expression.expression if isinstance(expression, OrderBy) else expression


def _names_in(model: Any, expression: Any) -> set[str]:
    return {reference[0] for reference in model._get_expr_references(expression)}


def _fields_named(model: Any, name: str) -> tuple[Any, ...]:
    key = model._meta.pk
    if name == "pk":
        return tuple(key.fields) if isinstance(key, CompositePrimaryKey) else (key,)
    return (model._meta.get_field(name),)


def _is_counted(key: UniqueKey, given: Sequence[Any]) -> bool:
    return any(isinstance(field, AutoField) and field not in given for field in key.fields)
