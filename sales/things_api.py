"""The API of what fans made, which is the same for every format: a fan's list, and the seller's with refunds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field, create_model

from core import clock
from core.http import user_id
from core.paging import Page
from core.schemas import In, Minor, MoneyOut
from sales import mine, refunds
from sales.bought import BoughtRow
from sales.formats import get_format
from sales.lifecycle_api import of_format
from sales.selectors import get_sale_for_seller
from sales.things import Things
from sellers import selectors as sellers
from sellers.api_keys import SELLER_AUTH
from sellers.models import MAY_EDIT_SALES


class RefundIn(In):
    """`amount_minor` of what is left of the payment."""

    amount_minor: Minor
    reason: str = Field("", max_length=refunds.REASON_MAX)


class RefundOut(Schema):
    number: int
    amount: MoneyOut
    reason: str
    at: dt.datetime


class BoughtOut(Schema):
    """A purchase as its seller sees it, from a `sales.bought.BoughtRow`. Totals, but for the price of a unit."""

    id: UUID = Field(alias="record.id")
    sale_id: UUID = Field(alias="sale.id")
    fan: str  # the name that this sale's proof gives them
    quantity: int = Field(alias="record.quantity")
    state: str
    price: MoneyOut
    held: MoneyOut
    paid: MoneyOut  # also what was refunded since
    refunded: MoneyOut
    refunds: list[RefundOut]
    at: dt.datetime
    terms_sha256: str = Field(alias="record.terms_sha256")


class BoughtPage(Schema):
    items: list[BoughtOut] = Field(alias="rows")
    next: str | None


def things_routes(
    router: Router, *, format: str, things: Things[Any], name: str, plural: str, mine_at: str, out: Any,
    show: Callable[[Sequence[Any]], Sequence[Any]],
) -> None:  # fmt: skip
    """`GET {mine_at}` lists the fan's own, as `out` by `show`; `GET /sellers/{handle}/{plural}/{sale_id}/{name}` those of a sale,
    and `PUT …/{id}/refunds/{number}` refunds one. Lists go on with `?after=` and the `next` of the page before."""
    page_out: Any = create_model(
        f"{name.capitalize()}Page", __base__=Schema, items=(list[out], ...), next=(str | None, None)
    )
    place = f"/sellers/{{slug:handle}}/{plural}/{{uuid:sale_id}}/{name}"

    @router.get(
        mine_at, response=page_out, tags=[plural], operation_id=f"{plural}_list_{name}",
        summary=f"Your {name}",
    )  # fmt: skip
    def list_mine(request: HttpRequest, after: str = "") -> Any:
        page = things.page_of_fan(user_id(request), after)
        return {"items": show(page.rows), "next": page.next}

    @router.get(
        place, response=BoughtPage, tags=["seller"], auth=SELLER_AUTH, operation_id=f"{plural}_list_{name}_of_sale",
        summary=f"The {name} of one of the shop's {plural}",
    )  # fmt: skip
    def list_of_sale(
        request: HttpRequest, handle: str, sale_id: UUID, after: str = "", state: str = "", search: str = Query("", max_length=120),
    ) -> Page[BoughtRow]:  # fmt: skip
        member = sellers.get_membership(user_id(request), handle)
        of_format(get_sale_for_seller(member.seller_id, sale_id), format)
        page = things.page_of_sale(sale_id, after, state=state, search=search, emails=member.role in MAY_EDIT_SALES)
        return page.map(lambda rows: mine.shown(get_format(format), rows))

    @router.put(
        f"{place}/{{uuid:id}}/refunds/{{int:number}}", response=BoughtOut, tags=["seller"],
        operation_id=f"{plural}_refund_{name}", summary="Give back what was paid, or a part of it",
    )  # fmt: skip
    def refund(request: HttpRequest, handle: str, sale_id: UUID, id: UUID, number: int, body: RefundIn) -> BoughtRow:
        """The purchase's refund `number`, counted from 1. A repeat with the same amount changes nothing."""
        member = sellers.get_editor(user_id(request), handle)
        of_format(get_sale_for_seller(member.seller_id, sale_id), format)
        refunds.refund(
            seller_id=member.seller_id, sale_id=sale_id, purchase_id=id, number=number, amount_minor=body.amount_minor,
            reason=body.reason, made_by=member.user_id, now=clock.now(),
        )  # fmt: skip
        return mine.shown(get_format(format), [things.of_seller(member.seller_id, id)])[0]
