from __future__ import annotations

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import Field

from core.schemas import Currency, In
from sales.drafting import SaleDraft
from sales.models import Sale


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


class SellersSaleOut(Schema):
    """What a seller is told of a sale of every format, from the format's row of terms. A format adds its own."""

    sale_id: UUID
    state: str = Field(alias="sale.state")
    title: str = Field(alias="sale.title")
    fee_bps: int
    opens_at: dt.datetime = Field(alias="sale.opens_at")
    closes_at: dt.datetime = Field(alias="sale.closes_at")
    terms_sha256: str = Field(alias="sale.terms_sha256")


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
