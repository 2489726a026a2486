from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

from ninja import Schema
from pydantic import Field

from core.schemas import Minor, MoneyOut
from drops.models import CANCEL_S_MAX, HOLD_S_MAX, LIMIT_MAX, UNITS_MAX, Drop, Order
from sales.schemas import SaleIn


class DropIn(SaleIn):
    """A new drop. The id is made by the client, so that a repeat makes one drop."""

    price_minor: Minor
    units_total: Annotated[int, Field(strict=True, ge=1, le=UNITS_MAX)]
    limit_per_fan: Annotated[int, Field(strict=True, ge=1, le=LIMIT_MAX)] | None = None
    hold_s: Annotated[int, Field(strict=True, ge=0, le=HOLD_S_MAX)] = 0
    cancel_s: Annotated[int, Field(strict=True, ge=0, le=CANCEL_S_MAX)] = 0


class DropOut(Schema):
    sale_id: UUID
    state: str
    title: str
    price: MoneyOut
    units_total: int
    limit_per_fan: int | None
    hold_s: int
    cancel_s: int
    fee_bps: int
    opens_at: dt.datetime
    closes_at: dt.datetime
    terms_sha256: str

    @classmethod
    def of(cls, drop: Drop) -> DropOut:
        sale = drop.sale
        return cls(
            sale_id=sale.id, state=sale.state, title=sale.title, units_total=drop.units_total,
            price=MoneyOut(minor=drop.price_minor, currency=sale.currency), limit_per_fan=drop.limit_per_fan,
            hold_s=drop.hold_s, cancel_s=drop.cancel_s, fee_bps=drop.fee_bps, opens_at=sale.opens_at,
            closes_at=sale.closes_at, terms_sha256=sale.terms_sha256,
        )  # fmt: skip


class OrderOut(Schema):
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

    @classmethod
    def of(cls, order: Order) -> OrderOut:
        return cls(
            id=order.id, sale_id=order.drop_id, quantity=order.quantity,
            unit_price=MoneyOut(minor=order.unit_price_minor, currency=order.currency),
            total=MoneyOut(minor=order.total_minor, currency=order.currency), state=order.state,
            is_hold=order.is_hold, placed_at=order.placed_at, expires_at=order.expires_at,
            terms_sha256=order.terms_sha256,
        )  # fmt: skip
