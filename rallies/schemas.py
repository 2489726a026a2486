from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from core.money import Money
from core.schemas import In, Minor, MoneyOut
from rallies.models import (
    CAP_MAX,
    INVITE_LENGTH_MAX,
    INVITE_PATTERN,
    REPEAT_DAYS_MAX,
    REPEATS_MAX,
    Rally,
)
from rallies.pricing import TIERS_MAX, PriceTier
from rallies.selectors import outcomes_of, tiers_of
from sales.rows import LIMIT_MAX
from sales.schemas import SaleIn, SellersSaleOut

Count = Annotated[int, Field(strict=True, ge=1, le=CAP_MAX)]
Units = Annotated[int, Field(strict=True, ge=1, le=LIMIT_MAX)]


class TierIn(In):
    """From `from_count` joiners (or units) on, a unit costs `price_minor`."""

    from_count: Count
    price_minor: Minor


class RallyIn(SaleIn):
    """A new rally. The id is made by the client, so that a repeat makes one rally."""

    tiers: Annotated[list[TierIn], Field(min_length=1, max_length=TIERS_MAX)]
    basis: Literal["joiners", "units"] = "joiners"
    minimum: Count = 1
    cap_units: Count | None = None
    limit_per_fan: Units = 1
    audience: Literal["everyone", "invited"] = "everyone"
    late_joins: Annotated[bool, Field(strict=True)] = False
    repeats_every_days: Annotated[int, Field(strict=True, ge=1, le=REPEAT_DAYS_MAX)] | None = None
    repeats_left: Annotated[int, Field(strict=True, ge=0, le=REPEATS_MAX)] = 0
    repeats_zone: Annotated[str, Field(max_length=40)] = "UTC"

    def as_draft(self, seller_id: UUID, now: dt.datetime) -> dict[str, Any]:
        tiers = [PriceTier(tier.from_count, tier.price_minor) for tier in self.tiers]
        return {**super().as_draft(seller_id, now), "tiers": tiers}


class TierOut(Schema):
    from_count: int
    price: MoneyOut


class OutcomeOut(Schema):
    """What the rally ended at. Nobody pays unless it did run."""

    joiners: int
    units: int
    price: MoneyOut
    did_run: bool


class RallyOut(SellersSaleOut):
    tiers: list[TierOut]
    basis: str
    minimum: int
    cap_units: int | None
    limit_per_fan: int
    audience: str
    late_joins: bool
    late_until: dt.datetime | None
    firm_s: int
    seller_invite: str
    repeats_every_days: int | None
    repeats_left: int
    repeats_zone: str
    outcome: OutcomeOut | None

    @staticmethod
    def resolve_tiers(rally: Rally) -> list[dict[str, Any]]:
        return [
            {"from_count": tier.from_count, "price": Money(tier.price_minor, rally.sale.currency)}
            for tier in tiers_of(rally.sale_id)
        ]

    @staticmethod
    def resolve_outcome(rally: Rally) -> OutcomeOut | None:
        outcome = outcomes_of([rally.sale_id]).get(rally.sale_id)
        if outcome is None:
            return None
        price = MoneyOut(minor=outcome.price_minor, currency=rally.sale.currency)
        return OutcomeOut(joiners=outcome.joiners, units=outcome.units, price=price, did_run=outcome.did_run)


class JoinFacts(Schema):
    """What a fan and a seller see of a join, a `shown.JoinRow`. Totals; null where there is nothing to say (any more)."""

    id: UUID = Field(alias="join.id")
    sale_id: UUID = Field(alias="sale.id")
    quantity: int = Field(alias="join.quantity")
    state: str = Field(alias="join.state")
    ceiling: MoneyOut = Field(alias="sums.ceiling")  # of one unit
    held: MoneyOut = Field(alias="sums.held")
    paid: MoneyOut | None = Field(alias="sums.paid")
    released: MoneyOut | None = Field(alias="sums.released")
    saved: MoneyOut | None = Field(alias="sums.saved")
    only_at_or_below: int | None = Field(alias="join.only_at_or_below_minor")
    joined_at: dt.datetime = Field(alias="join.joined_at")
    changed_at: dt.datetime = Field(alias="join.changed_at")
    terms_sha256: str = Field(alias="join.terms_sha256")


class MyJoinOut(JoinFacts):
    invite_code: str = Field(alias="join.invite_code")


class SellersJoinOut(JoinFacts):
    fan: str  # the name that this sale's proof gives them


class LateJoinIn(In):
    """The id is made by the client and kept over its retries."""

    id: UUID
    quantity: Units = 1
    invite: Annotated[str, Field(max_length=INVITE_LENGTH_MAX, pattern=INVITE_PATTERN)] = ""


class LateJoinOut(Schema):  # from a `shown.LateRow`
    id: UUID = Field(alias="join.id")
    sale_id: UUID = Field(alias="sale.id")
    quantity: int = Field(alias="join.quantity")
    paid: MoneyOut = Field(alias="total")
    joined_at: dt.datetime = Field(alias="join.joined_at")
    terms_sha256: str = Field(alias="join.terms_sha256")


class BroughtOut(Schema):
    """Somebody who came by the fan's link: the first of the names they gave themselves, or their pseudonym here."""

    name: str
    quantity: int
