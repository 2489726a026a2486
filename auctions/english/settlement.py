"""The life of an English auction beside its bidding: publishing, its end, passing on, calling off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils.translation import gettext as _

from accounts.services import Message
from auctions.english import loading, selectors, telling
from auctions.english.reserve import reserve_commitment
from auctions.english.rules import decide
from auctions.english.state import Decision, State, capture_transfer, win_of
from auctions.english.steps import read_steps, step_at
from auctions.english.values import OPEN, SOLD, Cancel, Close
from auctions.english.writing import lot_statement, win_statements
from auctions.models import Bid, English, Lot, Win, WinState
from core import due_work
from core.ids import uuid7
from core.sql import execute_all
from core.transactions import Conflict40001, joins_transaction
from ledger import rules as ledger_rules
from ledger import services as ledger
from ledger.models import HOUSE, AccountKey, AccountKind
from sales.errors import WrongState
from sales.formats import BaseRules
from sales.models import Sale
from sales.proceeds import Line, escrow_of, proceeds_transfers, sellers_lines
from sales.pseudonyms import pseudonym
from sales.selectors import stuck_row_ids
from sales.telling import tell_later
from sales.terms import TermValue, sealed


class EnglishRules(BaseRules):
    """What the spine asks of a format (`sales.formats.Rules`)."""

    settle_chunk = 1
    unwind_chunk = 1
    # The maximum and the reserve stay here: what leaves is `frame_facts`.
    frame_sql = """
        SELECT lot.price_minor, lot.seq AS bids, lot.extensions, lot.leader_id, lot.leader_max_minor, lot.state AS lot_state,
               least(coalesce(lot.ends_at, sale.closes_at) + sale.frozen_ms * interval '1 millisecond', win.won_at) AS ends_at,
               english.sale_id AS lot_id, english.start_minor, english.steps, english.reserve_minor, english.buy_now_minor
          FROM auctions_english AS english
          JOIN sales_sale AS sale ON sale.id = english.sale_id
          LEFT JOIN auctions_lot AS lot ON lot.sale_id = english.sale_id
          LEFT JOIN auctions_win AS win ON win.sale_id = english.sale_id
         WHERE english.sale_id = %(sale_id)s
    """

    def terms(self, sale: Sale) -> Mapping[str, TermValue]:
        english = sale.english
        return {
            **sealed(english, "start_minor", "steps", "buy_now_minor", "window_s", "extension_s", "overtime_s"),
            **sealed(english, "premium_bps", "fee_bps"),
            "reserve_sha256": reserve_sha256(english, sale.currency),
        }

    def publish(self, sale: Sale, now: dt.datetime) -> None:
        Lot.objects.create(sale_id=sale.id, ends_at=sale.closes_at)

    def schedule(self, sale: Sale) -> None:
        due_work.schedule(telling.WATCH, sale.id, due_at=telling.closing_soon_at(sale))

    def ends_at(self, sale: Sale) -> dt.datetime:
        """Late bids move it; whoever buys the lot at once ends it."""
        lot = Lot.objects.filter(sale_id=sale.id).values_list("state", "ends_at").first()
        if lot is None:
            return super().ends_at(sale)
        state, ends_at = lot
        if state == SOLD and (won_at := Win.objects.filter(sale_id=sale.id).values_list("won_at", flat=True).first()):
            return min(won_at, ends_at + sale.moved_by)
        return ends_at + sale.moved_by

    def check_seller_may_end(self, sale: Sale) -> None:
        if Lot.objects.filter(sale_id=sale.id, seq__gt=0).exists():
            raise WrongState(
                _(
                    "Fans have bid on this lot, so it runs to its end. If something is wrong with it, ask staff to call it off."
                ),
                state=sale.state,
            )

    def close(self, sale: Sale) -> None:
        # A bid that was in time and commits beside this would have moved the end: one of the two has to begin again.
        Lot.objects.filter(sale_id=sale.id).update(seq=F("seq"))

    def settle_step(self, sale: Sale, now: dt.datetime, *, limit: int) -> dt.datetime | None:
        if selectors.maker_of_hold(sale.id) in stuck_row_ids(sale.id):
            return None
        end_lot(sale, now)
        pass_on_win(sale, now)
        tell_later(sale.id, telling.ENDED, now=now)
        return None

    def unwind_step(self, sale: Sale, now: dt.datetime, *, limit: int) -> dt.datetime | None:
        if selectors.maker_of_hold(sale.id) not in stuck_row_ids(sale.id):
            give_back(sale, now)
        return None

    def next_row(self, sale: Sale, now: dt.datetime) -> UUID | None:
        return selectors.maker_of_hold(sale.id)

    def fans(self, sale: Sale, *, after: UUID | None, limit: int) -> Sequence[UUID]:
        return selectors.bidders(sale.id, after=after, limit=limit)

    def messages(self, sale: Sale, event: str, *, after: UUID | None, limit: int) -> Sequence[Message]:
        return telling.messages(sale, event, after=after, limit=limit)

    def frame_facts(self, row: dict[str, Any]) -> dict[str, Any]:
        bids, price_minor, reserve_minor = row["bids"] or 0, row["price_minor"] or 0, row["reserve_minor"]
        is_met = reserve_minor is None or (row["leader_max_minor"] or 0) >= reserve_minor
        buy_now_minor = row["buy_now_minor"]
        is_offered = buy_now_minor is not None and row["lot_state"] == OPEN and price_minor < buy_now_minor
        step_minor = step_at(read_steps(row["steps"]), price_minor) if bids else 0
        return {
            "price_minor": price_minor if bids else row["start_minor"],
            "bids": bids,
            "min_next_minor": price_minor + step_minor if bids else row["start_minor"],
            "leader": pseudonym(row["lot_id"], row["leader_id"]) if row["leader_id"] else None,
            "reserve": None if reserve_minor is None else "met" if is_met else "not_met",
            "buy_now_minor": buy_now_minor if is_offered and (not bids or not is_met) else None,
            "extensions": row["extensions"] or 0,
            "lot": row["lot_state"] or OPEN,
            "ends_at": row["ends_at"].isoformat(),
        }


def reserve_sha256(english: English, currency: str) -> str | None:
    """What is sealed of the reserve. None when there is none."""
    if english.reserve_minor is None:
        return None
    return reserve_commitment(english.sale_id, english.reserve_minor, currency, english.reserve_salt.bytes)


@joins_transaction
def end_lot(sale: Sale, now: dt.datetime) -> None:
    """Sell the lot to whoever leads, or give the money back. A repeat changes nothing."""
    state = loading.load_state(loading.load_terms(sale.id), [])
    if state.lot.state != OPEN:
        return
    # Only a lot without bids is closed before its end, and then there is nothing to sell.
    at = max(now, state.lot.ends_at)
    ended = decide(state.terms, state.lot, Close(uuid7(), at))
    decision = Decision([], ended.state, hold_id=state.hold_id)
    if ended.capture is not None:
        hold = state.payments[_hold_id(state)]
        won = Bid.objects.get(id=hold.subject_id)
        decision.transfers = [capture_transfer(hold, ended.capture, at=now)]
        decision.win = win_of(ended.capture, won.id, won.idempotency_key, hold.id, at=now)
    elif ended.release is not None:
        decision.transfers = [ledger_rules.void(state.payments[_hold_id(state)], code="release", at=now)]
    _write(state, decision)


def _hold_id(state: State) -> UUID:
    assert state.hold_id is not None, state
    return state.hold_id


@joins_transaction
def _write(state: State, decision: Decision) -> None:
    execute_all(
        [
            lot_statement(state, decision),
            *win_statements(state.sealed.sale_id, decision.win, state.sealed.sha256),
            *ledger.transfer_statements(decision.transfers),
        ]
    )


@joins_transaction
def pass_on_win(sale: Sale, now: dt.datetime) -> None:
    """The price to the seller, less the fee; the premium to the house. A repeat changes nothing."""
    win = Win.objects.filter(sale_id=sale.id, passed_on_at=None).first()
    if win is None:
        return
    house = AccountKey(HOUSE, AccountKind.FEES, sale.currency)
    lines = [
        *sellers_lines(sale, gross_minor=win.price_minor, fee_minor=win.fee_minor),
        Line("premium", escrow_of(sale), house, win.premium_minor),
    ]
    if not Win.objects.filter(id=win.id, passed_on_at=None).update(passed_on_at=now):
        raise Conflict40001("the win was passed on since it was read")
    ledger.write_transfers(proceeds_transfers(sale, lines, id=win.id, at=now))


@joins_transaction
def give_back(sale: Sale, now: dt.datetime) -> None:
    """The auction was called off: whoever leads, or has bought the lot at once, has all money back. A repeat changes nothing."""
    state = loading.load_state(loading.load_terms(sale.id), [])
    if state.lot.state == OPEN:
        ended = decide(state.terms, state.lot, Cancel(uuid7(), now))
        decision = Decision([], ended.state, hold_id=state.hold_id)
        if ended.release is not None:
            decision.transfers = [ledger_rules.void(state.payments[_hold_id(state)], code="release", at=now)]
        _write(state, decision)
        return
    win = Win.objects.filter(sale_id=sale.id, state=WinState.WON).first()
    if win is None:
        return
    assert win.passed_on_at is None, "what was passed on is settled in the same transaction"
    hold = state.payments[_hold_id(state)]
    captured = ledger_rules.post(hold, amount_minor=win.price_minor + win.premium_minor, code="capture", at=win.won_at)
    if not Win.objects.filter(id=win.id, state=WinState.WON).update(state=WinState.REFUNDED, changed_at=now):
        raise Conflict40001("the win was given back since it was read")
    ledger.write_transfers([ledger_rules.reverse(captured, code="refund", at=now)])
