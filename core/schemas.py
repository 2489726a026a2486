"""Shapes that several faces share. Strict: a number is a number, and every one has its bounds."""

from __future__ import annotations

from typing import Annotated, Any

from ninja import Schema
from pydantic import ConfigDict, Field, field_validator

from core.money import MINOR_MAX, Money

Minor = Annotated[int, Field(strict=True, ge=1, le=MINOR_MAX, description="Whole minor units.")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3,4}$")]


class In(Schema):
    """What comes in: unknown fields are a mistake, not noise."""

    model_config = ConfigDict(extra="forbid", strict=False)

    @field_validator("*")
    @classmethod
    def _can_be_stored(cls, value: Any) -> Any:
        if isinstance(value, str) and "\x00" in value:
            raise ValueError("text cannot contain the NUL character")
        return value


class MoneyOut(Schema):
    minor: int
    currency: str

    @classmethod
    def of(cls, money: Money) -> MoneyOut:
        return cls(minor=money.minor, currency=money.currency)


class RefusalOut(Schema):
    code: str
    detail: str
    data: dict[str, object]
