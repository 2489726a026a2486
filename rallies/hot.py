"""The hot path of a rally: `POST /api/v1/rallies/{sale_id}/joins`, on the lean layer."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec

from core import clock
from core.ids import uuid7
from core.lean import Answer, Headers, header, parse_json, uuid_header
from core.money import MINOR_MAX, Money
from rallies import rules, services
from rallies.models import LIMIT_MAX
from rallies.sums import sums_of
from sales.errors import NotVerified
from sales.tokens import read_buy_token

# What `services.new_invite_code` makes.
INVITE_PATTERN = "^[A-Za-z0-9_-]*$"
INVITE_LENGTH_MAX = 16

_Minor = Annotated[int, msgspec.Meta(ge=1, le=MINOR_MAX)]


class JoinIn(msgspec.Struct, forbid_unknown_fields=True):
    quantity: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX, description="How many units.")] = 1
    only_at_or_below: Annotated[
        _Minor | None,
        msgspec.Meta(
            description="Join only if the price of a unit falls to this, in minor units. Such a join counts only toward "
            "the prices it accepts."
        ),
    ] = None
    invite: Annotated[
        str,
        msgspec.Meta(
            max_length=INVITE_LENGTH_MAX, pattern=INVITE_PATTERN, description="The code of whoever brought the fan."
        ),
    ] = ""


class JoinMoney(msgspec.Struct, gc=False):
    minor: int
    currency: str


class JoinOut(msgspec.Struct, gc=False):
    id: UUID
    sale_id: UUID
    quantity: int
    state: str
    ceiling: JoinMoney  # the most that a unit can cost
    held: JoinMoney  # the total set aside
    only_at_or_below: int | None
    price_now: JoinMoney
    you_would_pay_now: JoinMoney | None  # the total; null while the limit is not reached, or when the fan is not in
    joiners: int
    waiting: int
    invite_code: str
    joined_at: dt.datetime
    terms_sha256: str


class JoinRequest(rules.JoinRally, frozen=True, gc=False):
    """The command with the lane that answers it, which knows the terms and the crowd as of the committed batch."""

    lane: services.RallyLane


_decoder = msgspec.json.Decoder(JoinIn)
_encode = msgspec.json.Encoder().encode


class JoinEndpoint:
    """201 with the join; 200 with the join that is there for a repeat of its key or a double tap. Refusals as their kinds say."""

    def read(self, sale_id: UUID, headers: Headers, body: bytes) -> tuple[services.RallyLane, JoinRequest]:
        now = clock.now()
        token = read_buy_token(header(headers, b"x-buy-token"), sale_id=sale_id, now_s=now.timestamp())
        if not token.is_verified:
            raise NotVerified
        key = uuid_header(headers, b"idempotency-key")
        asked = parse_json(body, _decoder)
        lane = services.lanes[sale_id]
        command = JoinRequest(
            join_id=uuid7(), transfer_id=uuid7(), fan_id=token.fan_id, idempotency_key=key, quantity=asked.quantity,
            only_at_or_below_minor=asked.only_at_or_below, invite=asked.invite,
            invite_code=services.new_invite_code(), received_at=now, lane=lane,
        )  # fmt: skip
        return lane, command

    def answer(self, command: JoinRequest, join: rules.Join) -> Answer:
        # Whoever left and joined again has the old id and a new hold.
        is_new = join.transfer_id == command.transfer_id
        return (201 if is_new else 200), _encode(join_out(join, command.lane)), []


JOIN = JoinEndpoint()


def join_out(join: rules.Join, lane: services.RallyLane) -> JoinOut:
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
        ceiling=_money(sums.ceiling),
        held=_money(sums.held),
        only_at_or_below=join.only_at_or_below_minor,
        price_now=JoinMoney(crowd.price_minor, terms.currency),
        you_would_pay_now=_money(sums.pays_now) if sums.pays_now else None,
        joiners=crowd.joiners,
        waiting=crowd.waiting,
        invite_code=join.invite_code,
        joined_at=join.joined_at,
        terms_sha256=join.terms_sha256,
    )


def _money(money: Money) -> JoinMoney:
    return JoinMoney(money.minor, money.currency)
