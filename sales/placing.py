"""Everything of a hot write but its body, its command and its answer: one `Place` a hot route, from which the site makes the
route, its short way past ASGI, and its rows in the OpenAPI document."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
from django.utils.translation import gettext_noop as N_

from accounts import permits
from core import clock
from core.lanes import Lane
from core.lean import Answer, Headers, header, parse_json, uuid_header
from core.money import Money
from sales.errors import BadBuyToken, NotVerified
from sales.rows import LIMIT_MAX
from sales.tokens import read_buy_token

_encode = msgspec.json.Encoder().encode


class Asked(NamedTuple):
    """What a fan asked for, whichever face it came by. `body` is the place's struct."""

    fan_id: UUID
    key: UUID  # the fan's Idempotency-Key
    now: dt.datetime
    body: Any


Quantity = Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX, description="How many units.")]


class MoneyOut(msgspec.Struct, gc=False):
    minor: int
    currency: str

    @classmethod
    def of(cls, money: Money) -> MoneyOut:
        return cls(money.minor, money.currency)


@dataclass(frozen=True, slots=True)
class Place:
    """A hot write: `POST {before}{sale_id}{after}`. 201 with what was made, 200 with the same for a repeat of its key."""

    before: str
    after: str
    body: type[msgspec.Struct]
    outcome: type[msgspec.Struct]
    lane: Callable[[UUID], Lane[Any, Any]]
    command: Callable[[Asked], Any]
    answer: Callable[
        [Any, Any, Any], tuple[bool, msgspec.Struct]
    ]  # (lane, command, its outcome) → is it new, and how it is told
    tag: str  # the format's plural
    thing: str  # what a success makes
    # For the OpenAPI document.
    operation_id: str
    summary: str
    refused: Mapping[str, str]  # status → the codes behind it
    # A verb: how the button, and the page behind it that needs no scripts, are called, which the spine makes then.
    page: str = ""
    _decoder: msgspec.json.Decoder[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_decoder", msgspec.json.Decoder(self.body))

    @property
    def path(self) -> str:
        return f"{self.before}{{sale_id}}{self.after}"

    def read(self, sale_id: UUID, headers: Headers, body: bytes) -> tuple[Lane[Any, Any], Any]:
        """The lane and the command. Checks token, verification, key and body; raises their refusals."""
        now = clock.now()
        token = read_buy_token(header(headers, b"x-buy-token"), sale_id=sale_id, now_s=now.timestamp())
        if permits.ended_since(token.fan_id, token.made_at_ms):
            raise BadBuyToken(N_("You have logged out, or may no longer buy here."))
        if not token.is_verified:
            raise NotVerified
        key = uuid_header(headers, b"idempotency-key")
        asked = Asked(token.fan_id, key, now, parse_json(body, self._decoder))
        return self.lane(sale_id), self.command(asked)

    def write(self, lane: Lane[Any, Any], command: Any, outcome: Any) -> Answer:
        is_new, told = self.answer(lane, command, outcome)
        return (201 if is_new else 200), _encode(told), []
