"""Pages of a list: the newest first, each page going on behind the last row of the one before (keyset), however many there are.

Ids are UUIDv7 and so in the order of time: a cursor is the last id that was shown. Rows that are added while somebody pages are
newer than all cursors, and shift nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from core.errors import Invalid

T = TypeVar("T")
U = TypeVar("U")
PAGE_ROWS = 50
AFTER = "after"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursor of the next page; None at the end."""

    rows: Sequence[T]
    next: str | None = None

    def map(self, show: Callable[[Sequence[T]], Sequence[U]]) -> Page[U]:
        return Page(show(self.rows), self.next)


def page_of(rows: QuerySet[Any], cursor: str, *, by: Sequence[str] = ("-id",), size: int | None = None) -> Page[Any]:
    """The rows behind `cursor` ("": the first page) in the order `by`, whose columns are all descending or all ascending and
    together name one row; PAGE_ROWS of them if not `size`. Raises Invalid for a cursor that none of our pages gave."""
    size = size or PAGE_ROWS
    names = [column.removeprefix("-") for column in by]
    if cursor:
        rows = rows.filter(
            _behind(rows.model, names, read_cursor(rows.model, names, cursor), "lt" if by[0][0] == "-" else "gt")
        )
    return page_from(list(rows.order_by(*by)[: size + 1]), names, size)


def page_from(found: Sequence[Any], names: Sequence[str], size: int) -> Page[Any]:
    """The page of these rows, of which one more was asked for than it takes, to know whether there is a next one."""
    if len(found) <= size:
        return Page(found)
    last = found[size - 1]
    return Page(found[:size], "_".join(_written(getattr(last, name)) for name in names))


def cursor_of(request: HttpRequest, name: str = AFTER) -> str:
    return request.GET.get(name, "")


def _behind(model: Any, names: Sequence[str], values: Sequence[Any], than: str) -> Q:
    """Row-wise: behind in the first column, or as far in that one and behind in the next."""
    behind, same = Q(), Q()
    for name, value in zip(names, values, strict=True):
        behind |= same & Q(**{f"{name}__{than}": value})
        same &= Q(**{name: value})
    return behind


def read_cursor(model: Any, names: Sequence[str], cursor: str) -> list[Any]:
    """The values of these columns at which the page before ended. Raises Invalid."""
    parts = cursor.split("_")
    try:
        if len(parts) != len(names) or len(cursor) > 200:
            raise ValueError
        return [model._meta.get_field(name).to_python(part) for name, part in zip(names, parts, strict=True)]
    except Exception as error:  # whatever the column's type finds wrong with it
        raise Invalid(_("This is no page of the list."), field=AFTER) from error


def _written(value: Any) -> str:
    return str(value) if isinstance(value, UUID | int) else value.isoformat()
