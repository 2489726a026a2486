"""Background steps that get smaller when they fail, so that no row can hold up the others.

A step over many rows is one optimistic transaction, and the larger it is the likelier somebody writes one of its rows
meanwhile. So each try after a conflict is half as large. The same finds the row that fails for a reason of its own: when it
fails alone it is set aside, and the rest goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

import structlog

from core.blame import Blame, blame
from core.errors import Busy
from core.transactions import in_transaction

T = TypeVar("T")
SetAside = Callable[[Exception], bool]

DEADLINE_S = 10.0
# More rows than this that fail one after the other are not to blame: the program is.
ASIDE_MAX = 20

log = structlog.get_logger(__name__)

# How small a step was when its time ran out. It goes on there: from its full size it might run out of time again and again.
_reached: dict[tuple[str, UUID], int] = {}


class ChunkSize:
    """How many rows the next try takes, and whether a row is to be set aside. Decides only; does nothing."""

    def __init__(self, largest: int, start: int | None = None) -> None:
        assert largest > 0, largest
        self.largest = largest
        self.rows = min(start or largest, largest)
        self.set_aside = 0

    def shrink(self) -> None:
        self.rows = max(1, self.rows // 2)

    def blames_one_row(self) -> bool:
        """After an error that one row may have caused: is it known which one? If not, the next try is smaller."""
        if self.rows == 1:
            return True
        self.shrink()
        return False

    def may_set_aside(self) -> bool:
        """Take note of one more row that failed alone; the next try is of full size again. False when it is one too many."""
        self.set_aside += 1
        self.rows = self.largest
        return self.set_aside <= ASIDE_MAX


def run_shrinking(
    step: Callable[[int], T],
    *,
    largest: int,
    name: str,
    subject_id: UUID,
    set_aside: SetAside,
    deadline_s: float = DEADLINE_S,
) -> T:
    """Run `step(limit)`, which does up to `limit` rows in one transaction, until one run of it commits; return its result.

    The first try takes `largest` rows. After a conflict, and after an error that may be one row's fault, the next one takes
    half as many. A row that fails alone is given to `set_aside(error)`, in a transaction of its own: it marks that row, so
    that the next step skips it, and returns True; False when there was no row to mark, and then the error is raised. The
    step should note which row it took, or a row that another worker has dealt with meanwhile is mistaken for its neighbour.

    `step` may run many times and begins by looking at what is left to do, as any replayable transaction does. Raises Busy
    after the deadline, and at once whatever can be no single row's fault.
    """
    key = (name, subject_id)
    size = ChunkSize(largest, start=_reached.pop(key, None))
    deadline = time.monotonic() + deadline_s
    try:
        while True:
            try:
                return _try(step, size, name, deadline)
            except Exception as error:
                if blame(error) is not Blame.ONE_ROW:
                    raise
                if size.blames_one_row():
                    _set_one_aside(error, size, key, set_aside)
            if time.monotonic() >= deadline:
                raise Busy
    except Busy:
        _reached[key] = size.rows
        raise


def _try(step: Callable[[int], T], size: ChunkSize, name: str, deadline: float) -> T:
    left_s = deadline - time.monotonic()
    return in_transaction(
        lambda: step(size.rows), name=name, replayable=True, deadline_s=left_s, on_conflict=size.shrink
    )


def _set_one_aside(error: Exception, size: ChunkSize, key: tuple[str, UUID], set_aside: SetAside) -> None:
    name, subject_id = key
    # Not replayable: after a lost answer it might mark the next row, which has done nothing.
    if not (size.may_set_aside() and in_transaction(lambda: set_aside(error), name=f"{name}.set_aside")):
        raise error
    log.error("row_set_aside", step=name, subject_id=str(subject_id), exc_info=error)
