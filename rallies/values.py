"""What a rally is made of, as values: its terms, joins and outcome, what can be asked of it, and the state of one batch. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from msgspec import Struct

from rallies.errors import JoinNotFound
from rallies.pricing import PriceTier, crowds, reached
from sales.deciding import MoneyState, ThingsDecision
from sales.standing import SaleTerms, Standing
from sales.stock import Stock

JOINED = "joined"
LEFT = "left"
REMOVED = "removed"
PAID = "paid"
RELEASED = "released"
REFUNDED = "refunded"


class RallyTerms(SaleTerms, frozen=True, gc=False):
    rally_id: UUID
    counts_units: bool
    minimum: int
    cap_units: int | None
    limit_per_fan: int
    needs_invite: bool
    late_until: dt.datetime | None  # None: no joins after the end
    firm_s: int
    seller_invite: str
    tiers: tuple[PriceTier, ...]


class JoinValue(Struct, frozen=True, gc=False):
    """A fan's place in the rally as a value; the same facts as its row."""

    rally_id: UUID
    fan_id: UUID
    id: UUID
    idempotency_key: UUID
    quantity: int
    only_at_or_below_minor: int | None
    level: int
    bucket: int
    state: str
    transfer_id: UUID
    invite_code: str
    invited_by: UUID | None
    stays_counted: bool
    terms_sha256: str
    joined_at: dt.datetime
    changed_at: dt.datetime


class LateJoinValue(Struct, frozen=True, gc=False):
    """A purchase at the final price after the end."""

    rally_id: UUID
    fan_id: UUID
    id: UUID
    idempotency_key: UUID
    quantity: int
    transfer_id: UUID
    terms_sha256: str
    joined_at: dt.datetime


class OutcomeValue(Struct, frozen=True, gc=False):
    """What the rally ended at, fixed once."""

    joiners: int
    units: int
    level: int
    price_minor: int
    did_run: bool


class JoinRally(Struct, frozen=True, gc=False):
    """Join with `quantity` units, perhaps only if the price falls to `only_at_or_below_minor`. Ids are made when it is received."""

    join_id: UUID
    transfer_id: UUID
    fan_id: UUID
    idempotency_key: UUID
    quantity: int
    only_at_or_below_minor: int | None
    invite: str  # the code of whoever brought the fan, or ""
    invite_code: str  # the fan's own, for those they bring
    received_at: dt.datetime


class OfFan(Struct, frozen=True, gc=False):
    """A command about the place that a fan has."""

    fan_id: UUID
    received_at: dt.datetime


class LeaveRally(OfFan, frozen=True, gc=False):
    """The fan leaves before the close: the hold ends, and the crowd is one smaller unless the end is near."""


class RemoveFan(OfFan, frozen=True, gc=False):
    """The seller turns a fan out before the close."""


class RefundJoin(OfFan, frozen=True, gc=False):
    """The rally was called off while it was settled: a fan who paid has everything back, the seller the house's fee."""


class ReleaseJoin(OfFan, frozen=True, gc=False):
    """The rally was called off: the hold ends."""


class JoinLate(Struct, frozen=True, gc=False):
    """Buy at the final price after the end, while the cap leaves units."""

    join_id: UUID
    transfer_id: UUID
    fan_id: UUID
    idempotency_key: UUID
    quantity: int
    invite: str
    received_at: dt.datetime


Command = JoinRally | LeaveRally | RemoveFan | RefundJoin | ReleaseJoin | JoinLate


class Crowd(Struct, frozen=True, gc=False):
    """How many count for the price now, and what that price is. `waiting` joins accept only lower prices."""

    joiners: int
    units: int
    waiting: int
    level: int
    price_minor: int


@dataclass(slots=True)
class Counts:
    """How many have joined, by the first tier they accept."""

    joiners: list[int]
    units: list[int]

    @classmethod
    def of(cls, tiers: Sequence[PriceTier], joiners: int, units: int, limited: Iterable[Sequence[int]] = ()) -> Counts:
        """From how many joined in all, and of them those with a limit: (level, joiners, units)."""
        counts = cls([joiners, *[0] * (len(tiers) - 1)], [units, *[0] * (len(tiers) - 1)])
        for level, limited_joiners, limited_units in limited:
            counts.add(level, limited_joiners, limited_units)
            counts.add(0, -limited_joiners, -limited_units)
        return counts

    def add(self, level: int, joiners: int, units: int) -> None:
        self.joiners[level] += joiners
        self.units[level] += units


@dataclass(slots=True)
class State(MoneyState):
    """What one transaction's snapshot shows of the rally, as far as its batch needs it. `decide` changes it as it goes."""

    terms: RallyTerms
    standing: Standing
    counts: Counts
    home: int  # the bucket that counts this process' joins
    stock: Stock | None = None  # None: no cap
    outcome: OutcomeValue | None = None
    joins: dict[UUID, JoinValue] = field(default_factory=dict)  # of the batch's fans
    late: dict[UUID, LateJoinValue] = field(default_factory=dict)
    inviters: dict[str, UUID] = field(default_factory=dict)  # invite code → its fan; not of those who were removed
    shop_is_on: bool = True  # only looked at for late joins: a running sale is frozen with its shop

    @property
    def crowd(self) -> Crowd:
        return crowd(self.terms, self.counts)


@dataclass(slots=True)
class Decision(ThingsDecision[JoinValue]):
    """Joins by their fans."""

    late: list[LateJoinValue] = field(default_factory=list)
    # (bucket, level) → joiners, units
    count_changes: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    stock_changes: dict[int, int] = field(default_factory=dict)  # bucket → units


def crowd(terms: RallyTerms, counts: Counts) -> Crowd:
    """Who counts for the price, and the price."""
    return crowd_at(terms.tiers, counts, counts_units=terms.counts_units)


def crowd_at(tiers: Sequence[PriceTier], counts: Counts, *, counts_units: bool, level: int | None = None) -> Crowd:
    """`level` where it was fixed at the end; else it follows from the counts."""
    if level is None:
        level = reached(tiers, counts.units if counts_units else counts.joiners)
    joiners = crowds(counts.joiners)
    return Crowd(
        joiners=joiners[level],
        units=crowds(counts.units)[level],
        waiting=joiners[-1] - joiners[level],
        level=level,
        price_minor=tiers[level].price_minor,
    )


def known_join(state: State, fan_id: UUID) -> JoinValue:
    mine = state.joins.get(fan_id)
    if mine is None:
        raise JoinNotFound
    return mine


def set_join(state: State, decision: Decision, join: JoinValue) -> None:
    before = state.joins.get(join.fan_id)
    state.joins[join.fan_id] = join
    if join.state == REMOVED:
        state.inviters.pop(join.invite_code, None)  # a link admits nobody once its owner was turned out
    else:
        state.inviters[join.invite_code] = join.fan_id
    decision.set(join.fan_id, before, join)


def count_join(state: State, decision: Decision, join: JoinValue, sign: int) -> None:
    state.counts.add(join.level, sign, sign * join.quantity)
    key = (join.bucket, join.level)
    joiners, units = decision.count_changes.get(key, (0, 0))
    decision.count_changes[key] = (joiners + sign, units + sign * join.quantity)
