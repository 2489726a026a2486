"""The hot path of a falling price: `POST /api/v1/auctions/{sale_id}/claims`."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec

from auctions.dutch import services
from auctions.dutch.state import ClaimValue, PlaceClaim
from core.ids import uuid7
from core.money import MINOR_MAX
from sales.placing import Asked, MoneyOut, Place, Quantity

_AT_MOST = "The most that a unit may cost, in minor units. A lower price is charged as it is."


class ClaimIn(msgspec.Struct, forbid_unknown_fields=True):
    at_most: Annotated[int, msgspec.Meta(ge=1, le=MINOR_MAX, description=_AT_MOST)]
    quantity: Quantity = 1


class ClaimOut(msgspec.Struct, gc=False):
    id: UUID
    sale_id: UUID
    quantity: int
    unit_price: MoneyOut  # of the moment when it was received
    total: MoneyOut  # without the premium
    state: str
    claimed_at: dt.datetime
    terms_sha256: str


def claim_command(asked: Asked) -> PlaceClaim:
    body: ClaimIn = asked.body
    return PlaceClaim(
        claim_id=uuid7(), transfer_id=uuid7(), fan_id=asked.fan_id, idempotency_key=asked.key, at_most_minor=body.at_most,
        quantity=body.quantity, received_at=asked.now,
    )  # fmt: skip


def claim_answer(lane: services.ClaimLane, command: PlaceClaim, claim: ClaimValue) -> tuple[bool, ClaimOut]:
    return claim.id == command.claim_id, claim_out(claim, lane.terms.currency)


def claim_out(claim: ClaimValue, currency: str) -> ClaimOut:
    return ClaimOut(
        id=claim.id,
        sale_id=claim.sale_id,
        quantity=claim.quantity,
        unit_price=MoneyOut(claim.unit_price_minor, currency),
        total=MoneyOut(claim.total_minor, currency),
        state=claim.state,
        claimed_at=claim.claimed_at,
        terms_sha256=claim.terms_sha256,
    )


PLACE_CLAIM = Place(
    before="/api/v1/auctions/",
    after="/claims",
    body=ClaimIn,
    outcome=ClaimOut,
    lane=services.lanes.__getitem__,
    command=claim_command,
    answer=claim_answer,
    operation_id="auctions_claim",
    summary="Claim units at the price of the moment",
    tag="falling-prices",
    thing="claim",
    refused={
        "403": "not_verified, own_lot or suspended",
        "409": "price_not_reached, sold, insufficient_funds, not_open or idempotency_conflict",
        "422": "invalid",
    },
)
