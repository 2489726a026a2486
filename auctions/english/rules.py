"""The rules of an English auction with proxy bids, pure: no database, clock or randomness.

A fan bids a maximum, and pays as little of it as the next best bid makes needed. The price depends on the order of the bids, not
on the maxima alone; with m2 the best maximum of all others (or the start, or the reserve once it is met), it is at least m2 and
at most m2 and its step.
"""

from __future__ import annotations

import datetime as dt

from django.utils.translation import gettext as _
from msgspec.structs import replace

from auctions.bidders import check_can_pay, check_may_bid
from auctions.charges import Capture, Charge, with_premium
from auctions.english.limits import bid_max, fits
from auctions.english.lot import buy_now_offered, hold_of, min_next, reserve_met
from auctions.english.steps import step_at
from auctions.english.values import (
    BOUGHT,
    CANCELLED,
    LEADS,
    OPEN,
    OUTBID,
    RAISED,
    SOLD,
    TIED,
    UNSOLD,
    AcceptedBid,
    Bid,
    BuyNow,
    Cancel,
    Close,
    Command,
    Decision,
    EnglishTerms,
    LotState,
)
from auctions.errors import BidNotHigher, BidTooHigh, BidTooLow, BuyNowNotOffered, Sold, StillOpen
from sales.errors import CalledOff, NotOpen, WrongState


def decide(terms: EnglishTerms, state: LotState, command: Command) -> Decision:
    """What comes of one command. Raises the refusal that its sender will read, and then nothing has happened.

    An end of a lot that has ended the same way is a repeat, and changes nothing.
    """
    match command:
        case Bid():
            return _bid(terms, state, command)
        case BuyNow():
            return _buy_now(terms, state, command)
        case Close():
            return _close(terms, state, command)
        case Cancel():
            return _cancel(terms, state)


def _bid(terms: EnglishTerms, state: LotState, bid: Bid) -> Decision:
    _check_open(terms, state, bid.received_at)
    check_may_bid(bid.bidder)
    if bid.fan_id == state.leader:
        if bid.max_minor <= state.leader_max_minor:
            raise BidNotHigher(max_minor=state.leader_max_minor, currency=terms.currency)
    elif bid.max_minor < (least := min_next(terms, state)):
        raise BidTooLow(min_next_minor=least, currency=terms.currency)
    if not fits(terms, bid.max_minor):
        raise BidTooHigh(max_minor=bid_max(terms), currency=terms.currency)
    # A bid that does not lead holds nothing, but only a maximum that could be paid may drive the price.
    _check_can_pay(terms, state, bid, bid.max_minor)
    ranked, answer = _ranked(terms, state, bid)
    if terms.reserve_minor is not None and reserve_met(terms, ranked):
        ranked = replace(ranked, price_minor=max(ranked.price_minor, terms.reserve_minor))
    after = _extended(terms, state, replace(ranked, seq=state.seq + 1), bid.received_at)
    return _accepted(terms, state, after, bid, bid.max_minor, answer)


def _ranked(terms: EnglishTerms, state: LotState, bid: Bid) -> tuple[LotState, str]:
    """Who leads and at what price after this bid, whether or not that meets the reserve."""
    most, leaders = bid.max_minor, state.leader_max_minor
    if state.leader is None:
        return replace(state, leader=bid.fan_id, leader_max_minor=most, price_minor=terms.start_minor), LEADS
    if bid.fan_id == state.leader:
        return replace(state, leader_max_minor=most), RAISED
    # The step is that of the maximum that lost, so the leader can be outbid by less than a whole step.
    if most > leaders:
        price = min(most, leaders + step_at(terms.steps, leaders))
        return replace(
            state, leader=bid.fan_id, leader_max_minor=most, price_minor=price, best_other_max_minor=leaders
        ), LEADS
    price = min(leaders, most + step_at(terms.steps, most))
    answer = TIED if most == leaders else OUTBID
    return replace(state, price_minor=price, best_other_max_minor=most), answer


def _extended(terms: EnglishTerms, before: LotState, after: LotState, at: dt.datetime) -> LotState:
    """The end moves only for a bid that others can see, never back, and never past the hard end."""
    is_seen = (after.leader, after.price_minor) != (before.leader, before.price_minor)
    if not is_seen or before.ends_at - at > dt.timedelta(seconds=terms.window_s):
        return after
    end = min(max(before.ends_at, at + dt.timedelta(seconds=terms.extension_s)), terms.hard_end)
    return replace(after, ends_at=end, extensions=before.extensions + (end != before.ends_at))


def _buy_now(terms: EnglishTerms, state: LotState, command: BuyNow) -> Decision:
    _check_open(terms, state, command.received_at)
    check_may_bid(command.bidder)
    if not buy_now_offered(terms, state):
        raise BuyNowNotOffered
    price = terms.buy_now_minor
    assert price is not None
    _check_can_pay(terms, state, command, price)
    others = state.best_other_max_minor if command.fan_id == state.leader else state.leader_max_minor
    after = replace(
        state, leader=command.fan_id, leader_max_minor=price, price_minor=price, best_other_max_minor=others,
        seq=state.seq + 1,
    )  # fmt: skip
    decision = _accepted(terms, state, after, command, price, BOUGHT)
    return replace(decision, state=replace(after, state=SOLD), capture=_capture(terms, after))


def _accepted(
    terms: EnglishTerms, before: LotState, after: LotState, command: Bid | BuyNow, max_minor: int, answer: str
) -> Decision:
    """The bid's line in the log. Whoever is outbid has their money back in the same decision."""
    assert after.leader is not None
    bid = AcceptedBid(
        after.seq, command.id, command.fan_id, max_minor, command.received_at, answer, after.price_minor, after.leader,
        after.ends_at,
    )  # fmt: skip
    was, now = hold_of(terms, before), hold_of(terms, after)
    return Decision(after, bid) if was == now else Decision(after, bid, release=was, hold=now)


def _close(terms: EnglishTerms, state: LotState, command: Close) -> Decision:
    if state.state != OPEN:
        return Decision(state)
    if command.received_at < state.ends_at:
        raise StillOpen(ends_at=state.ends_at.isoformat())
    if state.leader is not None and state.price_minor >= (terms.reserve_minor or 0):
        return Decision(replace(state, state=SOLD), capture=_capture(terms, state))
    return Decision(replace(state, state=UNSOLD), release=hold_of(terms, state))


def _cancel(terms: EnglishTerms, state: LotState) -> Decision:
    if state.state in (SOLD, UNSOLD):
        raise WrongState(_("This lot has ended already."), state=state.state)
    return Decision(replace(state, state=CANCELLED), release=hold_of(terms, state))


def _capture(terms: EnglishTerms, state: LotState) -> Capture:
    hold = hold_of(terms, state)
    assert hold is not None
    return Capture(hold, Charge.of(state.price_minor, premium_bps=terms.premium_bps, fee_bps=terms.fee_bps))


def _check_open(terms: EnglishTerms, state: LotState, at: dt.datetime) -> None:
    if state.state == SOLD:
        raise Sold
    if state.state == CANCELLED:
        raise CalledOff
    if at < terms.opens_at:
        raise NotOpen(_("This lot has not opened yet."), opens_at=terms.opens_at.isoformat())
    if at >= state.ends_at or state.state != OPEN:
        raise NotOpen(_("This lot has closed."), closes_at=state.ends_at.isoformat())


def _check_can_pay(terms: EnglishTerms, state: LotState, command: Bid | BuyNow, max_minor: int) -> None:
    """The leader's own hold counts: it is released when the new one is made."""
    held = hold_of(terms, state)
    check_can_pay(
        command.bidder,
        own_hold_minor=held.amount_minor if held and held.fan_id == command.fan_id else 0,
        needed_minor=with_premium(max_minor, terms.premium_bps),
        currency=terms.currency,
    )
