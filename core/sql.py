"""Small helpers for set-based SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import msgspec

from core.transactions import Conflict40001, joins_transaction
from dsql.together import execute_together

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


def array(values: Iterable[Any]) -> str | list[Any]:
    """Values as one array parameter, to be cast (`%s::uuid[]`) and unnested: a batch is one statement, however large.

    UUIDs, numbers, booleans, times, None and plain words look the same in a JSON array as in PostgreSQL's array literal, but
    for the brackets. Writing them by a JSON encoder takes a tenth of the time that adapting a list does. Text that would need
    escapes, where the two differ, goes the slow way.
    """
    listed = list(values)
    text = _encode(listed).decode()
    if "\\" in text:
        return listed
    return "{" + text[1:-1] + "}"


PART = 1_000


def parts(values: Iterable[T]) -> Iterator[list[T]]:
    """The values, as many at a time as one transaction may write (DSQL takes 3,000 rows)."""
    rest = iter(values)
    while part := list(islice(rest, PART)):
        yield part


class Statement(NamedTuple):
    """A statement of a batch. With `rows`, it must write that many: fewer means that some moved since they were read."""

    sql: str
    params: Sequence[Any]
    rows: int | None = None


@joins_transaction
def execute_all(statements: Sequence[Statement]) -> list[list[tuple[Any, ...]]]:
    """Run the statements in one round trip; the rows that each gave. Raises Conflict40001 when a guard let fewer rows through.

    A round trip costs a lane more than its statement: the network, and its turn at the interpreter several times over.
    """
    if not statements:
        return []
    results = execute_together([(statement.sql, statement.params) for statement in statements])
    for statement, result in zip(statements, results, strict=True):
        if statement.rows is not None and result.written != statement.rows:
            raise Conflict40001("rows moved since they were read")
    return [result.rows for result in results]
