"""Several statements of an open transaction in one round trip, and BEGIN with the first of them.

On a cluster a round trip takes milliseconds, and everywhere it costs a thread its turn at the interpreter. There are two ways:

- **text**: the statements as one text of the simple protocol, BEGIN in front when they are the transaction's first. Quickest;
  PostgreSQL takes it. That DSQL takes several statements in one text *inside* an open transaction is only likely.
- **pipeline**: each a message of its own, sent without waiting for the answers (libpq's pipeline mode). What drivers that AWS
  supports do; the default where the database is DSQL.

OPTIONS["together"] chooses. Whichever way, the first error ends the transaction, and what follows it has not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections

WAYS = ("text", "pipeline")


class Result(NamedTuple):
    """What one statement gave. `written` is how many rows it wrote or read; -1 when it says nothing of rows."""

    rows: list[tuple[Any, ...]]
    written: int


def execute_together(statements: Sequence[tuple[str, Sequence[Any]]], *, using: str = DEFAULT_DB_ALIAS) -> list[Result]:
    """Run (SQL, parameters) each; what each gave, in their order. Raises what the first that fails raises."""
    connection: Any = connections[using]
    connection.ensure_connection()
    run = _as_text if connection.together == "text" or len(statements) == 1 else _in_pipeline
    return run(connection, statements)


def _as_text(connection: Any, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[Result]:
    with connection.cursor() as cursor:
        cursor.execute(";".join(sql for sql, _ in statements), [param for _, params in statements for param in params])
        results = [_result(cursor)]
        while len(results) < len(statements):
            cursor.nextset()
            results.append(_result(cursor))
    return results


def _in_pipeline(connection: Any, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[Result]:
    cursors = []
    with connection.wrap_database_errors, connection.connection.pipeline():
        for sql, params in statements:
            cursors.append(connection.cursor())
            cursors[-1].execute(sql, params)
    results = [_result(cursor) for cursor in cursors]
    for cursor in cursors:
        cursor.close()
    return results


def _result(cursor: Any) -> Result:
    return Result(cursor.fetchall() if cursor.description else [], cursor.rowcount)
