"""FOR UPDATE that leaves a trace.

On DSQL a row locked FOR UPDATE counts as written: of two transactions that locked one guard row, the later to commit
is refused. On PostgreSQL the lock is gone with the first COMMIT, and a second transaction with an older snapshot
would lock the row and go on with what it had read. So each row that a query locks gets a new version that says the
same, and PostgreSQL then refuses the older snapshot itself. The touching statements travel in one text with the query.

A query that locks at its top is touched by its own text, which costs nothing to work out. FOR UPDATE anywhere else (in a
subquery, in or below WITH) is worked out from the final text of each execution, some 0.5 ms.

Gaps: a correlated subquery, a subquery that reads a WITH which writes, and rows that the query would pick differently
when asked twice (LIMIT without ORDER BY, random()) may be left untouched. FOR KEY SHARE leaves no trace: PostgreSQL
refuses a DELETE while the lock is held, but not one from an older snapshot after the locker has committed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import postgast
import psycopg

from dsql.strict.tree import enum_name, nodes, qualified_name, quoted

_POSITIONAL = re.compile(r"%%|%[sbt]")
_FIRST_COLUMN_SQL = """
    SELECT quote_ident(a.attname) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE a.attrelid = to_regclass(%s) AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
        AND a.attgenerated = '' AND a.attidentity <> 'a'
    ORDER BY a.attnum LIMIT 1
"""
_TOUCH_SQL = (
    "UPDATE {table} AS touched SET {column} = touched.{column} "
    "WHERE touched.ctid = ANY (ARRAY(SELECT {alias}.ctid {tail}))"
)
_TOUCH_FOUND_SQL = (
    "{ctes} UPDATE {table} AS touched SET {column} = touched.{column} "
    "WHERE touched.ctid = ANY (ARRAY(SELECT strict_ctid FROM ({found}) AS strict_found))"
)
_WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt"})

_first_columns: dict[tuple[Any, ...], str | None] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class RowLocks:
    """What a statement locks.

    `tables` are those it locks FOR UPDATE at its top, as (quoted name, quoted alias), and `tail` is its text from FROM
    on; `skipped` is how many positional parameters come before that. `is_deep` says that there is FOR UPDATE elsewhere.
    All of them are empty when it only locks FOR KEY SHARE.
    """

    tables: tuple[tuple[str, str], ...] = ()
    tail: str = ""
    skipped: int = 0
    is_deep: bool = False


def find_row_locks(statement: Any, text: str) -> RowLocks | None:
    """What the statement in `text`, parsed as `statement`, locks; None when nothing."""
    selects = [statement] if statement.DESCRIPTOR.name == "SelectStmt" else []
    selects += [node for kind, node in nodes(statement) if kind == "SelectStmt"]
    locking = [select for select in selects if select.locking_clause]
    for_update = [select for select in locking if _clauses_for_update(select)]
    if not locking:
        return None
    if not for_update:
        return RowLocks()
    start = _position_of_from(text)
    if (
        len(for_update) > 1
        or for_update[0] is not statement
        or start is None
        or statement.HasField("with_clause")
        or _orders_by_output(statement)
    ):
        return RowLocks(is_deep=True)
    skipped = sum(match[0] != "%%" for match in _POSITIONAL.finditer(text[:start]))
    return RowLocks(tuple(_locked_tables(statement)), text[start:].rstrip().rstrip(";"), skipped)


def touching_sql(connection: psycopg.Connection[Any], locks: RowLocks, params: Any) -> Iterator[str]:
    """Statements, with `params` in them, that give each row locked at the top of the query a new version."""
    if isinstance(params, Sequence):
        params = params[locks.skipped :]
    for table, alias in locks.tables:
        if column := _first_column(connection, table):
            sql = _TOUCH_SQL.format(table=table, alias=alias, column=column, tail=locks.tail)
            yield psycopg.ClientCursor(connection).mogrify(sql, params)


def deep_touching_sql(connection: psycopg.Connection[Any], text: str) -> Iterator[str]:
    """Statements that give the rows locked anywhere in the statement `text`, without placeholders, a new version."""
    parsed = postgast.parse(text)
    for statement in parsed.stmts:
        root = getattr(statement.stmt, statement.stmt.WhichOneof("node"))
        yield from _touch_below(connection, root, "")


def forget_columns() -> None:
    """Columns may have changed: ask the catalog again."""
    with _lock:
        _first_columns.clear()


def _touch_below(connection: Any, node: Any, ctes: str) -> Iterator[str]:
    """Touches for each query at or below `node`; `ctes` is the WITH of what is around it, as SQL."""
    if node.DESCRIPTOR.name == "SelectStmt" and _clauses_for_update(node):
        for table, alias in _locked_tables(node):
            if column := _first_column(connection, table):
                found = _found_rows(node, alias)
                yield _TOUCH_FOUND_SQL.format(ctes=ctes, table=table, column=column, found=found)
    inner = _ctes_of(node) or ctes
    for descriptor, value in node.ListFields():
        if descriptor.message_type is not None:
            for child in value if hasattr(value, "add") else (value,):
                yield from _touch_below(connection, child, inner)


def _found_rows(select: Any, alias: str) -> str:
    """`select` as SQL, without its locks and with the address of each row of `alias` as one more output."""
    parsed = postgast.parse(f"SELECT {alias}.ctid AS strict_ctid")
    wanted = parsed.stmts[0].stmt.select_stmt.target_list[0]
    copy = type(select)()
    copy.CopyFrom(select)
    del copy.locking_clause[:]
    copy.target_list.append(wanted)
    parsed.stmts[0].stmt.select_stmt.CopyFrom(copy)
    return postgast.deparse(parsed)


def _ctes_of(node: Any) -> str:
    """The WITH of a statement as SQL, when it has one that does not write."""
    if "with_clause" not in node.DESCRIPTOR.fields_by_name or not node.HasField("with_clause"):
        return ""
    if any(kind in _WRITES for kind, _ in nodes(node.with_clause)):
        return ""  # it cannot be asked twice
    parsed = postgast.parse("SELECT 1")
    parsed.stmts[0].stmt.select_stmt.with_clause.CopyFrom(node.with_clause)
    return postgast.deparse(parsed).removesuffix("SELECT 1")


def _clauses_for_update(select: Any) -> list[Any]:
    clauses = [node.locking_clause for node in select.locking_clause]
    return [clause for clause in clauses if enum_name(clause, "strength") == "LCS_FORUPDATE"]


def _locked_tables(select: Any) -> Iterator[tuple[str, str]]:
    """The tables that the top of `select` locks FOR UPDATE, as (quoted name, quoted alias)."""
    clauses = _clauses_for_update(select)
    wanted = {relation.range_var.relname for clause in clauses for relation in clause.locked_rels}
    locks_all = any(not clause.locked_rels for clause in clauses)
    for source in select.from_clause:
        for relation in _relations(source):
            alias = relation.alias.aliasname or relation.relname
            if locks_all or alias in wanted:
                yield qualified_name(relation), quoted(alias)


def _first_column(connection: Any, table: str) -> str | None:
    key = (*connection.database_key, table)
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
