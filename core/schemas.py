"""Shapes that several faces share. Strict: a number is a number, and every one has its bounds."""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args

import msgspec
from ninja import Schema
from pydantic import ConfigDict, Field, create_model, field_validator

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


@cache
def schema_of(struct: type[msgspec.Struct]) -> type[Schema]:
    """The same answer for Ninja as a hot route's struct, so that its fields are written once."""
    fields: dict[str, Any] = {field.name: (_as_schema(field.type), ...) for field in msgspec.structs.fields(struct)}
    return create_model(struct.__name__, __base__=Schema, **fields)


def _as_schema(annotation: Any) -> Any:
    if isinstance(annotation, UnionType):
        return Union[tuple(_as_schema(option) for option in get_args(annotation))]  # noqa: UP007  # made of a tuple
    is_struct = isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)
    return schema_of(annotation) if is_struct else annotation
