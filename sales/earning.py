"""What a shop's settled sales brought it, sale by sale, for programs: from the ledger, not from what is counted for screens."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from core.money import Money
from core.paging import Page, page_of
from sales.formats import list_formats
from sales.models import Sale, Takings
from sales.proceeds import PassedOn, Proceeds, passed_on
from sales.refunds import refunded_in


def page_of_proceeds(seller_id: UUID, cursor: str = "") -> Page[Proceeds]:
    """The last to be settled first."""
    rows = Takings.objects.select_related("sale").filter(seller_id=seller_id)
    page = page_of(rows, cursor, by=("-settled_at", "-sale_id"))
    return page.map(lambda rows: _proceeds([row.sale for row in rows]))


def _proceeds(sales: Sequence[Sale]) -> list[Proceeds]:
    settled, refunded = passed_on(sales), refunded_in([sale.id for sale in sales])
    since: dict[UUID, tuple[int, int]] = {}
    for format in list_formats():
        since |= format.rules.sold_since([sale.id for sale in sales if sale.format == format.name])
    return [_one(sale, settled[sale.id], since.get(sale.id, (0, 0)), refunded.get(sale.id, (0, 0))) for sale in sales]


def _one(sale: Sale, settled: PassedOn, since: tuple[int, int], refunded: tuple[int, int]) -> Proceeds:
    minors = (settled.gross_minor + since[0], settled.fee_minor + since[1], *refunded)
    gross, fee, back, fee_back = (Money(minor, sale.currency) for minor in minors)
    return Proceeds(sale, gross, fee, back, fee_back, settled.transfers)
