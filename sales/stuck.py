"""Rows that a step could not do, set aside so that the others go on. Staff see them, and set them free once the cause is gone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from core import clock, due_work
from core.sql import parts
from core.transactions import joins_transaction, retried_transaction
from sales.formats import get_format
from sales.models import Sale, SaleState, StuckRow

WAITS_TOO_LONG = dt.timedelta(days=1)
LOOK_AGAIN_AFTER = dt.timedelta(minutes=5)


def waiting_for_staff(*, now: dt.datetime) -> QuerySet[Sale]:
    """Sales that ended a day ago or more and are not settled because their shop is switched off: fans' money waits with them."""
    ended = Sale.objects.filter(state__in=[SaleState.CLOSED, SaleState.SETTLING], closed_at__lte=now - WAITS_TOO_LONG)
    return ended.filter(seller__is_active=False)


def count_waiting_for_staff() -> int:
    return waiting_for_staff(now=clock.now()).count()


@joins_transaction
def set_aside(sale_id: UUID, error: Exception, *, now: dt.datetime) -> bool:
    """Set the row aside that the next step of the sale would take first. False when there is none."""
    sale = Sale.objects.get(id=sale_id)
    row_id = get_format(sale.format).rules.next_row(sale, now)
    if row_id is None:
        return False
    StuckRow.objects.create(sale=sale, row_id=row_id, error=f"{type(error).__name__}: {error}"[:500], made_at=now)
    return True


def has_any(sale_id: UUID) -> bool:
    return StuckRow.objects.filter(sale_id=sale_id).exists()


def count() -> int:
    return StuckRow.objects.count()


def set_free(*, ids: Collection[UUID], now: dt.datetime) -> int:
    """Have these rows tried again now, however many. Returns how many there were."""
    return sum(_set_free(ids=some, now=now) for some in parts(ids))


@retried_transaction(replayable=True)
def _set_free(*, ids: Collection[UUID], now: dt.datetime) -> int:
    rows = list(StuckRow.objects.select_related("sale").filter(id__in=ids))
    for sale in {row.sale for row in rows}:
        get_format(sale.format).rules.look_again(sale)
        kind = "sales.unwind" if sale.state == SaleState.CANCELLED else "sales.settle"
        due_work.schedule(kind, sale.id, due_at=now)
    return StuckRow.objects.filter(id__in=[row.id for row in rows]).delete()[0]
