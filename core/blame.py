"""Whose fault an error is, which says what helps: wait, take fewer rows, or tell a programmer."""

from __future__ import annotations

from enum import Enum, auto

from core.errors import Busy
from dsql.transactions import is_conflict, is_out_of_reach, sqlstate_of

READ_ONLY_SERVER = "25006"  # after a fail-over the address may lead to a server that takes no writes
# Out of resources, and trouble of the server's own machine.
PASSING_CLASSES = frozenset({"53", "58"})
# A value that does not fit, a broken constraint, and limits (54000: too many rows or bytes, which fewer may keep).
ONE_ROW_CLASSES = frozenset({"22", "23", "54"})


class Blame(Enum):
    PASSING = auto()  # nothing was wrong with the work: the same will do later
    ONE_ROW = auto()  # one row, or one command, may have failed all of them
    ALL = auto()  # each of them would fail by itself, for the same reason


def blame(error: BaseException) -> Blame:
    """Tell from its SQLSTATE, or from its type when it never came from a database."""
    if isinstance(error, Busy | ConnectionError | TimeoutError) or is_conflict(error) or is_out_of_reach(error):
        return Blame.PASSING
    state = sqlstate_of(error)
    if state is None:
        return Blame.ONE_ROW
    if state == READ_ONLY_SERVER or state[:2] in PASSING_CLASSES:
        return Blame.PASSING
    return Blame.ONE_ROW if state[:2] in ONE_ROW_CLASSES else Blame.ALL
