"""The hot path of a rally: `POST /api/v1/rallies/{sale_id}/joins`."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec

from core.ids import uuid7
from core.money import MINOR_MAX
from rallies import services
from rallies.models import INVITE_LENGTH_MAX, INVITE_PATTERN
from rallies.sums import sums_of
from rallies.values import JoinLate, JoinRally, JoinValue
from sales.placing import Asked, MoneyOut, Place, Quantity

_Minor = Annotated[int, msgspec.Meta(ge=1, le=MINOR_MAX)]
_LIMIT = "Join only if the price of a unit falls to this, in minor units. Such a join counts only toward the prices it accepts."
_Invite = Annotated[
    str,
    msgspec.Meta(
        max_length=INVITE_LENGTH_MAX, pattern=INVITE_PATTERN, description="The code of whoever brought the fan."
    ),
]


class JoinIn(msgspec.Struct, forbid_unknown_fields=True):
    quantity: Quantity = 1
    only_at_or_below: Annotated[_Minor | None, msgspec.Meta(description=_LIMIT)] = None
    invite: _Invite = ""


class JoinOut(msgspec.Struct, gc=False):
    id: UUID
    sale_id: UUID
    quantity: int
    state: str
    ceiling: MoneyOut  # the most that a unit can cost
    held: MoneyOut  # the total set aside
    only_at_or_below: int | None
    price_now: MoneyOut
    you_would_pay_now: MoneyOut | None  # the total; null while the limit is not reached, or when the fan is not in
    joiners: int
    waiting: int
    invite_code: str
    joined_at: dt.datetime
    terms_sha256: str


def join_command(asked: Asked) -> JoinRally:
    body: JoinIn = asked.body
    return JoinRally(
        join_id=uuid7(), transfer_id=uuid7(), fan_id=asked.fan_id, idempotency_key=asked.key, quantity=body.quantity,
        only_at_or_below_minor=body.only_at_or_below, invite=body.invite, invite_code=services.new_invite_code(),
        received_at=asked.now,
    )  # fmt: skip


def late_command(asked: Asked) -> JoinLate:
    body: JoinIn = asked.body
    return JoinLate(
        join_id=uuid7(), transfer_id=uuid7(), fan_id=asked.fan_id, idempotency_key=asked.key, quantity=body.quantity,
        invite=body.invite, received_at=asked.now,
    )  # fmt: skip


def join_answer(lane: services.RallyLane, command: JoinRally, join: JoinValue) -> tuple[bool, JoinOut]:
    # Whoever left and joined again has the old id and a new hold.
    return join.transfer_id == command.transfer_id, join_out(join, lane)


def join_out(join: JoinValue, lane: services.RallyLane) -> JoinOut:
    terms, crowd = lane.terms, lane.crowd
    assert crowd is not None, "the lane has answered, so it has committed a batch"
    sums = sums_of(
        terms.tiers, terms.currency, quantity=join.quantity, level=join.level, state=join.state, crowd_level=crowd.level
    )
    return JoinOut(
        id=join.id,
        sale_id=join.rally_id,
        quantity=join.quantity,
        state=join.state,
        ceiling=MoneyOut.of(sums.ceiling),
        held=MoneyOut.of(sums.held),
        only_at_or_below=join.only_at_or_below_minor,
        price_now=MoneyOut(crowd.price_minor, terms.currency),
        you_would_pay_now=MoneyOut.of(sums.pays_now) if sums.pays_now else None,
        joiners=crowd.joiners,
        waiting=crowd.waiting,
        invite_code=join.invite_code,
        joined_at=join.joined_at,
        terms_sha256=join.terms_sha256,
    )


JOIN = Place(
    before="/api/v1/rallies/",
    after="/joins",
    body=JoinIn,
    outcome=JoinOut,
    lane=services.lanes.__getitem__,
    command=join_command,
    answer=join_answer,
    operation_id="rallies_join",
    summary="Join a rally",
    tag="rallies",
    thing="join",
    refused={
        "403": "not_verified, invite_needed or removed",
        "409": "full, already_joined, insufficient_funds, not_open or idempotency_conflict",
        "422": "invalid, too_many_units or price_never_reached",
    },
)
