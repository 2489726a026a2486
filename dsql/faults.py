"""Deterministic faults for tests: conflicts at COMMIT, lost answers, failing statements, and a place to stop.

Everything here is off until a context manager turns it on, for every thread of the process, and each one counts
what it did. `observe` is for tools that must stop a thread before each statement and each COMMIT.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, OperationalError

from dsql.strict.refusals import CONFLICT_MESSAGE, Refusal

LOST_MESSAGE = "server closed the connection unexpectedly"

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
        if connection.alias != self.using:
            return False
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


_failing_commits: list[Injection] = []
_losing_commits: list[Injection] = []
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


def around_statement(execute: Any, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """The execute wrapper that every connection of this backend carries."""
    if _observers or _failing_statements:
        connection = context["connection"]
        for observer in tuple(_observers):
            observer("statement", str(sql), connection)
        for fault in tuple(_failing_statements):
            if fault.take(connection):
                _refuse(connection, fault.refusal)
    return execute(sql, params, many, context)


def at_commit(connection: Any) -> None:
    """Called with COMMIT still unsent: lets observers stop here, and fails the COMMIT when that is planned."""
    if not (_observers or _failing_commits):
        return
    for observer in tuple(_observers):
        observer("commit", None, connection)
    if any(injection.take(connection) for injection in tuple(_failing_commits)):
        connection.connection.rollback()
        cause = psycopg.errors.SerializationFailure(CONFLICT_MESSAGE)
        raise OperationalError(CONFLICT_MESSAGE) from cause


def after_commit(connection: Any) -> None:
    """Called with COMMIT done and its answer not yet passed on: cuts the connection when that is planned."""
    if _losing_commits and any(injection.take(connection) for injection in tuple(_losing_commits)):
        connection.connection.close()
        raise OperationalError(LOST_MESSAGE) from psycopg.OperationalError(LOST_MESSAGE)


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
