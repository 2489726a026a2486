"""What a batch of bids is decided on, and what comes of it, as values; and the deciding itself, pure: the rules of the lot are in
`rules`, and here is what stands around them: repeats, a sale that was stopped, rows to write and money to move."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from uuid import UUID

from msgspec import Struct

from auctions.bidders import Bidder
from auctions.charges import HOLD_OUTLIVES_END, Capture, Hold
from auctions.english.batches import BatchDecision, decide_batch
from auctions.english.steps import Step, step_at
from auctions.english.values import SOLD, AcceptedBid, Bid, BuyNow, EnglishTerms, LotState
from auctions.english.values import Decision as LotDecision
from core.errors import Refusal
from ledger import rules as ledger_rules
from ledger.rules import Transfer
from sales.deciding import MoneyState
from sales.errors import IdempotencyConflict, NotOpen
from sales.standing import CLOSED, RUNNING, SaleTerms, Standing, check_not_stopped


class LotTerms(SaleTerms, frozen=True, gc=False):
    """The sealed terms as they are kept: without the times that a pause moves."""

    sale_id: UUID
    start_minor: int
    steps: tuple[Step, ...]
    reserve_minor: int | None
    buy_now_minor: int | None
    window_s: int
    extension_s: int
    overtime_s: int
    premium_bps: int

    def now(self, standing: Standing) -> EnglishTerms:
        """With the times as they stand now."""
        return EnglishTerms(
            currency=self.currency, start_minor=self.start_minor, steps=self.steps, reserve_minor=self.reserve_minor,
            buy_now_minor=self.buy_now_minor, opens_at=standing.opens_at, closes_at=standing.closes_at,
            hard_end=standing.closes_at + dt.timedelta(seconds=self.overtime_s), window_s=self.window_s,
            extension_s=self.extension_s, premium_bps=self.premium_bps, fee_bps=self.fee_bps,
        )  # fmt: skip


class PlaceBid(Struct, frozen=True, gc=False):
    """Bid up to `max_minor`; or, with None, have the lot at the price to buy it now. The ids are made when it is received."""

    bid_id: UUID
    transfer_id: UUID
    fan_id: UUID
    idempotency_key: UUID
    max_minor: int | None
    received_at: dt.datetime


class BidValue(Struct, frozen=True, gc=False):
    """An accepted bid; the same facts as its row."""

    id: UUID
    sale_id: UUID
    fan_id: UUID
    idempotency_key: UUID
    seq: int
    max_minor: int
    answer: str
    received_at: dt.datetime
    frozen_ms: int
    price_after_minor: int
    leader_after: UUID
    end_after: dt.datetime  # as if the sale had never been paused
    transfer_id: UUID | None
    terms_sha256: str

    @property
    def is_bought(self) -> bool:
        return self.answer == "bought"


class WinValue(Struct, frozen=True, gc=False):
    """What the lot was sold for. Minor units."""

    id: UUID
    fan_id: UUID
    idempotency_key: UUID
    transfer_id: UUID  # the hold that it was taken out of
    price_minor: int
    premium_minor: int
    fee_minor: int
    won_at: dt.datetime


@dataclass(slots=True)
class State(MoneyState):
    """What one transaction's snapshot shows of the lot, as far as its batch needs it."""

    sealed: LotTerms
    standing: Standing
    lot: LotState
    hold_id: UUID | None = None
    bids_by_key: dict[tuple[UUID, UUID], BidValue] = field(default_factory=dict)
    shops_people: AbstractSet[UUID] = frozenset()
    suspended: AbstractSet[UUID] = frozenset()

    @property
    def terms(self) -> EnglishTerms:
        return self.sealed.now(self.standing)

    @property
    def moved_by(self) -> dt.timedelta:
        return dt.timedelta(milliseconds=self.standing.frozen_ms)


@dataclass(slots=True)
class Decision:
    """One outcome per command, and what is to be written for all of them: nothing when no bid was accepted."""

    outcomes: list[BidValue | Refusal]
    lot: LotState
    bids: list[BidValue] = field(default_factory=list)
    hold_id: UUID | None = None
    transfers: list[Transfer] = field(default_factory=list)
    win: WinValue | None = None


def decide(state: State, commands: Sequence[PlaceBid]) -> Decision:
    """Give each command its outcome: the bid that it made, or the refusal that its sender will read."""
    outcomes: dict[int, BidValue | Refusal] = {}
    fresh: dict[tuple[UUID, UUID], int] = {}  # fan and key → the first command with them
    doubled: list[int] = []
    for place, command in enumerate(commands):
        key = (command.fan_id, command.idempotency_key)
        if (earlier := state.bids_by_key.get(key)) is not None:
            outcomes[place] = _same_bid(earlier, command)
        elif key in fresh:
            doubled.append(place)
        else:
            fresh[key] = place
    decision = _decide_fresh(state, {place: commands[place] for place in fresh.values()}, outcomes)
    for place in doubled:
        first = outcomes[fresh[(commands[place].fan_id, commands[place].idempotency_key)]]
        outcomes[place] = first if isinstance(first, Refusal) else _same_bid(first, commands[place])
    decision.outcomes = [outcomes[place] for place in range(len(commands))]
    return decision


def _same_bid(earlier: BidValue, command: PlaceBid) -> BidValue | Refusal:
    """A repeat gets the bid of the first; the key with another request is the caller's mistake."""
    asked = None if earlier.is_bought else earlier.max_minor
    return earlier if asked == command.max_minor else IdempotencyConflict(bid_id=str(earlier.id))


def _decide_fresh(
    state: State, commands: dict[int, PlaceBid], outcomes: dict[int, BidValue | Refusal]
) -> Decision:  # fmt: skip
    if (refusal := _stopped(state)) is not None:
        outcomes |= dict.fromkeys(commands, refusal)
        return Decision([], state.lot, hold_id=state.hold_id)
    batch = decide_batch(state.terms, state.lot, [_asked(state, command) for command in commands.values()])
    if not batch.bids:
        outcomes |= dict(zip(commands, batch.outcomes, strict=True))  # type: ignore[arg-type]  # all are refusals
        return Decision([], state.lot, hold_id=state.hold_id)
    decision = Decision([], batch.state, hold_id=state.hold_id)
    by_id = {command.bid_id: command for command in commands.values()}
    maker = _move_money(state, decision, batch, by_id)
    made = {bid.id: _value(state, bid, by_id[bid.id], holds=bid.id == maker) for bid in batch.bids}
    decision.bids = list(made.values())
    for place, outcome in zip(commands, batch.outcomes, strict=True):
        outcomes[place] = outcome if isinstance(outcome, Refusal) else made[commands[place].bid_id]
    return decision


def _stopped(state: State) -> Refusal | None:
    """Why nobody bids in this sale now, whatever the lot says. A lot that is sold says so itself."""
    try:
        check_not_stopped(state.standing)
    except Refusal as refusal:
        return refusal
    if state.standing.state in RUNNING or state.lot.state == SOLD:
        return None
    return NotOpen(CLOSED, closes_at=state.lot.ends_at.isoformat())


def _asked(state: State, command: PlaceBid) -> Bid | BuyNow:
    wallet = state.wallets.get(command.fan_id)
    bidder = Bidder(
        is_linked=command.fan_id in state.shops_people,
        is_suspended=command.fan_id in state.suspended,
        available_minor=state.balances[wallet].available_minor if wallet else 0,
    )
    if command.max_minor is None:
        return BuyNow(command.bid_id, command.fan_id, command.received_at, bidder)
    return Bid(command.bid_id, command.fan_id, command.received_at, bidder, command.max_minor)


def _move_money(
    state: State, decision: Decision, batch: BatchDecision, by_id: dict[UUID, PlaceBid]
) -> UUID | None:  # fmt: skip
    """The transfers of the batch: what the last one to lead has held, in place of what was held before. The id of the bid that
    made the new hold; None when the money stays where it is."""
    if batch.hold is None:
        return None
    # Of those who came to lead in this batch the last one does so still.
    made = next(
        outcome.bid
        for outcome in sorted(
            (outcome for outcome in batch.outcomes if isinstance(outcome, LotDecision) and outcome.hold),
            key=lambda outcome: -outcome.state.seq,
        )
        if outcome.bid is not None
    )
    command = by_id[made.id]
    if batch.release is not None:
        assert state.hold_id is not None
        decision.transfers.append(ledger_rules.void(state.payments[state.hold_id], code="release", at=made.received_at))
    hold = hold_transfer(state, batch.hold, command)
    decision.transfers.append(hold)
    decision.hold_id = hold.id
    if batch.capture is not None:
        decision.transfers.append(capture_transfer(hold, batch.capture, at=made.received_at))
        decision.win = win_of(batch.capture, made.id, command.idempotency_key, hold.id, at=made.received_at)
    return made.id


def hold_transfer(state: State, hold: Hold, command: PlaceBid) -> Transfer:
    return ledger_rules.hold(
        id=command.transfer_id, debit=state.wallets[hold.fan_id], credit=state.sealed.escrow_account_id,
        amount_minor=hold.amount_minor, currency=state.sealed.currency, code="hold", subject_id=command.bid_id,
        at=command.received_at, expires_at=state.terms.hard_end + HOLD_OUTLIVES_END,
    )  # fmt: skip


def capture_transfer(hold: Transfer, capture: Capture, *, at: dt.datetime) -> Transfer:
    """What the winner pays, premium included; the rest of the hold is free."""
    return ledger_rules.post(hold, amount_minor=capture.charge.paid_minor, code="capture", at=at)


def win_of(capture: Capture, bid_id: UUID, key: UUID, hold_id: UUID, *, at: dt.datetime) -> WinValue:
    """`bid_id` is the bid whose hold is captured: a win has its id, so that there is one."""
    charge = capture.charge
    return WinValue(
        bid_id, capture.hold.fan_id, key, hold_id, charge.price_minor, charge.premium_minor, charge.fee_minor, at
    )


def _value(state: State, bid: AcceptedBid, command: PlaceBid, *, holds: bool) -> BidValue:
    return BidValue(
        id=bid.id,
        sale_id=state.sealed.sale_id,
        fan_id=bid.fan_id,
        idempotency_key=command.idempotency_key,
        seq=bid.seq,
        max_minor=bid.max_minor,
        answer=bid.answer,
        received_at=bid.received_at,
        frozen_ms=state.standing.frozen_ms,
        price_after_minor=bid.price_after_minor,
        leader_after=bid.leader_after,
        end_after=bid.end_after - state.moved_by,
        transfer_id=command.transfer_id if holds else None,
        terms_sha256=state.sealed.sha256,
    )


def next_after(steps: Sequence[Step], bid: BidValue) -> int:
    """What somebody else had to bid after this one. Minor units."""
    return bid.price_after_minor + step_at(steps, bid.price_after_minor)
