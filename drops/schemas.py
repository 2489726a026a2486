from __future__ import annotations

from typing import Annotated

from pydantic import Field

from core.money import Money
from core.schemas import Minor, MoneyOut
from drops.models import CANCEL_S_MAX, HOLD_S_MAX, UNITS_MAX, Drop
from sales.rows import LIMIT_MAX
from sales.schemas import SaleIn, SellersSaleOut


class DropIn(SaleIn):
    """A new drop. The id is made by the client, so that a repeat makes one drop."""

    price_minor: Minor
    units_total: Annotated[int, Field(strict=True, ge=1, le=UNITS_MAX)]
    limit_per_fan: Annotated[int, Field(strict=True, ge=1, le=LIMIT_MAX)] | None = None
    hold_s: Annotated[int, Field(strict=True, ge=0, le=HOLD_S_MAX)] = 0
    cancel_s: Annotated[int, Field(strict=True, ge=0, le=CANCEL_S_MAX)] = 0


class DropOut(SellersSaleOut):
    price: MoneyOut
    units_total: int
    limit_per_fan: int | None
    hold_s: int
    cancel_s: int

    @staticmethod
    def resolve_price(drop: Drop) -> Money:
        return Money(drop.price_minor, drop.sale.currency)
