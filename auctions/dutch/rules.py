"""A price that falls by itself, pure. It is never stored: it follows from the terms and from when a claim was received."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from django.utils.translation import gettext as _
from msgspec import Struct

from auctions.bidders import Bidder, check_can_pay, check_may_bid
from auctions.charges import Capture, Charge, Hold, with_premium
from auctions.errors import PriceNotReached
from sales.errors import NotOpen

OWN = "own"  # each pays the price at which they claimed
LAST = "last"  # all pay the last price that was claimed


class DutchTerms(Struct, frozen=True, gc=False):
    """Minor units a unit. Times are those that count now: later than sealed by as long as staff froze the sale."""

    currency: str
    start_minor: int
    floor_minor: int
    step_minor: int
    interval_s: int
    floor_s: int  # how long the lot stays open at the floor
    opens_at: dt.datetime
    pays: str  # OWN or LAST
    premium_bps: int
    fee_bps: int

    @property
    def interval(self) -> dt.timedelta:
        return dt.timedelta(seconds=self.interval_s)


class Claim(Struct, frozen=True, gc=False):
    """Take `quantity` units at the price of the moment, if that is at most `at_most_minor` a unit."""

    id: UUID
    fan_id: UUID
    quantity: int
    at_most_minor: int
    received_at: dt.datetime
    bidder: Bidder


class Claimed(Struct, frozen=True, gc=False):
    """Units that a fan has, at the price when they were claimed, and the money held for them."""

    claim_id: UUID
    quantity: int
    unit_price_minor: int
    hold: Hold


def check_dutch_terms(terms: DutchTerms) -> str | None:
    """Why these terms make no falling price, as a sentence; None when they do."""
    if not 0 < terms.floor_minor < terms.start_minor:
        return _("The lowest price must be above zero and below the first one.")
    if terms.step_minor <= 0 or terms.interval_s <= 0:
        return _("The price must fall, and after some time.")
    if terms.floor_s <= 0:
        return _("The lot must stay open for some time at its lowest price.")
    if terms.pays not in (OWN, LAST):
        return _("Buyers pay their own price or the last one.")
    return None


def price_at(terms: DutchTerms, received_at: dt.datetime) -> int:
    """What a unit costs then: never above the first price, never below the floor. Minor units."""
    steps = max(0, (received_at - terms.opens_at) // terms.interval)
    return max(terms.floor_minor, terms.start_minor - terms.step_minor * steps)


def reaches_at(terms: DutchTerms, at_most_minor: int) -> dt.datetime | None:
    """The first moment at which a unit costs this or less; None when it never does."""
    if at_most_minor < terms.floor_minor:
        return None
    to_fall = max(0, terms.start_minor - at_most_minor)
    return terms.opens_at + terms.interval * -(-to_fall // terms.step_minor)


def ends_at(terms: DutchTerms) -> dt.datetime:
    """When nothing can be claimed any more, if units are left by then."""
    at_floor = reaches_at(terms, terms.floor_minor)
    assert at_floor is not None
    return at_floor + dt.timedelta(seconds=terms.floor_s)


def decide_claim(terms: DutchTerms, claim: Claim) -> Claimed:
    """The price of a claim and its hold, or the refusal. Whether units are left is the stock's to say.

    A price below the bound is charged as it is; only one above the bound is refused.
    """
    assert claim.quantity > 0, claim
    if claim.received_at < terms.opens_at:
        raise NotOpen(_("This auction has not opened yet."), opens_at=terms.opens_at.isoformat())
    if claim.received_at >= (end := ends_at(terms)):
        raise NotOpen(_("This auction has closed."), closes_at=end.isoformat())
    check_may_bid(claim.bidder)
    price_minor = price_at(terms, claim.received_at)
    if price_minor > claim.at_most_minor:
        reaches = reaches_at(terms, claim.at_most_minor)
        raise PriceNotReached(
            price_minor=price_minor, currency=terms.currency, reaches_at=reaches.isoformat() if reaches else None
        )
    needed_minor = with_premium(claim.quantity * price_minor, terms.premium_bps)
    check_can_pay(claim.bidder, own_hold_minor=0, needed_minor=needed_minor, currency=terms.currency)
    return Claimed(claim.id, claim.quantity, price_minor, Hold(claim.fan_id, needed_minor))


def unit_to_pay(pays: str, own_minor: int, last_minor: int) -> int:
    """What a unit costs in the end: the price of its own claim, or the last one that anybody claimed. Minor units."""
    return last_minor if pays == LAST else own_minor


def settle(terms: DutchTerms, claims: Sequence[Claimed]) -> dict[UUID, Capture]:
    """What each claim pays at the end, by its id.

    The price only falls, so the last price that was claimed is the lowest, whatever the order of the rows.
    """
    last_minor = min((claimed.unit_price_minor for claimed in claims), default=0)
    captures = {}
    for claimed in claims:
        unit_minor = unit_to_pay(terms.pays, claimed.unit_price_minor, last_minor)
        charge = Charge.of(claimed.quantity * unit_minor, premium_bps=terms.premium_bps, fee_bps=terms.fee_bps)
        captures[claimed.claim_id] = Capture(claimed.hold, charge)
    return captures
