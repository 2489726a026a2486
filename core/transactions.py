"""The one way to write: the outermost transaction, retried as a whole.

The mechanism is `dsql.transactions`; this module gives it the product's words: Busy instead of "retries exhausted", and metrics.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.utils.translation import gettext_noop as N_

from core import metrics
from core.errors import Busy
from dsql.transactions import (
    Conflict40001,
    OutcomeUnknown,
    RetriesExhausted,
    joins_transaction,
    run_transaction,
)

P = ParamSpec("P")
T = TypeVar("T")

DEADLINE_S = 2.0

__all__ = ["DEADLINE_S", "Conflict40001", "in_transaction", "joins_transaction", "retried_transaction"]


def in_transaction(
    body: Callable[[], T],
    *,
    name: str,
    replayable: bool = False,
    deadline_s: float = DEADLINE_S,
    on_conflict: Callable[[], None] | None = None,
) -> T:
    """Run `body` in one transaction, again and again on 40001, for at most about `deadline_s`; then raise Busy.

    `replayable` is the body's promise that it begins by looking up its own ids, so that running it again after the answer
    to a COMMIT was lost gives the first outcome. Without it a lost answer is told to the caller, never guessed.

    `on_conflict` is called between a refused attempt and the next one.
    """

    def count(event: str, attempt: int, exc: BaseException | None) -> None:
        metrics.TRANSACTION_ATTEMPTS.labels(name, event).inc()
        if event == "conflict" and on_conflict is not None:
            on_conflict()

    try:
        return run_transaction(body, deadline_s=deadline_s, replayable=replayable, on_attempt=count)
    except RetriesExhausted as exhausted:
        raise Busy from exhausted
    except OutcomeUnknown as unknown:
        raise Busy(
            N_("The connection broke before we heard whether this worked. Please look before you repeat it.")
        ) from unknown


def retried_transaction(
    *, replayable: bool = False, deadline_s: float = DEADLINE_S, name: str = ""
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a service function the outermost transaction of whatever calls it. It may run several times.

    `name` is for the metrics, where the function's own would not say which it is.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            def body() -> T:
                return function(*args, **kwargs)

            return in_transaction(
                body, name=name or function.__qualname__, replayable=replayable, deadline_s=deadline_s
            )

        return wrapper

    return decorate
