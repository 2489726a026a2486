"""The hot path of a drop: `POST /api/v1/drops/{sale_id}/orders`."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec

from core.ids import uuid7
from drops import rules, services
from drops.models import Order
from drops.rules import OrderValue
from sales.placing import Asked, MoneyOut, Place, Quantity


class PlaceOrderIn(msgspec.Struct, forbid_unknown_fields=True):
    quantity: Quantity = 1
    hold: Annotated[
        bool, msgspec.Meta(description="Keep the units until confirmed, where the drop offers it, instead of buying.")
    ] = False


class OrderOut(msgspec.Struct, gc=False):
    id: UUID
    sale_id: UUID
    quantity: int
    unit_price: MoneyOut
    total: MoneyOut
    state: str
    is_hold: bool
    placed_at: dt.datetime
    expires_at: dt.datetime | None
    terms_sha256: str


def order_command(asked: Asked) -> rules.PlaceOrder:
    body: PlaceOrderIn = asked.body
    return rules.PlaceOrder(
        order_id=uuid7(), transfer_id=uuid7(), fan_id=asked.fan_id, idempotency_key=asked.key, quantity=body.quantity,
        hold=body.hold, received_at=asked.now,
    )  # fmt: skip


def order_answer(lane: services.OrderLane, command: rules.PlaceOrder, order: OrderValue) -> tuple[bool, OrderOut]:
    return order.id == command.order_id, order_out(order)


def order_out(order: OrderValue | Order, *, frozen_ms: int | None = None) -> OrderOut:
    """`frozen_ms` is the sale's by now, where it may have been paused since the order was placed."""
    now_ms = order.frozen_ms if frozen_ms is None else frozen_ms
    return OrderOut(
        id=order.id,
        sale_id=order.drop_id,
        quantity=order.quantity,
        unit_price=MoneyOut(order.unit_price_minor, order.currency),
        total=MoneyOut(order.total_minor, order.currency),
        state=order.state,
        is_hold=order.is_hold,
        placed_at=order.placed_at,
        expires_at=rules.hold_ends_at(order, frozen_ms=now_ms) if order.expires_at else None,
        terms_sha256=order.terms_sha256,
    )


PLACE_ORDER = Place(
    before="/api/v1/drops/",
    after="/orders",
    body=PlaceOrderIn,
    outcome=OrderOut,
    lane=services.lanes.__getitem__,
    command=order_command,
    answer=order_answer,
    operation_id="drops_place_order",
    summary="Buy, or hold, units of a drop",
    tag="drops",
    thing="order",
    refused={
        "403": "not_verified",
        "409": "sold_out, limit_reached, insufficient_funds, not_open or idempotency_conflict",
        "422": "invalid or hold_not_offered",
    },
)
