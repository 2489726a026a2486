from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db import models
from ninja import Schema
from pydantic import Field, create_model

from core.schemas import Currency, In, Minor, MoneyOut
from sales.asked import PriceTerm, WholeTerm, asked_columns
from sales.drafting import SaleDraft
from sales.models import Sale
from sales.phases import ends_at, opens_at
from sales.rows import TermsRow


class SaleIn(In):
    """What a new sale of every format says. The id is made by the client, so that a repeat makes one sale."""

    sale_id: UUID
    title: Annotated[str, Field(min_length=1, max_length=120)]
    story: Annotated[str, Field(max_length=5_000)] = ""
    currency: Currency = "EUR"
    opens_at: dt.datetime
    closes_at: dt.datetime

    def as_draft(self, seller_id: UUID, now: dt.datetime) -> dict[str, Any]:
        """The arguments of the format's drafting service: the common part as `draft`, the rest by name."""
        said = {name: getattr(self, name) for name in type(self).model_fields}
        common = {name: said.pop(name) for name in SaleIn.model_fields}
        return {"draft": SaleDraft(seller_id=seller_id, now=now, **common), **said}


def terms_in(model: type[TermsRow], **more: Any) -> type[SaleIn]:
    """What a new sale with these terms says: each column by its name and within its bounds, and `more`."""
    fields: dict[str, Any] = {}
    for column in asked_columns(model):
        given = None if column.null else column.default if column.has_default() else ...
        kind = _kind_of(column)
        fields[column.attname] = (kind | None if column.null else kind, given)
    return create_model(f"{model.__name__}In", __base__=SaleIn, **fields, **more)


def _kind_of(column: Any) -> Any:
    if isinstance(column, PriceTerm):
        return Minor
    if isinstance(column, WholeTerm):
        return Annotated[int, Field(strict=True, ge=column.low, le=column.high)]
    if column.choices:
        return Literal[tuple(value for value, _ in column.flatchoices)]
    if isinstance(column, models.BooleanField):
        return Annotated[bool, Field(strict=True)]
    return Annotated[str, Field(max_length=column.max_length)]


class ProceedsOut(Schema):
    """What a settled sale brought its shop: `net` is `gross` - `fee` - `refunded` + `fee_refunded`."""

    sale_id: UUID = Field(alias="sale.id")
    title: str = Field(alias="sale.title")
    format: str = Field(alias="sale.format")
    state: str = Field(alias="sale.state")
    settled_at: dt.datetime = Field(alias="sale.settled_at")
    currency: str = Field(alias="sale.currency")
    gross: MoneyOut  # what fans paid, also after the sale was settled
    fee: MoneyOut
    refunded: MoneyOut
    fee_refunded: MoneyOut  # the house's part of what was refunded
    net: MoneyOut
    transfers: list[UUID]  # of the ledger, by which settling passed it on


class SaleOut(Schema):
    id: UUID
    seller: str
    format: str
    title: str
    story: str
    currency: str
    state: str
    opens_at: dt.datetime
    closes_at: dt.datetime
    terms_version: int
    terms_sha256: str

    @staticmethod
    def resolve_seller(sale: Sale) -> str:
        return sale.seller.handle

    # As they stand now: later than sealed by the time that staff paused it.

    @staticmethod
    def resolve_opens_at(sale: Sale) -> dt.datetime:
        return opens_at(sale)

    @staticmethod
    def resolve_closes_at(sale: Sale) -> dt.datetime:
        return ends_at(sale)


class SellersSaleOut(Schema):
    """What a seller is told of a sale of every format, from the format's row of terms. A format adds its own."""

    sale_id: UUID
    state: str = Field(alias="sale.state")
    title: str = Field(alias="sale.title")
    fee_bps: int
    opens_at: dt.datetime
    closes_at: dt.datetime
    terms_sha256: str = Field(alias="sale.terms_sha256")

    @staticmethod
    def resolve_opens_at(terms: TermsRow) -> dt.datetime:
        return opens_at(terms.sale)

    @staticmethod
    def resolve_closes_at(terms: TermsRow) -> dt.datetime:
        return ends_at(terms.sale)


def terms_out(model: type[TermsRow], **more: Any) -> type[SellersSaleOut]:
    """What a seller is told of a sale with these terms: its columns but for ids, a price as an amount, and `more`."""
    fields: dict[str, Any] = {}
    for column in model._meta.concrete_fields:
        if isinstance(column, PriceTerm):
            fields[column.asked_as] = (MoneyOut | None if column.null else MoneyOut, ...)
        elif column.attname not in SellersSaleOut.model_fields:
            kind = next((kind for column_kind, kind in _SHOWN.items() if isinstance(column, column_kind)), None)
            if kind is not None:
                fields[column.attname] = (kind | None if column.null else kind, ...)
    return create_model(f"{model.__name__}Out", __base__=SellersSaleOut, **fields, **more)


_SHOWN: dict[Any, Any] = {
    models.IntegerField: int, models.BooleanField: bool, models.CharField: str, models.DateTimeField: dt.datetime,
}  # fmt: skip


class TermsOut(Schema):
    version: int
    text: str
    sha256: str
    sealed_at: dt.datetime


class BuyTokenOut(Schema):
    buy_token: str
    expires_at: dt.datetime


class FindingOut(Schema):
    name: str
    sentence: str
    sql: str
    expected: int | None
    found: int | None
    holds: bool


class ProofOut(Schema):
    sale_id: UUID
    holds: bool
    ran_at: dt.datetime
    took_ms: int
    is_being_checked: bool
    checks: list[FindingOut]
