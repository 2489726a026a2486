"""The hot path of a drop: `POST /api/v1/drops/{sale_id}/orders`, on the lean layer."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec

from core import clock
from core.ids import uuid7
from core.lean import Answer, Headers, header, parse_json, uuid_header
from drops import rules, services
from drops.models import LIMIT_MAX
from sales.errors import NotVerified
from sales.tokens import read_buy_token


class PlaceOrderIn(msgspec.Struct, forbid_unknown_fields=True):
    quantity: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX, description="How many units.")] = 1
    hold: Annotated[
        bool, msgspec.Meta(description="Keep the units until confirmed, where the drop offers it, instead of buying.")
    ] = False


class MoneyOut(msgspec.Struct, gc=False):
    minor: int
    currency: str


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


_decoder = msgspec.json.Decoder(PlaceOrderIn)
_encode = msgspec.json.Encoder().encode


class PlaceOrderEndpoint:
    """201 with the order; 200 with the same order for a repeat of its key. Refusals as their kinds say."""

    def read(self, sale_id: UUID, headers: Headers, body: bytes) -> tuple[services.OrderLane, rules.PlaceOrder]:
        now = clock.now()
        token = read_buy_token(header(headers, b"x-buy-token"), sale_id=sale_id, now_s=now.timestamp())
        if not token.is_verified:
            raise NotVerified
        key = uuid_header(headers, b"idempotency-key")
        asked = parse_json(body, _decoder)
        command = rules.PlaceOrder(
            order_id=uuid7(), transfer_id=uuid7(), fan_id=token.fan_id, idempotency_key=key, quantity=asked.quantity,
            hold=asked.hold, received_at=now,
        )  # fmt: skip
        return services.lanes[sale_id], command

    def answer(self, command: rules.PlaceOrder, order: rules.Order) -> Answer:
        return (201 if order.id == command.order_id else 200), _encode(order_out(order)), []


PLACE_ORDER = PlaceOrderEndpoint()


def order_out(order: rules.Order) -> OrderOut:
    return OrderOut(
        id=order.id,
        sale_id=order.drop_id,
        quantity=order.quantity,
        unit_price=MoneyOut(order.unit_price_minor, order.currency),
        total=MoneyOut(order.total_minor, order.currency),
        state=order.state,
        is_hold=order.is_hold,
        placed_at=order.placed_at,
        expires_at=order.expires_at,
        terms_sha256=order.terms_sha256,
    )
