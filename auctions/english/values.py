"""What a lot of an English auction is made of, as values: its terms, its state, what is asked of it and what comes of it. Pure.

Money is in minor units. A maximum is its bidder's secret until the lot has ended.
"""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from msgspec import Struct

from auctions.bidders import Bidder
from auctions.charges import Capture, Hold
from auctions.english.steps import Step

OPEN = "open"
SOLD = "sold"
UNSOLD = "unsold"
CANCELLED = "cancelled"

# What became of an accepted bid.
LEADS = "leads"  # the first, or more than the leader's maximum
RAISED = "raised"  # the leader's own maximum went up
TIED = "tied"  # as much as the leader's maximum, which was there earlier
OUTBID = "outbid"  # less than the leader's maximum
BOUGHT = "bought"  # taken at the buy-now price


class EnglishTerms(Struct, frozen=True, gc=False):
    """The sealed terms. Times are those that count now: later than sealed by as long as staff froze the sale."""

    currency: str
    start_minor: int
    steps: tuple[Step, ...]
    reserve_minor: int | None  # hidden; None: there is none, 0: always met
    buy_now_minor: int | None
    opens_at: dt.datetime
    closes_at: dt.datetime  # the end as long as no bid moves it
    hard_end: dt.datetime  # no bid moves the end past it
    window_s: int  # a bid with this much time left or less moves the end
    extension_s: int  # to at least so long after the bid
    premium_bps: int
    fee_bps: int


class LotState(Struct, frozen=True, gc=False):
    """Where a lot stands: the same facts as its row. The amounts are 0 as long as there is none; none that was bid is 0."""

    ends_at: dt.datetime
    leader: UUID | None = None
    leader_max_minor: int = 0
    price_minor: int = 0
    best_other_max_minor: int = 0  # of all fans but the leader
    seq: int = 0  # accepted bids
    extensions: int = 0
    state: str = OPEN


class _OfBidder(Struct, frozen=True, gc=False):
    id: UUID
    fan_id: UUID
    received_at: dt.datetime
    bidder: Bidder


class Bid(_OfBidder, frozen=True, gc=False):
    """Bid up to `max_minor`, as little of it as needed."""

    max_minor: int


class BuyNow(_OfBidder, frozen=True, gc=False):
    """Take the lot at the buy-now price."""


class Close(Struct, frozen=True, gc=False):
    """The end has come: sell the lot, or release the leader's money."""

    id: UUID
    received_at: dt.datetime


class Cancel(Struct, frozen=True, gc=False):
    """Staff call the lot off: all is released."""

    id: UUID
    received_at: dt.datetime


Command = Bid | BuyNow | Close | Cancel


class AcceptedBid(Struct, frozen=True, gc=False):
    """A line of the lot's log: a bid, and how the lot stood after it."""

    seq: int
    id: UUID
    fan_id: UUID
    max_minor: int
    received_at: dt.datetime
    answer: str
    price_after_minor: int
    leader_after: UUID
    end_after: dt.datetime


class Decision(Struct, frozen=True, gc=False):
    """The lot after a command, and how its money moves: first `release`, then `hold`, then `capture` of what is held then.

    A bid is there exactly when one was accepted.
    """

    state: LotState
    bid: AcceptedBid | None = None
    release: Hold | None = None
    hold: Hold | None = None
    capture: Capture | None = None
