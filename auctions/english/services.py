"""What fans and sellers ask of an English auction. What touches its lot is a command of `state.decide`, through its lane."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from auctions.english import loading, telling
from auctions.english.limits import check_english_terms
from auctions.english.state import BidValue, Decision, LotTerms, PlaceBid, State, decide
from auctions.english.steps import parse_steps, read_steps, steps_text
from auctions.english.values import SOLD, EnglishTerms
from auctions.english.writing import write_decision
from auctions.models import English
from core import due_work
from core.errors import Invalid
from core.lanes import Lanes
from core.transactions import joins_transaction, retried_transaction
from sales import gates
from sales import services as sales
from sales.drafting import SaleDraft, check_worth, draft_once
from sales.lanes import SaleLane


class BidLane(SaleLane[PlaceBid, BidValue]):
    """All bids for one lot that reach this process."""

    name = "auctions.bid"
    format = "english"

    def __init__(self, sale_id: UUID) -> None:
        super().__init__(sale_id)
        self._leader: UUID | None = None  # after the batch
        self._told: dict[
            UUID, dt.datetime
        ] = {}  # fan → when they were last told by this process that somebody bid more

    def load_terms(self) -> LotTerms:
        return loading.load_terms(self.sale_id)

    def load(self, terms: LotTerms, batch: Sequence[PlaceBid]) -> State:
        return loading.load_state(terms, batch)

    def decide(self, state: State, batch: Sequence[PlaceBid]) -> Decision:
        decision = decide(state, batch)
        self._leader = decision.lot.leader
        return decision

    def write(self, state: State, decision: Decision) -> None:
        write_decision(state, decision, gate=gates.home_gate(self.slot))
        if decision.lot.state == SOLD and state.lot.state != SOLD:
            # Bought at once: the sale is over before its time.
            due_work.schedule(sales.CLOSE, self.sale_id, due_at=state.standing.now + sales.CLOSE_GRACE)

    def rows_of(self, command: PlaceBid) -> int:
        return 1  # the lot, its money and its gate are written once a batch

    def is_new(self, command: PlaceBid, outcome: BidValue) -> bool:
        return outcome.id == command.bid_id

    def committed(self, state: State) -> None:
        """Whoever lost the lead may be elsewhere; two who fight are told now and then, and see the rest in the room."""
        was, now = state.lot.leader, state.standing.now
        if was is None or was == self._leader:
            return
        if was not in self._told or now - self._told[was] >= telling.OUTBID_EVERY:
            self._told[was] = now
            telling.tell_outbid(sale_id=self.sale_id, fan_id=was, now=now)


lanes: Lanes[BidLane] = Lanes(BidLane)


def place_bid(sale_id: UUID, command: PlaceBid) -> BidValue:
    """Bid, raise the own maximum, or buy now. A repeat of the same key returns the first bid. Raises the refusals of the rules, or
    Busy."""
    return lanes[sale_id].call(command)


# The seller's side.


@joins_transaction
def make_draft(draft: SaleDraft, **terms: Any) -> English:
    """A draft of an auction, `terms` by the names of its columns. A repeat returns it. Raises Invalid, or IdTaken."""
    return draft_once(English(**terms), draft, format="english", check=lambda english: _check(english, draft))


draft_english = retried_transaction(replayable=True, name="draft_english")(make_draft)
open_english = sales.opens(make_draft, name="open_english")


def _check(english: English, draft: SaleDraft) -> None:
    try:
        steps = read_steps(english.steps)
    except ValueError:
        raise Invalid(field="steps") from None
    # Any times that fit: the draft's own are the spine's to check.
    opens_at, closes_at = draft.now, draft.now + dt.timedelta(seconds=1)
    terms = EnglishTerms(
        currency=draft.currency, start_minor=english.start_minor, steps=steps, reserve_minor=english.reserve_minor,
        buy_now_minor=english.buy_now_minor, opens_at=opens_at, closes_at=closes_at,
        hard_end=closes_at + dt.timedelta(seconds=english.overtime_s), window_s=english.window_s,
        extension_s=english.extension_s, premium_bps=english.premium_bps, fee_bps=0,
    )  # fmt: skip
    if (wrong := check_english_terms(terms)) is not None:
        raise Invalid(wrong, field=_field_of(terms))
    check_worth(english.start_minor, units_an_order=1, units=1, field="start_minor")


def _field_of(terms: EnglishTerms) -> str:
    """Which of the terms is wrong."""
    dearest = max(terms.start_minor, terms.reserve_minor or 0)
    if terms.buy_now_minor is not None and terms.buy_now_minor < dearest:
        return "buy_now_minor"
    return "steps"


def minor_steps(text: str, currency: str) -> str:
    """A table of steps as people write it, as it is kept. Raises Invalid."""
    return steps_text(parse_steps(text, currency))
