from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

from ninja import Schema
from pydantic import Field

from core.schemas import In, Minor, MoneyOut
from rallies.models import CAP_MAX, INVITE_LENGTH_MAX, INVITE_PATTERN
from rallies.pricing import TIERS_MAX
from sales.rows import LIMIT_MAX


class TierIn(In):
    """From `from_count` joiners (or units) on, a unit costs `price_minor`."""

    from_count: Annotated[int, Field(strict=True, ge=1, le=CAP_MAX)]
    price_minor: Minor


class TierOut(Schema):
    from_count: int
    price: MoneyOut


class OutcomeOut(Schema):
    """What the rally ended at. Nobody pays unless it did run."""

    joiners: int
    units: int
    price: MoneyOut
    did_run: bool


# What a rally says beside its columns.
MORE_IN = {"tiers": (Annotated[list[TierIn], Field(min_length=1, max_length=TIERS_MAX)], ...)}
MORE_OUT = {"tiers": (list[TierOut], ...), "outcome": (OutcomeOut | None, None)}


class MyJoinOut(Schema):
    """What a fan sees of a join, a `shown.JoinRow`. Totals; null where there is nothing to say (any more)."""

    id: UUID = Field(alias="record.id")
    sale_id: UUID = Field(alias="sale.id")
    quantity: int = Field(alias="record.quantity")
    state: str
    ceiling: MoneyOut = Field(alias="sums.ceiling")  # of one unit
    held: MoneyOut = Field(alias="sums.held")
    paid: MoneyOut | None = Field(alias="sums.paid")
    released: MoneyOut | None = Field(alias="sums.released")
    saved: MoneyOut | None = Field(alias="sums.saved")
    only_at_or_below: int | None = Field(alias="record.only_at_or_below_minor")
    joined_at: dt.datetime = Field(alias="record.joined_at")
    changed_at: dt.datetime = Field(alias="record.changed_at")
    terms_sha256: str = Field(alias="record.terms_sha256")
    invite_code: str = Field(alias="record.invite_code")


class LateJoinIn(In):
    """The id is made by the client and kept over its retries."""

    id: UUID
    quantity: Annotated[int, Field(strict=True, ge=1, le=LIMIT_MAX)] = 1
    invite: Annotated[str, Field(max_length=INVITE_LENGTH_MAX, pattern=INVITE_PATTERN)] = ""


class LateJoinOut(Schema):  # from a `shown.LateRow`
    id: UUID = Field(alias="record.id")
    sale_id: UUID = Field(alias="sale.id")
    quantity: int = Field(alias="record.quantity")
    paid: MoneyOut
    joined_at: dt.datetime = Field(alias="record.joined_at")
    terms_sha256: str = Field(alias="record.terms_sha256")


class BroughtOut(Schema):
    """Somebody who came by the fan's link: the first of the names they gave themselves, or their pseudonym here."""

    name: str
    quantity: int
