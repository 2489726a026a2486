from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Router
from ninja.security import django_auth

from core import clock
from core.http import user_id
from core.schemas import schema_of
from drops import selectors, services
from drops.hot import OrderOut, order_out
from drops.models import Drop, Order
from sales.lifecycle_api import lifecycle_routes
from sales.things_api import things_routes

router = Router(auth=django_auth)
Out = schema_of(OrderOut)


# A fan's own orders


def _shown(order: Order) -> OrderOut:
    return order_out(order, frozen_ms=order.drop.sale.frozen_ms)


@router.get("/orders/{uuid:order_id}", response=Out, tags=["orders"])
def get_order(request: HttpRequest, order_id: UUID) -> OrderOut:
    return _shown(selectors.orders.of_fan(user_id(request), order_id))


@router.post("/orders/{uuid:order_id}/confirm", response=Out, tags=["orders"])
def confirm_order(request: HttpRequest, order_id: UUID) -> OrderOut:
    """Pay for held units. A repeat returns the paid order."""
    order = selectors.orders.of_fan(user_id(request), order_id)
    done = services.confirm_order(drop_id=order.drop_id, order_id=order.id, fan_id=order.fan_id, now=clock.now())
    return order_out(done)


@router.post("/orders/{uuid:order_id}/cancel", response=Out, tags=["orders"])
def cancel_order(request: HttpRequest, order_id: UUID) -> OrderOut:
    """Give the units back and get the money back, while the terms allow. A repeat returns the order."""
    order = selectors.orders.of_fan(user_id(request), order_id)
    done = services.cancel_order(drop_id=order.drop_id, order_id=order.id, fan_id=order.fan_id, now=clock.now())
    return order_out(done)


# A seller's drops

lifecycle_routes(router, format="drop", plural="drops", draft=services.draft_drop, model=Drop)

things_routes(
    router, format="drop", plural="drops", things=selectors.orders, name="orders", mine_at="/orders", out=Out,
    show=lambda orders: [_shown(order) for order in orders],
)  # fmt: skip
