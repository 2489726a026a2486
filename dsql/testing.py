"""What tests of a project on DSQL want beside Django's own test cases. For planned failures see `dsql.faults`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from django import test
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from psycopg.pq import TransactionStatus

from dsql import faults
from dsql.orphans import find_orphans
from dsql.strict.connection import StrictConnection

RACE_TIMEOUT_S = 30
_SAVEPOINT = "before_test"

if TYPE_CHECKING:
    _TestCase = test.TestCase
else:
    _TestCase = object


class SharedTestData(_TestCase):
    """Goes in front of a Django TestCase: `setUpTestData` and fixtures run once a class instead of before each test.

    Django needs savepoints for that and DSQL has none, so the plain TestCase makes everything anew for each test. On
    PostgreSQL this one keeps a savepoint that only the test framework sees: the code under test still meets DSQL's
    behaviour, where a nested `atomic` cannot roll back alone. The limits of a transaction (rows, bytes, age) count from
    the start of each test. On a cluster it does what the plain TestCase does.
    """

    _run_on_commit: dict[str, list[Any]]

    @classmethod
    def _databases_support_savepoints(cls) -> bool:
        aliases: Collection[str] = cls._databases_names()  # type: ignore[attr-defined]
        return all(_can_rewind(connections[alias]) for alias in aliases)

    @classmethod
    def _enter_atomics(cls) -> dict[str, transaction.Atomic]:
        # Django calls this for the class, which opens the transaction, and again for each test.
        rewound = [alias for alias in cls._databases_names() if _rewinds(connections[alias])]  # type: ignore[attr-defined]
        atomics = super()._enter_atomics()  # type: ignore[misc]
        cls._run_on_commit = {alias: list(connections[alias].run_on_commit) for alias in rewound}
        for alias in rewound:
            _mark(connections[alias])
        return atomics

    @classmethod
    def _rollback_atomics(cls, atomics: dict[str, transaction.Atomic]) -> None:
        super()._rollback_atomics(atomics)  # type: ignore[misc]
        for alias in atomics:
            if _rewinds(connections[alias]):
                _rewind(connections[alias])
                connections[alias].run_on_commit = cls._run_on_commit[alias]


class TestCase(SharedTestData, test.TestCase):
    """Django's TestCase with `SharedTestData`."""


def _can_rewind(connection: Any) -> bool:
    return connection.features.uses_savepoints or not getattr(connection, "is_live", True)


def _rewinds(connection: Any) -> bool:
    """Whether the class's transaction is open, and Django itself sets no savepoint in it."""
    return connection.in_atomic_block and not connection.features.uses_savepoints


def _mark(connection: Any) -> None:
    _run_privately(connection, f"SAVEPOINT {_SAVEPOINT}")
    _count_anew(connection)


def _rewind(connection: Any) -> None:
    """Back to the class's data, after whatever the test did: also when a statement of it failed."""
    if connection.closed_in_transaction or connection.connection is None:
        return  # the class's transaction is lost with its connection, and the next statement says so
    _run_privately(connection, f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}; RELEASE SAVEPOINT {_SAVEPOINT}")
    _count_anew(connection)
    connection.needs_rollback = False


def _run_privately(connection: Any, sql: str) -> None:
    # Below Django's cursors, where strict mode and the query log do not see it.
    with connection.wrap_database_errors:
        psycopg.ClientCursor(connection.connection).execute(sql)


def _count_anew(connection: Any) -> None:
    if isinstance(connection.connection, StrictConnection):
        connection.connection.session.begin()


def assert_no_orphans(*tables: str, using: str = DEFAULT_DB_ALIAS) -> None:
    """Fail when a row lost its parent; `tables` narrows the search to the rows of those tables."""
    orphans = find_orphans(using, set(tables) or None)
    assert not orphans, "rows without their parent: " + ", ".join(
        f"{orphan.count} of {orphan.table}.{orphan.column}" for orphan in orphans
    )


@dataclass(frozen=True)
class Committed:
    """A transaction that reached COMMIT: the text of its statements, and how many rows it wrote.

    `rows` is None without strict mode, which does the counting.
    """

    statements: tuple[str, ...]
    rows: int | None


@contextmanager
def capture_transactions(using: str = DEFAULT_DB_ALIAS) -> Iterator[list[Committed]]:
    """Collect the transactions that this thread commits on `using` inside the block, in order.

    It shows how near a service comes to the limits of a transaction, and how often it asks the database. Attempts that a
    conflict ended before COMMIT are not in it, nor are statements outside a transaction. It needs a test that really
    commits: a TransactionTestCase, or `django_db(transaction=True)`.
    """
    thread = threading.get_ident()
    transactions: list[Committed] = []
    statements: list[str] = []

    def note(kind: str, sql: str | None, connection: Any) -> None:
        if threading.get_ident() != thread or connection.alias != using:
            return
        raw = connection.connection
        if kind == "commit":
            rows = raw.session.rows if isinstance(raw, StrictConnection) else None
            transactions.append(Committed(tuple(statements), rows))
        elif raw is None or raw.info.transaction_status == TransactionStatus.IDLE:
            statements.clear()  # this statement begins a transaction
        statements.append(sql or "")

    with faults.observe(note):
        yield transactions


def race(*callables: Callable[[], Any], using: str = DEFAULT_DB_ALIAS) -> list[Any]:
    """Call each in a thread with a connection of its own, all released at once.

    Gives what each returned or raised, in order. Needs a test that really commits.
    """
    start = threading.Barrier(len(callables))
    results: list[Any] = [None] * len(callables)

    def run(number: int, function: Callable[[], Any]) -> None:
        try:
            connections[using].ensure_connection()  # before the start, so that nobody loses time on it afterwards
            start.wait(RACE_TIMEOUT_S)
            results[number] = function()
        except BaseException as error:  # whatever it was is this caller's result
            results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(callables)]
    for thread in threads:
        thread.start()
    for number, thread in enumerate(threads):
        thread.join(RACE_TIMEOUT_S)
        assert not thread.is_alive(), f"caller {number} is still running after {RACE_TIMEOUT_S} s"
    return results
