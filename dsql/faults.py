"""Deterministic faults for tests: at connecting, at statements, at COMMIT; and a place to stop.

Everything here is off until a context manager turns it on, for every thread of the process, and each one counts
what it did. `observe` is for tools that must stop a thread before each statement and each COMMIT.

| what goes wrong | rows of the transaction | what the caller can know |
|---|---|---|
| `fail_commits`, `fail_statement`, `schema_changed` | gone | that they are gone: run again |
| `lose_commits`, `unavailable_commits(committed=False)` | gone | nothing |
| `lose_commit_answers`, `unavailable_commits(committed=True)` | there | nothing |
| `refuse_connections`, `sleeping_cluster` | none yet | that nothing was done |
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import psycopg
from django.db import DEFAULT_DB_ALIAS, InternalError, OperationalError, connections

from dsql.strict.refusals import CONFLICT_MESSAGE, Refusal

LOST_MESSAGE = "server closed the connection unexpectedly"
UNAVAILABLE_MESSAGE = "server unavailable"
SCHEMA_CHANGED = Refusal("40001", "schema has been updated by another transaction (OC001)")
EXPIRED_TOKEN_MESSAGE = (
    "connection failed: FATAL:  unable to accept connection, access denied\nHINT:  Signature expired"  # noqa: S105
)
WAKING_MESSAGE = "connection failed: FATAL:  unable to accept connection, waking up cluster, please retry later"

Observer = Callable[[str, str | None, Any], None]


@dataclass(eq=False)
class Injection:
    """One planned fault. `injected` counts how often it happened."""

    using: str
    remaining: int
    injected: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self, connection: Any) -> bool:
        """Whether the fault happens now, on `connection`."""
        return connection.alias == self.using and self.take_any()

    def take_any(self) -> bool:
        """Whether the fault happens now, on whatever connection."""
        with self._lock:
            if self.remaining <= 0:
                return False
            self.remaining -= 1
            self.injected += 1
            return True


@dataclass(eq=False)
class _StatementFault(Injection):
    skip: int = 0
    refusal: Refusal = field(default_factory=lambda: Refusal("40001", CONFLICT_MESSAGE))

    def take(self, connection: Any) -> bool:
        if connection.alias == self.using:
            with self._lock:
                if self.skip > 0:
                    self.skip -= 1
                    return False
        return super().take(connection)


@dataclass(eq=False)
class _SchemaChange(Injection):
    """Met once by each connection that is older than it, but for the one that made the change."""

    author: Any = None
    made_at: float = field(default_factory=time.monotonic)
    _met_by: set[int] = field(default_factory=set, repr=False)

    def take(self, connection: Any) -> bool:
        session = connection.connection
        if connection.alias != self.using or session is None or session is self.author:
            return False
        if getattr(session, "made_at", 0) > self.made_at:
            return False  # a new connection has read the new catalog
        with self._lock:
            if session.pgconn.backend_pid in self._met_by:
                return False
            self._met_by.add(session.pgconn.backend_pid)
            self.injected += 1
            return True


@dataclass(eq=False)
class _RefusedConnection(Injection):
    message: str = EXPIRED_TOKEN_MESSAGE


_refused_connections: list[_RefusedConnection] = []
_schema_changes: list[_SchemaChange] = []
_failing_commits: list[Injection] = []
_lost_commits: list[Injection] = []
_losing_commits: list[Injection] = []
_unavailable_commits: list[Injection] = []
_unavailable_answers: list[Injection] = []
_failing_statements: list[_StatementFault] = []
_observers: list[Observer] = []


@contextmanager
def fail_commits(times: int = 1, using: str = DEFAULT_DB_ALIAS) -> Iterator[Injection]:
    """The next `times` COMMITs roll back and raise a conflict."""
    with _planned(_failing_commits, Injection(using, times)) as injection:
        yield injection


@contextmanager
def lose_commit_answers(times: int = 1, using: str = DEFAULT_DB_ALIAS) -> Iterator[Injection]:
    """The next `times` COMMITs succeed, and their connection dies before the answer arrives."""
    with _planned(_losing_commits, Injection(using, times)) as injection:
        yield injection


@contextmanager
def lose_commits(times: int = 1, using: str = DEFAULT_DB_ALIAS) -> Iterator[Injection]:
    """The next `times` COMMITs get lost together with their connection, before they reach the server."""
    with _planned(_lost_commits, Injection(using, times)) as injection:
        yield injection


@contextmanager
def unavailable_commits(times: int = 1, *, committed: bool, using: str = DEFAULT_DB_ALIAS) -> Iterator[Injection]:
    """The next `times` COMMITs are answered "server unavailable" (XX000), after they were done or instead."""
    plans = _unavailable_answers if committed else _unavailable_commits
    with _planned(plans, Injection(using, times)) as injection:
        yield injection


@contextmanager
def schema_changed(using: str = DEFAULT_DB_ALIAS) -> Iterator[Injection]:
    """Another session ran DDL just now: each connection that is open but this thread's meets OC001, once.

    It meets it at its next statement, or at COMMIT when no statement comes before.
    """
    with _planned(_schema_changes, _SchemaChange(using, 0, author=connections[using].connection)) as injection:
        yield injection


@contextmanager
def refuse_connections(times: int = 1, message: str = EXPIRED_TOKEN_MESSAGE) -> Iterator[Injection]:
    """The next `times` logins of the process, of any alias, are refused; by default because the token is too old."""
    with _planned(_refused_connections, _RefusedConnection("", times, message=message)) as injection:
        yield injection


@contextmanager
def sleeping_cluster(times: int = 1) -> Iterator[Injection]:
    """The next `times` logins of the process are refused, because the cluster was idle for long and is waking up."""
    with refuse_connections(times, WAKING_MESSAGE) as injection:
        yield injection


@contextmanager
def fail_statement(
    nth: int, sqlstate: str, message: str = CONFLICT_MESSAGE, *, times: int = 1, using: str = DEFAULT_DB_ALIAS
) -> Iterator[Injection]:
    """The `nth` statement from now (counting from 1) fails on the server with `sqlstate`, and the `times - 1` next."""
    fault = _StatementFault(using, times, skip=nth - 1, refusal=Refusal(sqlstate, message))
    with _planned(_failing_statements, fault) as injection:
        yield injection


@contextmanager
def observe(callback: Observer) -> Iterator[None]:
    """Call `callback(kind, sql, connection)` in the executing thread before each "statement" and each "commit".

    `sql` is None for a commit. What the callback raises is raised instead of the statement or the commit.
    """
    with _planned(_observers, callback):
        yield


@contextmanager
def before_statement(hook: Callable[[str], None]) -> Iterator[None]:
    """Call `hook(sql)` before each statement of this thread."""
    with _for_this_thread("statement", lambda sql: hook(sql or "")):
        yield


@contextmanager
def before_commit(hook: Callable[[], None]) -> Iterator[None]:
    """Call `hook()` before each COMMIT of this thread."""
    with _for_this_thread("commit", lambda sql: hook()):
        yield


def before_login() -> None:
    """Called before each attempt to log in."""
    for refused in tuple(_refused_connections):
        if refused.take_any():
            raise psycopg.OperationalError(refused.message)


def around_statement(execute: Any, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """The execute wrapper that every connection of this backend carries."""
    if _observers or _failing_statements or _schema_changes:
        connection = context["connection"]
        for observer in tuple(_observers):
            observer("statement", str(sql), connection)
        for fault in tuple(_failing_statements):
            if fault.take(connection):
                _refuse(connection, fault.refusal)
        if _taken(_schema_changes, connection):
            _refuse(connection, SCHEMA_CHANGED)
    return execute(sql, params, many, context)


def at_commit(connection: Any) -> None:
    """Called with COMMIT still unsent: lets observers stop here, and fails the COMMIT when that is planned."""
    for observer in tuple(_observers):
        observer("commit", None, connection)
    message = None
    if _taken(_failing_commits, connection):
        message = CONFLICT_MESSAGE
    elif _taken(_schema_changes, connection):
        message = SCHEMA_CHANGED.message
    if message:
        connection.connection.rollback()
        raise OperationalError(message) from psycopg.errors.SerializationFailure(message)


def instead_of_commit(connection: Any) -> None:
    """Called in place of the network: the COMMIT counts as sent, and may not arrive."""
    if _taken(_lost_commits, connection):
        _lose(connection)
    if _taken(_unavailable_commits, connection):
        connection.connection.rollback()
        _raise_unavailable()


def after_commit(connection: Any) -> None:
    """Called with COMMIT done and its answer not yet passed on: spoils the answer when that is planned."""
    if _taken(_losing_commits, connection):
        _lose(connection)
    if _taken(_unavailable_answers, connection):
        _raise_unavailable()


def _taken(plans: Sequence[Injection], connection: Any) -> bool:
    # The lists are nearly always empty, and every statement and COMMIT comes by.
    return bool(plans) and any(injection.take(connection) for injection in tuple(plans))


def _lose(connection: Any) -> NoReturn:
    connection.connection.close()
    raise OperationalError(LOST_MESSAGE) from psycopg.OperationalError(LOST_MESSAGE)


def _raise_unavailable() -> NoReturn:
    raise InternalError(UNAVAILABLE_MESSAGE) from psycopg.errors.InternalError_(UNAVAILABLE_MESSAGE)


@contextmanager
def _planned(plans: list[Any], plan: Any) -> Iterator[Any]:
    plans.append(plan)
    try:
        yield plan
    finally:
        plans.remove(plan)


@contextmanager
def _for_this_thread(kind: str, hook: Callable[[str | None], None]) -> Iterator[None]:
    thread = threading.get_ident()

    def call(seen: str, sql: str | None, connection: Any) -> None:
        if seen == kind and threading.get_ident() == thread:
            hook(sql)

    with observe(call):
        yield


def _refuse(connection: Any, refusal: Refusal) -> None:
    # On the server, so that an open transaction is aborted as by any failing statement.
    with connection.wrap_database_errors:
        psycopg.ClientCursor(connection.connection).execute(refusal.raising_sql())
