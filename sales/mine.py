"""A fan's pages that are the same for every format: what they have in its sales, and a receipt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from core import clock
from core.errors import NotFound
from core.http import user_id
from core.paging import Page, cursor_of
from sales.bought import BoughtRow, with_refunds
from sales.formats import Format, get_format
from sales.things import Things


@dataclass(frozen=True, slots=True)
class Shelf:
    """A page of one kind of things. `param` is the name of its cursor in the address."""

    things: Things[Any]
    page: Page[BoughtRow]
    param: str


def shelf(format: Format, things: Things[Any], page: Page[Any]) -> Shelf:
    return Shelf(things, page.map(lambda rows: shown(format, rows)), param_of(format, things))


def param_of(format: Format, things: Things[Any]) -> str:
    """`after`, and for a format's second kind of things `after-1`."""
    number = list(format.things).index(things)
    return f"after-{number}" if number else "after"


def shown(format: Format, records: Any) -> list[BoughtRow]:
    return list(with_refunds(format.presenter.rows(records, clock.now())))


@require_safe
@login_required
def mine(request: HttpRequest, format_name: str) -> HttpResponse:
    """What the fan has in the sales of one format."""
    format, fan_id = get_format(format_name), user_id(request)
    shelves = [
        shelf(format, things, things.page_of_fan(fan_id, cursor_of(request, param_of(format, things))))
        for things in format.things
    ]
    return render(request, "sales/mine.html", {"format": format, "shelves": shelves, "now": clock.now()})


@require_safe
@login_required
def receipt(request: HttpRequest, format_name: str, id: UUID) -> HttpResponse:
    format, missing = get_format(format_name), NotFound()
    for things in format.things:
        try:
            (row,) = shown(format, [things.of_fan(user_id(request), id)])
        except NotFound as error:
            missing = error
        else:
            context = {"format": format, "sale": row.sale, "record": row.record, "row": row, "now": clock.now()}
            return render(request, things.receipt, context)
    raise missing
