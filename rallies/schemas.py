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
    LIMIT_MAX,
    REPEAT_DAYS_MAX,
    REPEATS_MAX,
    Join,
    LateJoin,
    Outcome,
    Rally,
)
from rallies.pricing import TIERS_MAX, PriceTier
from rallies.sums import sums_of
from sales.models import Sale
from sales.proof import pseudonym
from sales.schemas import SaleIn

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


class RallyOut(Schema):
    sale_id: UUID
    state: str
    title: str
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
    fee_bps: int
    opens_at: dt.datetime
    closes_at: dt.datetime
    terms_sha256: str
    outcome: OutcomeOut | None

    @classmethod
    def of(cls, rally: Rally, tiers: list[PriceTier], outcome: Outcome | None) -> RallyOut:
        sale = rally.sale
        return cls(
            sale_id=sale.id, state=sale.state, title=sale.title, basis=rally.basis, minimum=rally.minimum,
            tiers=[TierOut(from_count=t.from_count, price=_money(t.price_minor, sale)) for t in tiers],
            cap_units=rally.cap_units, limit_per_fan=rally.limit_per_fan, audience=rally.audience,
            late_joins=rally.late_joins, late_until=rally.late_until, firm_s=rally.firm_s,
            seller_invite=rally.seller_invite, fee_bps=rally.fee_bps, repeats_every_days=rally.repeats_every_days,
            repeats_left=rally.repeats_left, repeats_zone=rally.repeats_zone,
            opens_at=sale.opens_at, closes_at=sale.closes_at, terms_sha256=sale.terms_sha256,
            outcome=_outcome(outcome, sale) if outcome else None,
        )  # fmt: skip


class JoinFacts(Schema):
    """What a fan and a seller see of a join. Totals; null where there is nothing to say yet, or any more."""

    id: UUID
    sale_id: UUID
    quantity: int
    state: str
    ceiling: MoneyOut  # of one unit
    held: MoneyOut
    paid: MoneyOut | None
    released: MoneyOut | None
    saved: MoneyOut | None
    only_at_or_below: int | None
    joined_at: dt.datetime
    changed_at: dt.datetime
    terms_sha256: str


class MyJoinOut(JoinFacts):
    invite_code: str

    @classmethod
    def of(cls, join: Join, tiers: list[PriceTier], level: int) -> MyJoinOut:
        return cls(**_facts(join, join.rally.sale, tiers, level), invite_code=join.invite_code)


class SellersJoinOut(JoinFacts):
    fan: str  # the name that this sale's proof gives them

    @classmethod
    def of(cls, join: Join, sale: Sale, tiers: list[PriceTier], level: int) -> SellersJoinOut:
        return cls(**_facts(join, sale, tiers, level), fan=pseudonym(sale.id, join.fan_id))


class LateJoinIn(In):
    """The id is made by the client and kept over its retries."""

    id: UUID
    quantity: Units = 1
    invite: Annotated[str, Field(max_length=INVITE_LENGTH_MAX, pattern=INVITE_PATTERN)] = ""


class LateJoinOut(Schema):
    id: UUID
    sale_id: UUID
    quantity: int
    paid: MoneyOut
    joined_at: dt.datetime
    terms_sha256: str

    @classmethod
    def of(cls, late: LateJoin, price_minor: int, currency: str) -> LateJoinOut:
        return cls(
            id=late.id, sale_id=late.rally_id, quantity=late.quantity, joined_at=late.joined_at,
            paid=MoneyOut(minor=price_minor * late.quantity, currency=currency), terms_sha256=late.terms_sha256,
        )  # fmt: skip


class BroughtOut(Schema):
    """Somebody who came by the fan's link: the first of the names they gave themselves, or their pseudonym here."""

    name: str
    quantity: int


def _facts(join: Join, sale: Sale, tiers: list[PriceTier], level: int) -> dict[str, Any]:
    sums = sums_of(tiers, sale.currency, quantity=join.quantity, level=join.level, state=join.state, crowd_level=level)
    money = {
        "ceiling": sums.ceiling,
        "held": sums.held,
        "paid": sums.paid,
        "released": sums.released,
        "saved": sums.saved,
    }
    return {
        "id": join.id, "sale_id": join.rally_id, "quantity": join.quantity, "state": join.state,
        "only_at_or_below": join.only_at_or_below_minor, "joined_at": join.joined_at, "changed_at": join.changed_at,
        "terms_sha256": join.terms_sha256,
        **{name: None if amount is None else MoneyOut.of(amount) for name, amount in money.items()},
    }  # fmt: skip


def _outcome(outcome: Outcome, sale: Sale) -> OutcomeOut:
    return OutcomeOut(
        joiners=outcome.joiners, units=outcome.units, price=_money(outcome.price_minor, sale), did_run=outcome.did_run
    )


def _money(minor: int, sale: Sale) -> MoneyOut:
    return MoneyOut.of(Money(minor, sale.currency))
