"""One way to write: run a whole function in one transaction, and again when the database refuses it.

DSQL never waits for a lock. It lets everybody work on a snapshot and refuses the later one at COMMIT, with SQLSTATE
40001, so every transaction must be ready to run again from the start.
"""

from __future__ import annotations

import functools
import random as _random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, ParamSpec, Protocol, TypeVar, overload
from uuid import UUID

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    connections,
    transaction,
)

T = TypeVar("T")
P = ParamSpec("P")

BACKOFF_BASE_S = 0.002
BACKOFF_CAP_S = 0.100
UNIQUE_RETRIES_MAX = 3
# DSQL's is 40001, with OC000 (rows) or OC001 (schema) in the message; its other clients look for these as codes too.
CONFLICT_SQLSTATES = frozenset({"40001", "40P01", "55P03", "OC000", "OC001"})
UNIQUE_VIOLATION = "23505"
SERVER_UNAVAILABLE = "XX000"
# The server or the network ended the connection: class 08, and "admin shutdown" and its kin.
LOST_SQLSTATES = frozenset({"57P01", "57P02", "57P03"})
WITHOUT_SAVEPOINTS = (
    "DSQL has no savepoints: an error inside a nested atomic block ends the whole transaction, also when it is caught."
)

# Tests put a fake clock and fixed jitter here.
sleep: Callable[[float], None] = time.sleep
random: Callable[[], float] = _random.random


class Conflict40001(OperationalError):
    """A guarded write found its row changed since it was read. `run_transaction` runs the whole function again."""

    sqlstate = "40001"


class RetriesExhausted(OperationalError):
    """The deadline passed and the database still refused. Nothing was written; trying later is safe."""

    def __init__(self, message: str, *, attempts: int) -> None:
        super().__init__(message)
        self.attempts = attempts


class OutcomeUnknown(OperationalError):
    """The connection was lost while COMMIT ran: the writes may be there or not. Look for their ids before a repeat."""


class Nested(RuntimeError):
    """A retried transaction was asked for inside another one, where only the outer one can be run again."""


class CommitState(Enum):
    """What is known about the COMMIT of a connection's newest transaction."""

    NONE = auto()
    SENT = auto()  # and no answer yet: if the connection is lost now, nobody knows
    ANSWERED = auto()


class OnAttempt(Protocol):
    """Told of every attempt: `event` is "conflict", "lost", "exhausted" or "ok"; `attempt` counts from 1."""

    def __call__(self, event: str, attempt: int, exc: BaseException | None) -> None: ...


class _Failure(Enum):
    CONFLICT = auto()
    UNIQUE = auto()
    LOST = auto()
    CROWDED = auto()  # no connection was free in time
    FINAL = auto()


def run_transaction(
    fn: Callable[[], T],
    *,
    using: str = DEFAULT_DB_ALIAS,
    deadline_s: float = 2.0,
    replayable: bool = False,
    operation_id: UUID | None = None,
    unique_retry: bool | None = None,
    on_attempt: OnAttempt | None = None,
) -> T:
    """Run `fn` in one durable transaction and return what it returned in the attempt that committed.

    `fn` may run many times, so rows must be its only side effect; `transaction.on_commit` hooks run once, for the
    attempt that won. No attempt starts later than `deadline_s` seconds after the first.

    `replayable` promises that `fn` begins by looking up its own ids and then returns the first outcome. Only then
    can it run again after a COMMIT whose answer was lost, and after a unique key was taken by somebody else
    (`unique_retry`, at most `UNIQUE_RETRIES_MAX` times).

    `operation_id` does that for an `fn` without ids of its own: a receipt with the result, as JSON, is written in the same
    transaction, and looked up first by every attempt and by every later call with the same id, which then returns the
    first outcome without running `fn`. Needs the app "dsql.receipts".

    Raises Nested inside an atomic block, RetriesExhausted after the deadline or when the pool is empty, OutcomeUnknown
    when a COMMIT that is not replayable lost its answer, InternalError when `fn` swallowed the error of a statement
    (without savepoints nothing of the transaction is left), and whatever else `fn` or the database raises.
    """
    connection: Any = connections[using]
    if operation_id is not None:
        fn, replayable = _once(fn, operation_id, using), True
    if _inside_test_case(connection):
        # The test holds the transaction open, so there is no COMMIT to fail and no way to begin again.
        with transaction.atomic(using=using):
            return fn()
    if connection.in_atomic_block:
        raise Nested("run_transaction was called inside an atomic block; call it outside, or join with a plain call.")
    attempts = _Attempts(
        connection,
        deadline=time.monotonic() + deadline_s,
        replayable=replayable,
        uniques_left=UNIQUE_RETRIES_MAX if (replayable if unique_retry is None else unique_retry) else 0,
        tell=on_attempt or _tell_nobody,
    )
    while True:
        attempts.begin()
        try:
            with transaction.atomic(using=using, durable=True):
                result = fn()
                _assert_can_commit(connection)
        except (DatabaseError, InterfaceError) as error:
            if not attempts.wait_for_next(error):
                raise
        else:
            attempts.tell("ok", attempts.number, None)
            return result


@dataclass
class _Attempts:
    """The attempts at one transaction: which one this is, and whether there may be another."""

    connection: Any
    deadline: float
    replayable: bool
    uniques_left: int
    tell: OnAttempt
    number: int = 0

    def begin(self) -> None:
        self.number += 1
        self.connection.begin_attempt()

    def wait_for_next(self, error: BaseException) -> bool:
        """Pause before the next attempt; False when `error` is final. Raises when no attempt is left."""
        failure = _classify(self.connection, error)
        if failure is _Failure.UNIQUE:
            self.uniques_left -= 1
        if failure is _Failure.FINAL or self.uniques_left < 0:
            return False
        if failure is _Failure.CROWDED:
            # The pool has made us wait already; asking again would only lengthen its queue.
            self.tell("exhausted", self.number, error)
            raise RetriesExhausted("No connection was free.", attempts=self.number) from error
        if failure is _Failure.LOST:
            _drop(self.connection)
        self.tell("lost" if failure is _Failure.LOST else "conflict", self.number, error)
        is_unknown = self.connection.commit_state is CommitState.SENT
        if is_unknown and not self.replayable:
            raise OutcomeUnknown("The connection was lost during COMMIT.") from error
        pause_s = _backoff_s(self.number)
        if time.monotonic() + pause_s > self.deadline:
            self.tell("exhausted", self.number, error)
            if is_unknown:
                raise OutcomeUnknown("The connection was lost during COMMIT, and time is up.") from error
            raise RetriesExhausted(f"Gave up after {self.number} attempts: {error}", attempts=self.number) from error
        sleep(pause_s)
        return True


def retried_transaction(
    *,
    using: str = DEFAULT_DB_ALIAS,
    deadline_s: float = 2.0,
    replayable: bool = False,
    on_attempt: OnAttempt | None = None,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`run_transaction` as a decorator: each call of the function is one transaction, and may run it several times."""

    def decorate(fn: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(fn)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            return run_transaction(
                lambda: fn(*args, **kwargs),
                using=using,
                deadline_s=deadline_s,
                replayable=replayable,
                on_attempt=on_attempt,
            )

        return wrapper

    return decorate


@overload
def joins_transaction(fn: Callable[P, T]) -> Callable[P, T]: ...
@overload
def joins_transaction(*, using: str) -> Callable[[Callable[P, T]], Callable[P, T]]: ...
def joins_transaction(fn: Callable[..., Any] | None = None, *, using: str = DEFAULT_DB_ALIAS) -> Any:
    """Mark a function as a part of its caller's transaction: it asserts that one is open, and never opens its own."""
    if fn is None:
        return functools.partial(joins_transaction, using=using)

    @functools.wraps(fn)
    def joined(*args: Any, **kwargs: Any) -> Any:
        assert connections[using].in_atomic_block, f"{fn.__qualname__} must be called inside a transaction"
        return fn(*args, **kwargs)

    return joined


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE of a database error or of the driver's error it was made from; None when there was no answer."""
    for candidate in (error, error.__cause__):
        state = getattr(candidate, "sqlstate", None)
        if isinstance(state, str):
            return state
    return None


def is_conflict(error: BaseException) -> bool:
    """Whether `error` means "another transaction was first", so that running again whole can help."""
    return sqlstate_of(error) in CONFLICT_SQLSTATES or "(OC000)" in str(error) or "(OC001)" in str(error)


def _once(fn: Callable[[], T], operation_id: UUID, using: str) -> Callable[[], T]:
    if not apps.is_installed("dsql.receipts"):
        raise ImproperlyConfigured('operation_id needs "dsql.receipts" in INSTALLED_APPS, and its table.')
    from dsql.receipts.once import Once  # imports a model, which this module must not

    return Once(fn, operation_id, using)


def _assert_can_commit(connection: Any) -> None:
    # Django would roll back without a word, and the caller would think that its rows are safe.
    if connection.needs_rollback:
        raise InternalError(f"A statement of this transaction failed, so it cannot be committed. {WITHOUT_SAVEPOINTS}")


def is_unavailable(error: BaseException) -> bool:
    """DSQL's "server unavailable": run again, and at COMMIT the outcome is unknown."""
    return sqlstate_of(error) == SERVER_UNAVAILABLE and "server unavailable" in str(error)


def _classify(connection: Any, error: BaseException) -> _Failure:
    if error is connection.commit_hook_error:
        return _Failure.FINAL  # the transaction is in; only a hook after it failed
    if isinstance(error, RetriesExhausted | OutcomeUnknown):
        return _Failure.FINAL  # of another database's transaction
    if connection.commit_state is CommitState.SENT:
        return _Failure.LOST
    if is_conflict(error):
        return _Failure.CONFLICT
    if isinstance(error, IntegrityError) and sqlstate_of(error) == UNIQUE_VIOLATION:
        return _Failure.UNIQUE
    if _is_pool_full(error):
        return _Failure.CROWDED
    return _Failure.LOST if _is_lost(error) else _Failure.FINAL


def is_out_of_reach(error: BaseException) -> bool:
    """Whether the database did not answer at all, or had no connection to give: nothing the caller did, and it may pass."""
    return isinstance(error, RetriesExhausted | OutcomeUnknown) or _is_pool_full(error) or _is_lost(error)


def _is_pool_full(error: BaseException) -> bool:
    return type(error.__cause__).__name__ in ("PoolTimeout", "TooManyRequests")


def _is_lost(error: BaseException) -> bool:
    state = sqlstate_of(error)
    if state is not None:
        return state.startswith("08") or state in LOST_SQLSTATES or is_unavailable(error)
    return isinstance(error, OperationalError | InterfaceError)


def _drop(connection: Any) -> None:
    """Make sure that the next attempt gets a fresh connection."""
    try:
        connection.close()
    except (DatabaseError, InterfaceError):
        connection.connection = None  # it was dead already


def _inside_test_case(connection: Any) -> bool:
    return bool(connection.atomic_blocks) and connection.atomic_blocks[-1]._from_testcase


def _backoff_s(attempt: int) -> float:
    # Full jitter: on a hot row it takes the attempts per success from 5.4 down to 1.5.
    return random() * min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(attempt - 1, 16))


def _tell_nobody(event: str, attempt: int, exc: BaseException | None) -> None:
    pass
