from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, DateTimeField, DurationField, ExpressionWrapper, F, Sum
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from drops.errors import OrderNotFound
from drops.models import HAS_UNITS, Order, OrderState
from sales.models import Sale
from sales.things import Things

orders = Things(
    Order, terms="drop", missing=OrderNotFound, receipt="drops/order.html", page="drops:order",
    paid_minor=lambda order: order.total_minor if order.state == OrderState.SETTLED else 0,
    noun=pgettext_lazy("noun", "order"), nouns=_("orders"),
)  # fmt: skip


def list_orders_of_fan_in_drop(fan_id: UUID, drop_id: UUID) -> list[Order]:
    return list(Order.objects.filter(fan_id=fan_id, drop_id=drop_id).order_by("placed_at"))


def sums_of_drops(drop_ids: Collection[UUID]) -> dict[UUID, tuple[int, int]]:
    """Drop → (units, what they cost in minor units) of the orders that have units."""
    sums = (
        Order.objects.filter(drop_id__in=drop_ids, state__in=HAS_UNITS)
        .values_list("drop_id")
        .annotate(units=Sum("quantity"), gross_minor=Sum(F("quantity") * F("unit_price_minor")))
    )
    return {drop_id: (units, gross_minor) for drop_id, units, gross_minor in sums}


def units_over_time(drop_id: UUID, *, since: dt.datetime, until: dt.datetime, slots: int) -> list[tuple[int, int]]:
    """(slot, units) of the orders that have units, by when they were placed; slots from 1 to `slots`."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT width_bucket(extract(epoch FROM placed_at), extract(epoch FROM %s::timestamptz),
                                extract(epoch FROM %s::timestamptz), %s) AS slot, sum(quantity)::bigint
              FROM drops_order WHERE drop_id = %s AND state = ANY(%s) GROUP BY 1 ORDER BY 1
            """,
            [since, until, slots, drop_id, list(HAS_UNITS)],
        )
        return [(min(max(slot, 1), slots), units) for slot, units in cursor.fetchall()]


def units_since(drop_id: UUID, since: dt.datetime) -> int:
    found = Order.objects.filter(drop_id=drop_id, placed_at__gte=since, state__in=HAS_UNITS)
    return found.aggregate(units=Sum("quantity"))["units"] or 0


def due_holds(sale: Sale, *, now: dt.datetime, limit: int) -> list[Order]:
    """Holds that have run out, the oldest first; but for those that stand aside."""
    at = now - sale.moved_by
    held = _moving(sale).filter(state=OrderState.HELD, ends_at__lte=at)
    return list(held.order_by("id")[:limit])


def next_hold_ends_at(sale: Sale) -> dt.datetime | None:
    first = _moving(sale).filter(state=OrderState.HELD).order_by("ends_at").values_list("ends_at", flat=True).first()
    return None if first is None else first + sale.moved_by


def orders_to_settle(sale: Sale, *, now: dt.datetime, limit: int) -> list[Order]:
    """Paid orders that can no longer be given back; but for those that stand aside."""
    paid = _moving(sale).filter(state=OrderState.PAID)
    if sale.drop.cancel_s and now < sale.closes_at + sale.moved_by:
        paid = paid.filter(kept_from__lte=now - sale.moved_by)
    return list(paid.order_by("id")[:limit])


def next_deadline(sale: Sale) -> dt.datetime | None:
    """When the next hold ends, or the next paid order can no longer be given back. None when there is neither."""
    paid = _moving(sale).filter(state=OrderState.PAID).order_by("kept_from").values_list("kept_from", flat=True).first()
    kept_from = None if paid is None else min(paid, sale.closes_at) + sale.moved_by
    return min(filter(None, [next_hold_ends_at(sale), kept_from]), default=None)


def _moving(sale: Sale) -> Any:  # a queryset; its stubs do not know the annotations
    """The sale's orders but for those that stand aside, with their deadlines on the clock of a sale that was never frozen:
    `ends_at` of a hold, and `kept_from`, when it cannot be given back any more."""
    frozen_before = ExpressionWrapper(F("frozen_ms") * dt.timedelta(milliseconds=1), output_field=DurationField())
    cancel_for = dt.timedelta(seconds=sale.drop.cancel_s)
    return orders.moving(sale.id).annotate(
        ends_at=ExpressionWrapper(F("expires_at") - frozen_before, output_field=DateTimeField()),
        kept_from=ExpressionWrapper(F("placed_at") + cancel_for - frozen_before, output_field=DateTimeField()),
    )


def orders_with_units(drop_id: UUID, *, limit: int) -> list[UUID]:
    """Orders that a cancelled sale gives back, also those it had settled by then; but for those that stand aside."""
    owed = orders.moving(drop_id).filter(state__in=HAS_UNITS)
    return list(owed.order_by("id").values_list("id", flat=True)[:limit])


def given_back(drop_id: UUID) -> tuple[int, int]:
    """How many paid orders were given back, and their sum in minor units."""
    refunded = Order.objects.filter(drop_id=drop_id, state=OrderState.REFUNDED)
    sums = refunded.aggregate(orders=Count("id"), amount_minor=Sum(F("quantity") * F("unit_price_minor")))
    return sums["orders"], sums["amount_minor"] or 0
