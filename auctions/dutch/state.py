"""What a batch of claims is decided on, and what comes of it, pure: who takes which units at what price, and the money held."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from msgspec import Struct

from auctions.bidders import Bidder
from auctions.charges import HOLD_OUTLIVES_END
from auctions.dutch.rules import Claim, DutchTerms, decide_claim
from auctions.errors import Sold
from ledger import rules as ledger_rules
from ledger.rules import Transfer
from sales.deciding import MoneyState, ThingsDecision, decide_each, move_money
from sales.errors import IdempotencyConflict
from sales.standing import SaleTerms, Standing, check_open
from sales.stock import Stock

HELD = "held"
PAID = "paid"
RELEASED = "released"
REFUNDED = "refunded"


class FallingTerms(SaleTerms, frozen=True, gc=False):
    """The sealed terms as they are kept: without the times that a pause moves."""

    sale_id: UUID
    start_minor: int
    floor_minor: int
    step_minor: int
    interval_s: int
    pays: str
    premium_bps: int

    def now(self, standing: Standing) -> DutchTerms:
        """With the times as they stand now. The lot stays at its lowest price until the sale closes."""
        steps = -(-(self.start_minor - self.floor_minor) // self.step_minor)
        at_floor = standing.opens_at + dt.timedelta(seconds=self.interval_s) * steps
        return DutchTerms(
            currency=self.currency, start_minor=self.start_minor, floor_minor=self.floor_minor, step_minor=self.step_minor,
            interval_s=self.interval_s, floor_s=int((standing.closes_at - at_floor).total_seconds()), opens_at=standing.opens_at,
            pays=self.pays, premium_bps=self.premium_bps, fee_bps=self.fee_bps,
        )  # fmt: skip


class PlaceClaim(Struct, frozen=True, gc=False):
    """Take units at the price of the moment, if that is at most `at_most_minor` a unit. The ids are made when it is received."""

    claim_id: UUID
    transfer_id: UUID
    fan_id: UUID
    idempotency_key: UUID
    at_most_minor: int
    quantity: int
    received_at: dt.datetime


class ClaimValue(Struct, frozen=True, gc=False):
    """A claim as a value; the same facts as its row."""

    id: UUID
    sale_id: UUID
    fan_id: UUID
    idempotency_key: UUID
    quantity: int
    transfer_id: UUID
    terms_sha256: str
    state: str
    at_most_minor: int
    unit_price_minor: int
    unit_paid_minor: int | None
    claimed_at: dt.datetime
    frozen_ms: int
    changed_at: dt.datetime
    settlement_id: UUID | None = None

    @property
    def total_minor(self) -> int:
        return self.quantity * self.unit_price_minor


@dataclass(slots=True)
class State(MoneyState):
    """What one transaction's snapshot shows, as far as its batch needs it. `decide` changes it as it goes."""

    sealed: FallingTerms
    standing: Standing
    stock: Stock
    terms: DutchTerms = field(init=False)  # with their times as they stand now
    claims_by_key: dict[tuple[UUID, UUID], ClaimValue] = field(default_factory=dict)
    shops_people: AbstractSet[UUID] = frozenset()
    suspended: AbstractSet[UUID] = frozenset()

    def __post_init__(self) -> None:
        self.terms = self.sealed.now(self.standing)


@dataclass(slots=True)
class Decision(ThingsDecision[ClaimValue]):
    bucket_changes: dict[int, int] = field(default_factory=dict)  # number → change of its units


def decide(state: State, commands: Sequence[PlaceClaim]) -> Decision:
    """Give each command its outcome in the order they were received: a claim, or the refusal its sender will read."""
    decision = Decision()
    order = sorted(range(len(commands)), key=lambda at: (commands[at].received_at, commands[at].claim_id))
    outcomes = decide_each([commands[at] for at in order], partial(_claim, state, decision))
    by_place = dict(zip(order, outcomes, strict=True))
    decision.outcomes = [by_place[at] for at in range(len(commands))]
    decision.bucket_changes = state.stock.changes
    return decision


def _claim(state: State, decision: Decision, command: PlaceClaim) -> ClaimValue:
    key = (command.fan_id, command.idempotency_key)
    if (earlier := state.claims_by_key.get(key)) is not None:
        if (earlier.quantity, earlier.at_most_minor) != (command.quantity, command.at_most_minor):
            raise IdempotencyConflict(claim_id=str(earlier.id))
        return earlier
    check_open(state.standing, command.received_at)
    if state.stock.units_left < command.quantity:
        raise Sold(units_left=state.stock.units_left, quantity=command.quantity)
    wallet_id = state.wallets.get(command.fan_id)
    bidder = Bidder(
        is_linked=command.fan_id in state.shops_people, is_suspended=command.fan_id in state.suspended,
        available_minor=state.balances[wallet_id].available_minor if wallet_id else 0,
    )  # fmt: skip
    claimed = decide_claim(
        state.terms,
        Claim(command.claim_id, command.fan_id, command.quantity, command.at_most_minor, command.received_at, bidder),
    )
    claim = ClaimValue(
        id=command.claim_id, sale_id=state.sealed.sale_id, fan_id=command.fan_id, idempotency_key=command.idempotency_key,
        quantity=command.quantity, transfer_id=command.transfer_id, terms_sha256=state.sealed.sha256, state=HELD,
        at_most_minor=command.at_most_minor, unit_price_minor=claimed.unit_price_minor, unit_paid_minor=None,
        claimed_at=command.received_at, frozen_ms=state.standing.frozen_ms, changed_at=command.received_at,
    )  # fmt: skip
    assert wallet_id is not None, "whoever can pay has a wallet"
    # Money last: it is the only step that both refuses and changes the state.
    move_money(state, decision.transfers, _hold(state, claim, claimed.hold.amount_minor, wallet_id))
    state.stock.take(command.quantity)
    state.claims_by_key[key] = claim
    decision.set(claim.id, None, claim)
    return claim


def _hold(state: State, claim: ClaimValue, amount_minor: int, wallet_id: UUID) -> Transfer:
    return ledger_rules.hold(
        id=claim.transfer_id, debit=wallet_id, credit=state.sealed.escrow_account_id, amount_minor=amount_minor,
        currency=state.sealed.currency, code="hold", subject_id=claim.id, at=claim.claimed_at,
        expires_at=state.standing.closes_at + HOLD_OUTLIVES_END,
    )  # fmt: skip
