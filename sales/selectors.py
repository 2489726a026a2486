from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar
from uuid import UUID

from django.db.models import QuerySet, Sum

from core.errors import NotFound
from sales.models import UNENDED_STATES, Sale, SaleState, SealedTerms, StaffAction, StuckRow
from sales.rows import SettlementRow, TermsRow

M = TypeVar("M", bound=TermsRow)
S = TypeVar("S", bound=SettlementRow)


def published_sales() -> QuerySet[Sale]:
    """Every sale that fans may see, running or over."""
    return Sale.objects.filter(published_at__isnull=False)


def get_public_sale(sale_id: UUID) -> Sale:
    """A sale that fans may see. What was never published is missing to them."""
    sale = published_sales().select_related("seller").filter(id=sale_id).first()
    if sale is None:
        raise NotFound("This sale does not exist.")
    return sale


def get_sale_for_seller(seller_id: UUID, sale_id: UUID) -> Sale:
    """One of the seller's own sales. Another seller's sale is missing."""
    sale = Sale.objects.select_related("seller").filter(id=sale_id, seller_id=seller_id).first()
    if sale is None:
        raise NotFound("This sale does not exist.")
    return sale


def list_sales_of_seller(seller_id: UUID) -> QuerySet[Sale]:
    return Sale.objects.filter(seller_id=seller_id).order_by("-opens_at")


def list_running_sales(*, limit: int = 60, seller_id: UUID | None = None) -> list[Sale]:
    """Sales that are open or will open, the earliest first."""
    sales = Sale.objects.select_related("seller").filter(state__in=UNENDED_STATES, seller__is_active=True)
    if seller_id is not None:
        sales = sales.filter(seller_id=seller_id)
    return list(sales.order_by("opens_at")[:limit])


def list_past_sales(*, limit: int = 30, seller_id: UUID | None = None) -> list[Sale]:
    past = [SaleState.CLOSED, SaleState.SETTLING, SaleState.SETTLED]
    sales = Sale.objects.select_related("seller").filter(state__in=past, seller__is_active=True)
    if seller_id is not None:
        sales = sales.filter(seller_id=seller_id)
    return list(sales.order_by("-closes_at")[:limit])


def list_settled_sales(*, limit: int = 100) -> list[Sale]:
    settled = Sale.objects.select_related("seller").filter(state=SaleState.SETTLED)
    return list(settled.order_by("-settled_at")[:limit])


def list_staff_actions(sale_id: UUID) -> list[StaffAction]:
    """What staff did to the sale, the oldest first."""
    return list(StaffAction.objects.filter(sale_id=sale_id).order_by("at", "id"))


def newest_staff_action(sale_id: UUID) -> StaffAction | None:
    return StaffAction.objects.filter(sale_id=sale_id).order_by("-at", "-id").first()


def stuck_row_ids(sale_id: UUID) -> list[UUID]:
    """The purchases that the sale's steps leave out."""
    return list(StuckRow.objects.filter(sale_id=sale_id).values_list("row_id", flat=True))


def find_terms(sale_id: UUID, version: int) -> SealedTerms | None:
    return SealedTerms.objects.filter(sale_id=sale_id, version=version).first()


def with_terms(model: type[M], sale: Sale) -> M:
    """The format's own row of the sale, with the sale in it. Raises NotFound when the sale is of another format."""
    row = model._default_manager.filter(pk=sale.id).first()
    if row is None:
        raise NotFound(f"This {model._meta.verbose_name} does not exist.")
    row.sale = sale
    return row


def with_terms_each(model: type[M], sales: Collection[Sale]) -> dict[UUID, M]:
    """The format's own rows of these sales, by their ids, each with its sale."""
    rows = model._default_manager.in_bulk([sale.id for sale in sales])
    for sale in sales:
        rows[sale.id].sale = sale
    return rows


def settled_totals(chunks: QuerySet[S], *counts: str) -> dict[str, int]:
    """ "gross_minor", "fee_minor" and the format's own `counts`, summed up over a sale's chunks settled so far."""
    names = ("gross_minor", "fee_minor", *counts)
    sums = chunks.aggregate(**{f"sum_{name}": Sum(name) for name in names})
    return {name: sums[f"sum_{name}"] or 0 for name in names}
