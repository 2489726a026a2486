"""Sealed bids that clear at one price, pure: the highest bid that was refused a unit sets what everybody pays.

For a single unit this is the second-price auction of Vickrey. A bid's quantity and limit are secret until the close; its
commitment is public at once, and the root over all of them at the close.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import groupby
from uuid import UUID

from django.utils.translation import gettext as _
from msgspec import Struct

from auctions.bidders import Bidder, check_can_pay, check_may_bid
from auctions.charges import Capture, Charge, Hold, most_with_premium, with_premium
from auctions.commitments import committed, merkle_root
from auctions.errors import BidTooHigh, MoreThanSupply
from core.errors import Invalid
from core.money import MINOR_MAX
from sales.errors import NotOpen

VERSION = "dropfront.auction.sealed-bid.v1"


class SealedTerms(Struct, frozen=True, gc=False):
    """Minor units a unit. Times are those that count now: later than sealed by as long as staff froze the sale."""

    currency: str
    supply: int
    reserve_minor: int
    opens_at: dt.datetime
    closes_at: dt.datetime
    premium_bps: int
    fee_bps: int


class SealedBid(Struct, frozen=True, gc=False):
    """A fan's one bid in a lot, as it was last changed; `seq` is the order of that."""

    id: UUID
    fan_id: UUID
    quantity: int
    limit_minor: int  # the most that a unit may cost
    seq: int


class PlaceSealedBid(Struct, frozen=True, gc=False):
    """Bid for `quantity` units at up to `limit_minor` each, or change what was bid, up or down."""

    id: UUID
    fan_id: UUID
    quantity: int
    limit_minor: int
    received_at: dt.datetime
    bidder: Bidder


class Placed(Struct, frozen=True, gc=False):
    """A bid that counts now, and how its money moves: first `release`, then `hold`, in one transaction."""

    bid: SealedBid
    hold: Hold | None
    release: Hold | None


class Clearing(Struct, frozen=True, gc=False):
    """How a lot ended, by the bids' ids: what each has, and what it asked for and did not get."""

    price_minor: int
    allocations: dict[UUID, int]
    refused: dict[UUID, int]


def hold_of(terms: SealedTerms, bid: SealedBid) -> Hold:
    return Hold(bid.fan_id, with_premium(bid.quantity * bid.limit_minor, terms.premium_bps))


def place(terms: SealedTerms, mine: SealedBid | None, command: PlaceSealedBid, *, seq: int) -> Placed:
    """Take a fan's bid in place of their last one, `mine`, whose id it keeps. Raises the refusal that its sender will read.

    A limit under the reserve is taken: a refusal would tell what the reserve is.
    """
    if command.received_at < terms.opens_at:
        raise NotOpen(_("This auction has not opened yet."), opens_at=terms.opens_at.isoformat())
    if command.received_at >= terms.closes_at:
        raise NotOpen(_("This auction has closed."), closes_at=terms.closes_at.isoformat())
    check_may_bid(command.bidder)
    if command.quantity > terms.supply:
        raise MoreThanSupply(supply=terms.supply)
    if min(command.quantity, command.limit_minor) <= 0:
        raise Invalid(_("A bid is for at least one unit, at a price above zero."))
    bid = SealedBid(mine.id if mine else command.id, command.fan_id, command.quantity, command.limit_minor, seq)
    was, now = hold_of(terms, mine) if mine else None, hold_of(terms, bid)
    if now.amount_minor > MINOR_MAX:
        most_minor = most_with_premium(MINOR_MAX, terms.premium_bps) // bid.quantity
        raise BidTooHigh(max_minor=most_minor, currency=terms.currency)
    check_can_pay(
        command.bidder,
        own_hold_minor=was.amount_minor if was else 0,
        needed_minor=now.amount_minor,
        currency=terms.currency,
    )
    return Placed(bid, None, None) if was == now else Placed(bid, hold=now, release=was)


def bid_commitment(lot_id: UUID, fan_number: str, bid: SealedBid, salt: bytes) -> str:
    """The hash to publish with the bid, in hexadecimal. `fan_number` is what the fan is publicly called in this lot."""
    facts = {"lot": lot_id, "fan": fan_number, "quantity": bid.quantity, "limit_minor": bid.limit_minor}
    return committed(VERSION, facts, salt)


def lot_root(bids: Sequence[tuple[SealedBid, str]]) -> str:
    """The hash to publish at the close over all bids and their commitments: by seq, so that it also fixes who was earlier."""
    return merkle_root([commitment for _bid, commitment in sorted(bids, key=lambda known: known[0].seq)])


def clear(supply: int, reserve_minor: int, bids: Sequence[SealedBid]) -> Clearing:
    """Give `supply` units to the highest limits, all at one price: the highest limit of a refused unit, or the reserve.

    Bids of one limit are taken together. Those that do not fit share what is left by their quantities. Bids under the reserve
    take no part: they get nothing, and set no price.
    """
    allocations = dict.fromkeys((bid.id for bid in bids), 0)
    left, price_minor = supply, reserve_minor
    ranked = sorted(
        (bid for bid in bids if bid.limit_minor >= reserve_minor), key=lambda bid: (-bid.limit_minor, bid.seq)
    )
    for limit_minor, equals in groupby(ranked, key=lambda bid: bid.limit_minor):
        group = list(equals)
        asked = sum(bid.quantity for bid in group)
        if asked > left:
            allocations |= _shared(left, asked, group)
            price_minor = limit_minor
            break
        allocations |= {bid.id: bid.quantity for bid in group}
        left -= asked
    refused = {bid.id: bid.quantity - allocations[bid.id] for bid in bids}
    return Clearing(price_minor, allocations, {bid_id: units for bid_id, units in refused.items() if units})


def _shared(left: int, asked: int, group: Sequence[SealedBid]) -> dict[UUID, int]:
    """Pro rata by quantity, rounded down; what remains goes by the largest fraction, then by the lower seq."""
    shares = {bid.id: left * bid.quantity // asked for bid in group}
    by_fraction = sorted(group, key=lambda bid: (-(left * bid.quantity % asked), bid.seq))
    for bid in by_fraction[: left - sum(shares.values())]:
        shares[bid.id] += 1
    return shares


def settle(terms: SealedTerms, clearing: Clearing, bids: Sequence[SealedBid]) -> dict[UUID, Capture]:
    """What each bid that has units pays, by its id; the holds of the others are released whole."""
    return {
        bid.id: Capture(
            hold_of(terms, bid),
            Charge.of(units * clearing.price_minor, premium_bps=terms.premium_bps, fee_bps=terms.fee_bps),
        )
        for bid in bids
        if (units := clearing.allocations[bid.id])
    }
