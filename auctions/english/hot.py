"""The hot path of an English auction: `POST /api/v1/auctions/{sale_id}/bids`."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec
from django.utils.translation import gettext_noop as N_

from auctions.english import services
from auctions.english.state import BidValue, PlaceBid, next_after
from core.errors import Invalid
from core.ids import uuid7
from core.money import MINOR_MAX
from sales.placing import Asked, MoneyOut, Place

_MAX = "The most that the lot may cost you, in minor units: as little of it as the next best bid makes needed is taken."
_BUY_NOW = "Instead of a maximum: have the lot at once for its price to buy it now."


class BidIn(msgspec.Struct, forbid_unknown_fields=True):
    max: Annotated[int, msgspec.Meta(ge=1, le=MINOR_MAX, description=_MAX)] | None = None
    buy_now: Annotated[bool, msgspec.Meta(description=_BUY_NOW)] = False


class BidOut(msgspec.Struct, gc=False):
    """How the lot stood after the bid; a repeat is told the same."""

    id: UUID
    sale_id: UUID
    seq: int
    is_leading: bool
    price: MoneyOut
    min_next: MoneyOut  # what somebody else has to bid
    your_max: MoneyOut
    ends_at: dt.datetime
    received_at: dt.datetime
    terms_sha256: str


def bid_command(asked: Asked) -> PlaceBid:
    body: BidIn = asked.body
    if (body.max is None) != body.buy_now:
        raise Invalid(N_("A bid says its maximum, or buys now."), field="max")
    return PlaceBid(uuid7(), uuid7(), asked.fan_id, asked.key, body.max, asked.now)


def bid_answer(lane: services.BidLane, command: PlaceBid, bid: BidValue) -> tuple[bool, BidOut]:
    return bid.id == command.bid_id, bid_out(lane, bid)


def bid_out(lane: services.BidLane, bid: BidValue) -> BidOut:
    terms = lane.terms
    return BidOut(
        id=bid.id,
        sale_id=bid.sale_id,
        seq=bid.seq,
        is_leading=bid.leader_after == bid.fan_id,
        price=MoneyOut(bid.price_after_minor, terms.currency),
        min_next=MoneyOut(next_after(terms.steps, bid), terms.currency),
        your_max=MoneyOut(bid.max_minor, terms.currency),
        ends_at=bid.end_after + dt.timedelta(milliseconds=bid.frozen_ms),
        received_at=bid.received_at,
        terms_sha256=bid.terms_sha256,
    )


PLACE_BID = Place(
    before="/api/v1/auctions/",
    after="/bids",
    body=BidIn,
    outcome=BidOut,
    lane=services.lanes.__getitem__,
    command=bid_command,
    answer=bid_answer,
    operation_id="auctions_bid",
    summary="Bid on a lot, raise your maximum, or buy it now",
    tag="auctions",
    thing="bid",
    refused={
        "403": "not_verified, own_lot or suspended",
        "409": "bid_too_low, bid_not_higher, sold, buy_now_not_offered, insufficient_funds, not_open or idempotency_conflict",
        "422": "invalid or bid_too_high",
    },
)
