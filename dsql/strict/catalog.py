"""What only the catalog knows: the columns, keys and indexes of the tables that exist.

Before DDL it is asked each time, because DDL is rare. What writes need is kept, per database, until this process runs
DDL; the DDL of another process is not noticed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import psycopg

from dsql.strict import tables
from dsql.strict.refusals import Refusal, unsupported

_TABLE_SQL = """
    SELECT
        (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped),
        (SELECT count(*) FROM pg_index i WHERE i.indrelid = t.oid),
        (SELECT coalesce(array_agg(a.attname::text), '{}') FROM pg_index i
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = t.oid AND i.indisprimary)
    FROM (SELECT to_regclass(%s)::oid AS oid) t WHERE t.oid IS NOT NULL
"""
# One row for each column of variable length in a key: with it, the SQL for the size of its whole index entry. The
# entry of a secondary index ends with the primary key.
_WIDE_KEYS_SQL = """
    WITH keys AS (
        SELECT i.indexrelid, a.attname, a.atttypid,
            CASE WHEN a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'bytea'::regtype)
                THEN format('coalesce(octet_length(%%I), 0)', a.attname)
                ELSE format('coalesce(pg_column_size(%%I), 0)', a.attname) END AS size
        FROM pg_index i JOIN pg_index p ON p.indrelid = i.indrelid AND (p.indexrelid = i.indexrelid OR p.indisprimary)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (p.indkey[0:p.indnkeyatts - 1])
        WHERE i.indrelid = to_regclass(%s)
    )
    SELECT attname::text, atttypid = 'bytea'::regtype, (
        SELECT string_agg(DISTINCT other.size, ' + ') FROM keys other WHERE other.indexrelid = keys.indexrelid)
    FROM keys WHERE atttypid IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'bytea'::regtype)
"""


@dataclass(frozen=True, slots=True)
class WideKey:
    """A column of variable length in a key, and the SQL expression for the bytes of the whole key."""

    column: str
    is_binary: bool
    size_sql: str


_wide_keys: dict[tuple[Any, ...], tuple[WideKey, ...]] = {}
_lock = threading.Lock()


def refuse(connection: Any, question: tables.CatalogQuestion) -> Refusal | None:
    """Why DSQL refuses the DDL statement behind `question`, or None. A missing table is the server's to refuse."""
    if question.table:
        row = _ask(connection, _TABLE_SQL, [question.table]).fetchone()
        if row is None:
            return None
        columns, indexes, primary_key = row
        for name in question.dropped_columns:
            if name in primary_key:
                return unsupported(f"cannot drop primary key column {name}")
        if question.added_columns and columns + question.added_columns > tables.COLUMNS_MAX:
            return tables.too_many_columns()
        if question.added_indexes and indexes + question.added_indexes > tables.INDEXES_MAX:
            return tables.too_many_indexes()
    return _refuse_key(connection, question.key_sql) if question.key_sql else None


def _refuse_key(connection: Any, sql: str) -> Refusal | None:
    # The server describes a column of a domain by what the domain is made of.
    result = connection.run_unjudged(sql).pgresult
    # A varchar's declared size is its modifier without the 4 bytes of a header.
    types = [(_type_name(connection, result.ftype(n)), max(result.fmod(n) - 4, 0)) for n in range(result.nfields)]
    return tables.refuse_key(types)


def _type_name(connection: Any, oid: int) -> str:
    known = psycopg.postgres.types.get(oid)
    if known is not None and known.oid == oid:  # the oid of an array finds its element
        return known.name
    row = _ask(connection, "SELECT format_type(%s, NULL)", [oid]).fetchone()
    assert row is not None
    return row[0]


def wide_keys(connection: Any, table: str) -> tuple[WideKey, ...]:
    """The columns of `table` (quoted) that could make a key too large."""
    info = connection.info
    key = (info.host, info.port, info.dbname, table)
    found = _wide_keys.get(key)
    if found is None:
        found = tuple(WideKey(*row) for row in _ask(connection, _WIDE_KEYS_SQL, [table]).fetchall())
        with _lock:
            _wide_keys[key] = found
    return found


def forget() -> None:
    """DDL ran: ask again."""
    with _lock:
        _wide_keys.clear()


def _ask(connection: Any, sql: str, params: list[Any]) -> psycopg.ClientCursor[Any]:
    return psycopg.ClientCursor(connection).execute(sql, params)
