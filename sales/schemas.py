from __future__ import annotations

import datetime as dt
from uuid import UUID

from ninja import Schema

from sales.models import Sale


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
