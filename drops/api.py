from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status
from ninja.security import django_auth

from core import clock
from core.errors import Invalid
from core.http import user_id
from core.schemas import RefusalOut
from drops import selectors, services
from drops.schemas import DropIn, DropOut, OrderOut
from sales import services as sales
from sellers import selectors as sellers

router = Router(auth=django_auth)

REFUSALS = {401: RefusalOut, 403: RefusalOut, 404: RefusalOut, 409: RefusalOut, 422: RefusalOut, 503: RefusalOut}


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
    if body.opens_at.tzinfo is None or body.closes_at.tzinfo is None:
        raise Invalid("Times need their UTC offset, as in 2026-01-31T18:00:00Z.", field="opens_at")
    drop = services.draft_drop(seller_id=member.seller_id, now=clock.now(), **body.dict())
    return Status(201, DropOut.of(drop))


@router.get("/sellers/{slug:handle}/drops/{uuid:sale_id}", response={200: DropOut} | REFUSALS, tags=["seller"])
def get_drop(request: HttpRequest, handle: str, sale_id: UUID) -> DropOut:
    member = sellers.get_membership(user_id(request), handle)
    return DropOut.of(selectors.get_drop_for_seller(member.seller_id, sale_id))


@router.get(
    "/sellers/{slug:handle}/drops/{uuid:sale_id}/orders", response={200: list[OrderOut]} | REFUSALS, tags=["seller"]
)
def list_orders_of_drop(request: HttpRequest, handle: str, sale_id: UUID) -> list[OrderOut]:
    """The newest 500 orders."""
    member = sellers.get_membership(user_id(request), handle)
    drop = selectors.get_drop_for_seller(member.seller_id, sale_id)
    return [OrderOut.of(order) for order in selectors.list_orders_of_drop(drop.sale_id)[:500]]


@router.post("/sellers/{slug:handle}/drops/{uuid:sale_id}/publish", response={200: DropOut} | REFUSALS, tags=["seller"])
def publish_drop(request: HttpRequest, handle: str, sale_id: UUID) -> DropOut:
    """Seal the terms and put the drop on its schedule."""
    member = sellers.get_editor(user_id(request), handle)
    sales.publish_sale(seller_id=member.seller_id, sale_id=sale_id, now=clock.now())
    return DropOut.of(selectors.get_drop_for_seller(member.seller_id, sale_id))


@router.post("/sellers/{slug:handle}/drops/{uuid:sale_id}/cancel", response={200: DropOut} | REFUSALS, tags=["seller"])
def cancel_drop(request: HttpRequest, handle: str, sale_id: UUID) -> DropOut:
    """Call the drop off; everybody who paid gets all of it back."""
    member = sellers.get_editor(user_id(request), handle)
    sales.cancel_sale(seller_id=member.seller_id, sale_id=sale_id, now=clock.now())
    return DropOut.of(selectors.get_drop_for_seller(member.seller_id, sale_id))


@router.post("/sellers/{slug:handle}/drops/{uuid:sale_id}/close", response={200: DropOut} | REFUSALS, tags=["seller"])
def close_drop(request: HttpRequest, handle: str, sale_id: UUID) -> DropOut:
    """End a running drop before its time; it is settled then."""
    member = sellers.get_editor(user_id(request), handle)
    sales.close_sale_early(seller_id=member.seller_id, sale_id=sale_id, now=clock.now())
    return DropOut.of(selectors.get_drop_for_seller(member.seller_id, sale_id))


@router.post(
    "/sellers/{slug:handle}/orders/{uuid:order_id}/refund", response={200: OrderOut} | REFUSALS, tags=["seller"]
)
def refund_order(request: HttpRequest, handle: str, order_id: UUID) -> OrderOut:
    """Give the buyer everything back, until the order is settled."""
    member = sellers.get_editor(user_id(request), handle)
    order = selectors.get_order_for_seller(member.seller_id, order_id)
    services.refund_order(drop_id=order.drop_id, order_id=order.id, now=clock.now())
    return OrderOut.of(selectors.get_order_for_seller(member.seller_id, order_id))
