from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status
from ninja.security import django_auth

from core import clock
from core.http import user_id
from core.schemas import RefusalOut
from drops import selectors, services
from drops.models import Drop
from drops.schemas import DropIn, DropOut, OrderOut
from sales.lifecycle_api import REFUSALS, check_zones, lifecycle_routes
from sales.selectors import with_terms
from sellers import selectors as sellers

router = Router(auth=django_auth)


# A fan's own orders


@router.get("/orders", response={200: list[OrderOut], 401: RefusalOut}, tags=["orders"])
def list_orders(request: HttpRequest) -> list[OrderOut]:
    return [OrderOut.of(order) for order in selectors.list_orders_of_fan(user_id(request))]


@router.get("/orders/{uuid:order_id}", response={200: OrderOut} | REFUSALS, tags=["orders"])
def get_order(request: HttpRequest, order_id: UUID) -> OrderOut:
    return OrderOut.of(selectors.get_order_of_fan(user_id(request), order_id))


@router.post("/orders/{uuid:order_id}/confirm", response={200: OrderOut} | REFUSALS, tags=["orders"])
def confirm_order(request: HttpRequest, order_id: UUID) -> OrderOut:
    """Pay for held units. A repeat returns the paid order."""
    order = selectors.get_order_of_fan(user_id(request), order_id)
    services.confirm_order(drop_id=order.drop_id, order_id=order.id, fan_id=user_id(request), now=clock.now())
    return OrderOut.of(selectors.get_order_of_fan(user_id(request), order_id))


@router.post("/orders/{uuid:order_id}/cancel", response={200: OrderOut} | REFUSALS, tags=["orders"])
def cancel_order(request: HttpRequest, order_id: UUID) -> OrderOut:
    """Give the units back and get the money back, while the terms allow. A repeat returns the order."""
    order = selectors.get_order_of_fan(user_id(request), order_id)
    services.cancel_order(drop_id=order.drop_id, order_id=order.id, fan_id=user_id(request), now=clock.now())
    return OrderOut.of(selectors.get_order_of_fan(user_id(request), order_id))


# A seller's drops


@router.post("/sellers/{slug:handle}/drops", response={201: DropOut} | REFUSALS, tags=["seller"])
def create_drop(request: HttpRequest, handle: str, body: DropIn) -> Status[DropOut]:
    """Draft a drop. A repeat with the same sale_id returns it."""
    member = sellers.get_editor(user_id(request), handle)
    check_zones(body)
    return Status(201, DropOut.of(services.draft_drop(**body.as_draft(member.seller_id, clock.now()))))


lifecycle_routes(
    router, format="drop", plural="drops", out=DropOut, show=lambda sale: DropOut.of(with_terms(Drop, sale))
)


@router.get(
    "/sellers/{slug:handle}/drops/{uuid:sale_id}/orders", response={200: list[OrderOut]} | REFUSALS, tags=["seller"]
)
def list_orders_of_drop(request: HttpRequest, handle: str, sale_id: UUID) -> list[OrderOut]:
    """The newest 500 orders."""
    member = sellers.get_membership(user_id(request), handle)
    drop = selectors.get_drop_for_seller(member.seller_id, sale_id)
    return [OrderOut.of(order) for order in selectors.list_orders_of_drop(drop.sale_id)[:500]]


@router.post(
    "/sellers/{slug:handle}/orders/{uuid:order_id}/refund", response={200: OrderOut} | REFUSALS, tags=["seller"]
)
def refund_order(request: HttpRequest, handle: str, order_id: UUID) -> OrderOut:
    """Give the buyer everything back, until the order is settled."""
    member = sellers.get_editor(user_id(request), handle)
    order = selectors.get_order_for_seller(member.seller_id, order_id)
    services.refund_order(drop_id=order.drop_id, order_id=order.id, now=clock.now())
    return OrderOut.of(selectors.get_order_for_seller(member.seller_id, order_id))
