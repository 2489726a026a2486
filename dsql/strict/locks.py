"""FOR UPDATE that leaves a trace.

On DSQL a row locked FOR UPDATE counts as written: of two transactions that locked one guard row, the later to commit
is refused. On PostgreSQL the lock is gone with the first COMMIT, and a second transaction with an older snapshot
would lock the row and go on with what it had read. So each row that a query locked gets a new version that says the
same, and PostgreSQL then refuses the older snapshot itself.

Covered is what locks rows at the top of a query without WITH. FOR KEY SHARE leaves no trace.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import postgast
import psycopg

_POSITIONAL = re.compile(r"%%|%[sbt]")
_FIRST_COLUMN_SQL = """
    SELECT quote_ident(a.attname) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE a.attrelid = %s::regclass AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
        AND a.attgenerated = '' AND a.attidentity <> 'a'
    ORDER BY a.attnum LIMIT 1
"""
_TOUCH_SQL = (
    "UPDATE {table} AS touched SET {column} = touched.{column} "
    "WHERE touched.ctid = ANY (ARRAY(SELECT {alias}.ctid {tail}))"
)

_first_columns: dict[tuple[Any, ...], str | None] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class RowLocks:
    """The tables whose rows a query locks, as (quoted name, quoted alias), and its text from FROM on.

    `skipped` is how many positional parameters come before that.
    """

    tables: tuple[tuple[str, str], ...]
    tail: str
    skipped: int


def find_row_locks(select: Any, text: str) -> RowLocks | None:
    """What the query in `text`, parsed as `select`, locks FOR UPDATE; None when nothing, or when it is not covered."""
    clauses = [node.locking_clause for node in select.locking_clause]
    if not clauses or select.HasField("with_clause") or _orders_by_output(select):
        return None
    wanted = {relation.range_var.relname for clause in clauses for relation in clause.locked_rels}
    names = [_names(relation) for source in select.from_clause for relation in _relations(source)]
    tables = tuple((name, alias) for name, alias in names if not wanted or alias.strip('"') in wanted)
    start = _position_of_from(text)
    if not tables or start is None:
        return None
    skipped = sum(match[0] != "%%" for match in _POSITIONAL.finditer(text[:start]))
    return RowLocks(tables, text[start:].rstrip().rstrip(";"), skipped)


def touch(connection: psycopg.Connection[Any], locks: RowLocks, params: Any) -> None:
    """Give each locked row a new version. The caller has just run the query itself, with `params`."""
    if isinstance(params, Sequence):
        params = params[locks.skipped :]
    for table, alias in locks.tables:
        if column := _first_column(connection, table):
            sql = _TOUCH_SQL.format(table=table, alias=alias, column=column, tail=locks.tail)
            psycopg.ClientCursor(connection).execute(sql, params)


def forget_columns() -> None:
    """Columns may have changed: ask the catalog again."""
    with _lock:
        _first_columns.clear()


def _first_column(connection: psycopg.Connection[Any], table: str) -> str | None:
    info = connection.info
    key = (info.host, info.port, info.dbname, table)
    if key not in _first_columns:
        rows = psycopg.ClientCursor(connection).execute(_FIRST_COLUMN_SQL, [table]).fetchall()
        with _lock:
            _first_columns[key] = rows[0][0] if rows else None
    return _first_columns.get(key)


def _relations(source: Any) -> Iterator[Any]:
    kind = source.WhichOneof("node")
    if kind == "range_var":
        yield source.range_var
    elif kind == "join_expr":
        yield from _relations(source.join_expr.larg)
        yield from _relations(source.join_expr.rarg)


def _names(relation: Any) -> tuple[str, str]:
    parts = [part for part in (relation.schemaname, relation.relname) if part]
    alias = relation.alias.aliasname or relation.relname
    return ".".join(map(_quoted, parts)), _quoted(alias)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _orders_by_output(select: Any) -> bool:
    """Whether ORDER BY names an output of the query, which the touching statement does not have."""
    outputs = {target.res_target.name for target in select.target_list}
    for sort in select.sort_clause:
        node = sort.sort_by.node
        if node.HasField("a_const"):
            return True
        fields: Any = node.column_ref.fields if node.HasField("column_ref") else ()
        if len(fields) == 1 and fields[0].string.sval in outputs:
            return True
    return False


def _position_of_from(text: str) -> int | None:
    data = text.encode()
    depth = 0
    previous = ""
    for token in postgast.scan(text).tokens:
        word = data[token.start : token.end].decode().upper()
        depth += (word == "(") - (word == ")")
        if word == "FROM" and depth == 0 and previous != "DISTINCT":
            return len(data[: token.start].decode())
        previous = word
    return None
