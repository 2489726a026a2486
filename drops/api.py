from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Router
from ninja.security import django_auth

from core import clock
from core.http import user_id
from core.schemas import RefusalOut, schema_of
from drops import selectors, services
from drops.hot import OrderOut, order_out
from drops.models import Drop
from sales.lifecycle_api import REFUSALS, lifecycle_routes
from sales.selectors import get_sale_for_seller, with_terms
from sellers import selectors as seller_selectors

router = Router(auth=django_auth)
Out = schema_of(OrderOut)
Outs = list[Out]  # type: ignore[valid-type]  # mypy cannot know what is made as the program runs


# A fan's own orders


@router.get("/orders", response={200: Outs, 401: RefusalOut}, tags=["orders"])
def list_orders(request: HttpRequest) -> list[OrderOut]:
    return [order_out(order) for order in selectors.orders.list_of_fan(user_id(request))]


@router.get("/orders/{uuid:order_id}", response={200: Out} | REFUSALS, tags=["orders"])
def get_order(request: HttpRequest, order_id: UUID) -> OrderOut:
    return order_out(selectors.orders.of_fan(user_id(request), order_id))


@router.post("/orders/{uuid:order_id}/confirm", response={200: Out} | REFUSALS, tags=["orders"])
def confirm_order(request: HttpRequest, order_id: UUID) -> OrderOut:
    """Pay for held units. A repeat returns the paid order."""
    order = selectors.orders.of_fan(user_id(request), order_id)
    done = services.confirm_order(drop_id=order.drop_id, order_id=order.id, fan_id=order.fan_id, now=clock.now())
    return order_out(done)


@router.post("/orders/{uuid:order_id}/cancel", response={200: Out} | REFUSALS, tags=["orders"])
def cancel_order(request: HttpRequest, order_id: UUID) -> OrderOut:
    """Give the units back and get the money back, while the terms allow. A repeat returns the order."""
    order = selectors.orders.of_fan(user_id(request), order_id)
    done = services.cancel_order(drop_id=order.drop_id, order_id=order.id, fan_id=order.fan_id, now=clock.now())
    return order_out(done)


# A seller's drops

lifecycle_routes(router, format="drop", plural="drops", draft=services.draft_drop, model=Drop)


@router.get("/sellers/{slug:handle}/drops/{uuid:sale_id}/orders", response={200: Outs} | REFUSALS, tags=["seller"])
def list_orders_of_drop(request: HttpRequest, handle: str, sale_id: UUID) -> list[OrderOut]:
    """The newest 500 orders."""
    member = seller_selectors.get_membership(user_id(request), handle)
    drop = with_terms(Drop, get_sale_for_seller(member.seller_id, sale_id))
    return [order_out(order) for order in selectors.orders.list_of_sale(drop.sale_id, limit=500)]


@router.post("/sellers/{slug:handle}/orders/{uuid:order_id}/refund", response={200: Out} | REFUSALS, tags=["seller"])
def refund_order(request: HttpRequest, handle: str, order_id: UUID) -> OrderOut:
    """Give the buyer everything back, until the order is settled."""
    member = seller_selectors.get_editor(user_id(request), handle)
    order = selectors.orders.of_seller(member.seller_id, order_id)
    done = services.refund_order(drop_id=order.drop_id, order_id=order.id, now=clock.now())
    return order_out(done)
