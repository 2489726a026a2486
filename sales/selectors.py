from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from core.errors import NotFound
from core.money import EXPONENTS
from core.paging import Page, page_of
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
        raise NotFound(_("This sale does not exist."))
    return sale


def get_sale_for_seller(seller_id: UUID, sale_id: UUID) -> Sale:
    """One of the seller's own sales. Another seller's sale is missing."""
    sale = Sale.objects.select_related("seller").filter(id=sale_id, seller_id=seller_id).first()
    if sale is None:
        raise NotFound(_("This sale does not exist."))
    return sale


def sales_of_shop(seller_id: UUID, sale_ids: Collection[UUID]) -> list[Sale]:
    """Those of these that are the shop's, the newest first."""
    return list(Sale.objects.filter(seller_id=seller_id, id__in=sale_ids).order_by("-id"))


def page_of_sellers_sales(seller_id: UUID, cursor: str = "", *, search: str = "") -> Page[Sale]:
    """A seller's sales, the last to open first. `search` is a part of the title."""
    sales = Sale.objects.select_related("seller").filter(seller_id=seller_id)
    if search:
        sales = sales.filter(title__icontains=search)
    return page_of(sales, cursor, by=("-opens_at", "-id"))


@dataclass(frozen=True, slots=True)
class Find:
    """What home and storefronts are narrowed to. All of it is optional."""

    q: str = ""  # a part of a title, or of a shop's name
    format: str = ""
    most: int | None = None  # taking part asks for no more than this many euro, pounds, yen …
    within: dt.timedelta | None = None  # opens or ends in the time from now
    seller_id: UUID | None = None

    @property
    def is_narrow(self) -> bool:
        return bool(self.q or self.format or self.most is not None or self.within)


NO_WISH = Find()


def list_drafts(seller_id: UUID, *, limit: int) -> list[Sale]:
    """A shop's drafts, the newest first."""
    return list(Sale.objects.filter(seller_id=seller_id, state=SaleState.DRAFT).order_by("-created_at", "-id")[:limit])


# The shelves of home and storefronts, chosen and ordered by the database, so that none is lost however many there are.
SHELF_ROWS = 24


def page_of_open(now: dt.datetime, cursor: str = "", find: Find = NO_WISH) -> Page[Sale]:
    """Sales that have opened and are not over, the next to close first."""
    sales = _of_shops(find).filter(state__in=UNENDED_STATES, opens_at__lte=now)
    if find.within:
        sales = sales.filter(closes_at__lte=now + find.within)
    return page_of(sales, cursor, by=("closes_at", "id"), size=SHELF_ROWS)


def page_of_upcoming(now: dt.datetime, cursor: str = "", find: Find = NO_WISH) -> Page[Sale]:
    """Sales that will open, the next first."""
    sales = _of_shops(find).filter(state__in=UNENDED_STATES, opens_at__gt=now)
    if find.within:
        sales = sales.filter(opens_at__lte=now + find.within)
    return page_of(sales, cursor, by=("opens_at", "id"), size=SHELF_ROWS)


def page_of_past(cursor: str = "", find: Find = NO_WISH) -> Page[Sale]:
    """Sales that are over, the newest first."""
    past = [SaleState.CLOSED, SaleState.SETTLING, SaleState.SETTLED]
    return page_of(_of_shops(find).filter(state__in=past), cursor, by=("-closes_at", "-id"), size=SHELF_ROWS)


def _of_shops(find: Find) -> QuerySet[Sale]:
    """Those of shops that are open, as far as they are wished for."""
    sales = Sale.objects.select_related("seller").filter(seller__is_active=True)
    if find.seller_id is not None:
        sales = sales.filter(seller_id=find.seller_id)
    if find.format:
        sales = sales.filter(format=find.format)
    if find.most is not None:
        within = Q()
        for currency, exponent in EXPONENTS.items():
            within |= Q(currency=currency, entry_minor__lte=find.most * 10**exponent)
        sales = sales.filter(within)
    if find.q:
        sales = sales.filter(Q(title__icontains=find.q) | Q(seller__name__icontains=find.q))
    return sales


@dataclass(frozen=True, slots=True)
class Record:
    """What a shop has behind it."""

    sales: int  # settled
    called_off: int


def record_of(seller_id: UUID) -> Record:
    counted = dict(
        published_sales().filter(seller_id=seller_id).values_list("state").annotate(count=Count("id")).order_by()
    )
    return Record(counted.get(SaleState.SETTLED, 0), counted.get(SaleState.CANCELLED, 0))


def page_of_settled(cursor: str = "") -> Page[Sale]:
    """The last to be settled first."""
    settled = Sale.objects.select_related("seller").filter(state=SaleState.SETTLED)
    return page_of(settled, cursor, by=("-settled_at", "-id"))


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
        raise NotFound(_("This {verbose_name} does not exist.").format(verbose_name=_(str(model._meta.verbose_name))))
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
