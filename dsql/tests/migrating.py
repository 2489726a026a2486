"""Running migrations in tests: with a journal, killed at a chosen statement, and compared by what they leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, connection, connections
from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from dsql import faults
from dsql.journal import Journal, has_table

APP = "x"
COLUMNS_SQL = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
        pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind = 'r' AND c.relname LIKE 'x\\_%' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2
"""
CONSTRAINTS_SQL = """
    SELECT c.relname, con.conname, pg_get_constraintdef(con.oid), con.convalidated
    FROM pg_constraint con JOIN pg_class c ON c.oid = con.conrelid
    WHERE c.relname LIKE 'x\\_%' AND con.contype <> 'n' ORDER BY 1, 2
"""
INDEXES_SQL = """
    SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relname LIKE 'x\\_%' ORDER BY 1, 2
"""
TABLES_SQL = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'x\\_%' ORDER BY 1"


class Killed(BaseException):
    """Stands for a kill: nothing that handles errors may catch it."""


def make_migration(operations: Sequence[Operation], *, atomic: bool = True) -> Migration:
    """A new object each time, as each process has its own."""
    migration = Migration("0002_change", APP)
    migration.operations = list(operations)
    migration.atomic = atomic
    return migration


def run_journalled(migration: Migration, state: ProjectState, *, backwards: bool = False) -> list[str]:
    """What `migrate` does with one migration. Returns the steps that were done and are no longer part of it."""
    journal = Journal(connection, migration, backwards)
    connection.journal = journal
    try:
        with connection.schema_editor(atomic=migration.atomic) as editor:
            (migration.unapply if backwards else migration.apply)(state.clone(), editor)
    finally:
        connection.journal = None
    return journal.close()


def run_plain(operations: Sequence[Operation], state: ProjectState) -> ProjectState:
    """Apply `operations` without a journal; returns the state after them."""
    with connection.schema_editor() as editor:
        return make_migration(operations).apply(state, editor)


@contextmanager
def killed_at(n: int) -> Iterator[list[str]]:
    """End the block and its connection in place of the `n`-th statement or COMMIT; yields those that came."""
    seen: list[str] = []

    def count(kind: str, sql: str | None, wrapper: Any) -> None:
        # A kill before a read is a kill before what follows it, and one inside a transaction a kill at its COMMIT.
        if kind == "statement" and (wrapper.in_atomic_block or (sql or "").lstrip().startswith("SELECT")):
            return
        seen.append(sql or "COMMIT")
        if len(seen) == n:
            _die(wrapper)
            raise Killed

    try:
        with faults.observe(count):
            yield seen
    except (Killed, DatabaseError, InterfaceError):
        if len(seen) < n:
            raise
        # Whatever Django made of it on the way out: the next run has a new connection, as a new process would.
        del connections[connection.alias]


def _die(wrapper: Any) -> None:
    """End the session, as the end of the process would: the server rolls back what is not committed."""
    raw = wrapper.connection
    raw.close()
    if wrapper.pool:
        wrapper.pool.putconn(raw)


def schema_and_rows() -> dict[str, Any]:
    """All that a migration can leave behind in the tables of the tests."""
    with connection.cursor() as cursor:

        def read(sql: str) -> list[Any]:
            cursor.execute(sql)
            return cursor.fetchall()

        found: dict[str, Any] = {
            "columns": read(COLUMNS_SQL),
            "constraints": read(CONSTRAINTS_SQL),
            "indexes": read(INDEXES_SQL),
        }
        for (table,) in read(TABLES_SQL):
            # Columns by name: one that was made anew stands in another place.
            names = sorted(column for owner, column, *_ in found["columns"] if owner == table)
            columns = ", ".join(f'"{name}"' for name in names)
            found[table] = sorted(map(str, read(f'SELECT {columns} FROM "{table}"')))
    return found


class Stage:
    """Makes what a migration begins with, again and again. After the first time from the statements of the first."""

    def __init__(self, make: Callable[[], ProjectState]) -> None:
        self._make = make
        self._statements: list[tuple[str, Any]] = []
        connection.ensure_connection()
        info = connection.connection.info
        # Not guarded by strict mode, which would take most of the time of these tests.
        self._raw = psycopg.connect(
            info.dsn, password=info.password or None, autocommit=True, cursor_factory=psycopg.ClientCursor
        )

    def set(self) -> ProjectState:
        """Returns the state of the models on the stage."""
        self.clear()
        if self._statements:
            for sql, params in self._statements:
                self._raw.execute(sql, params)
        else:
            with connection.execute_wrapper(self._record):
                self._state = self._make()
        return self._state

    def clear(self) -> None:
        """Drop every table of these tests, and the journal's rows."""
        tables = [f'"{table}"' for (table,) in self._raw.execute(TABLES_SQL)]
        if tables:
            self._raw.execute(f"DROP TABLE {', '.join(tables)} CASCADE")
        if has_table(connection):
            self._raw.execute("DELETE FROM dsql_journal")

    def close(self) -> None:
        self.clear()
        self._raw.close()

    def _record(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        if not sql.lstrip().startswith(("SELECT", "CALL")):
            self._statements.append((sql.replace(" ASYNC ", " "), params))
        return answer
