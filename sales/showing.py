"""What the demo of every format needs: sales to be running at all times, and ones that are over. All of it by real services."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from uuid import UUID

from django.db.models import QuerySet

from core import clock
from core.ids import uuid7
from core.money import Money
from sales import minting, prover
from sales import services as sales
from sales.drafting import SaleDraft
from sales.models import UNENDED_STATES, Sale, SaleState
from sellers.models import Seller


def sales_of(shop: Seller, title: str) -> QuerySet[Sale]:
    return Sale.objects.filter(seller=shop, title=title)


def is_running(shop: Seller, title: str) -> bool:
    return sales_of(shop, title).filter(state__in=UNENDED_STATES).exists()


def draft_of(
    shop: Seller, title: str, story: str, *, open_for: dt.timedelta, opens_in: dt.timedelta = dt.timedelta(0)
) -> SaleDraft:
    """A draft in euro whose times count from now."""
    now = clock.now()
    return SaleDraft(
        sale_id=uuid7(), seller_id=shop.id, title=title, story=story, currency="EUR", opens_at=now + opens_in,
        closes_at=now + opens_in + open_for, now=now,
    )  # fmt: skip


def fans_with(funds_minor: int, *, count: int) -> Iterator[UUID]:
    for chunk in minting.mint_fans(count=count, funds=Money(funds_minor, "EUR"), now=clock.now()):
        yield from chunk


def end(shop: Seller, sale_id: UUID) -> None:
    """Close the sale before its time, settle it and prove it."""
    sales.close_sale_early(seller_id=shop.id, sale_id=sale_id, now=clock.now())
    sales.settle_to_the_end(sale_id)
    sale = Sale.objects.get(id=sale_id)
    assert sale.state == SaleState.SETTLED, sale
    prover.prove_now(sale)
