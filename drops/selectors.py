from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import Count, DateTimeField, DurationField, ExpressionWrapper, F, QuerySet, Sum

from drops import models
from drops.errors import OrderNotFound
from drops.models import HAS_UNITS, Drop, OrderState
from sales import selectors as sale_selectors
from sales import stuck
from sales.models import Sale
from sales.selectors import with_terms


def get_drop(sale_id: UUID) -> Drop:
    """A drop that fans may see, with its sale and seller."""
    return with_terms(Drop, sale_selectors.get_public_sale(sale_id))


def get_drop_for_seller(seller_id: UUID, sale_id: UUID) -> Drop:
    return with_terms(Drop, sale_selectors.get_sale_for_seller(seller_id, sale_id))


def get_order_of_fan(fan_id: UUID, order_id: UUID) -> models.Order:
    """One of the fan's own orders. Somebody else's is missing."""
    orders = models.Order.objects.select_related("drop__sale__seller")
    order = orders.filter(id=order_id, fan_id=fan_id).first()
    if order is None:
        raise OrderNotFound
    return order


def get_order_for_seller(seller_id: UUID, order_id: UUID) -> models.Order:
    orders = models.Order.objects.select_related("drop__sale__seller")
    order = orders.filter(id=order_id, drop__sale__seller_id=seller_id).first()
    if order is None:
        raise OrderNotFound
    return order


def list_orders_of_fan(fan_id: UUID, *, limit: int = 100) -> list[models.Order]:
    orders = models.Order.objects.select_related("drop__sale__seller").filter(fan_id=fan_id)
    return list(orders.order_by("-placed_at")[:limit])


def list_orders_of_fan_in_drop(fan_id: UUID, drop_id: UUID) -> list[models.Order]:
    return list(models.Order.objects.filter(fan_id=fan_id, drop_id=drop_id).order_by("placed_at"))


def list_orders_of_drop(drop_id: UUID) -> QuerySet[models.Order]:
    """All orders of a drop, newest first. The caller has fetched the drop through its seller."""
    return models.Order.objects.filter(drop_id=drop_id).order_by("-id")


def totals_of_drops(drop_ids: Collection[UUID]) -> dict[UUID, dict[str, int]]:
    """Drop → {"orders", "units", "gross_minor"} of the orders that have units."""
    sums = (
        models.Order.objects.filter(drop_id__in=drop_ids, state__in=HAS_UNITS)
        .values("drop_id")
        .annotate(orders=Count("id"), units=Sum("quantity"), gross_minor=Sum(F("quantity") * F("unit_price_minor")))
    )
    return {row["drop_id"]: {name: row[name] for name in ("orders", "units", "gross_minor")} for row in sums}


def due_holds(sale: Sale, *, now: dt.datetime, limit: int) -> list[models.Order]:
    """Holds that have run out, the oldest first; but for those that stand aside."""
    at = now - sale.moved_by
    held = _moving(sale).filter(state=OrderState.HELD, ends_at__lte=at)
    return list(held.order_by("id")[:limit])


def next_hold_ends_at(sale: Sale) -> dt.datetime | None:
    first = _moving(sale).filter(state=OrderState.HELD).order_by("ends_at").values_list("ends_at", flat=True).first()
    return None if first is None else first + sale.moved_by


def orders_to_settle(sale: Sale, *, now: dt.datetime, limit: int) -> list[models.Order]:
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
    return (
        models.Order.objects.filter(drop_id=sale.id)
        .exclude(id__in=stuck.row_ids(sale.id))
        .annotate(
            ends_at=ExpressionWrapper(F("expires_at") - frozen_before, output_field=DateTimeField()),
            kept_from=ExpressionWrapper(
                F("placed_at") + dt.timedelta(seconds=sale.drop.cancel_s) - frozen_before, output_field=DateTimeField()
            ),
        )
    )


def orders_with_units(drop_id: UUID, *, limit: int) -> list[UUID]:
    """Orders that a cancelled sale gives back, also those it had settled by then; but for those that stand aside."""
    orders = models.Order.objects.filter(drop_id=drop_id, state__in=HAS_UNITS)
    orders = orders.exclude(id__in=stuck.row_ids(drop_id))
    return list(orders.order_by("id").values_list("id", flat=True)[:limit])


def fans_of_drop(drop_id: UUID, *, after: UUID | None, limit: int) -> list[UUID]:
    """The next fans in the order of their ids who have ever bought or held."""
    orders = models.Order.objects.filter(drop_id=drop_id)
    if after is not None:
        orders = orders.filter(fan_id__gt=after)
    return list(orders.order_by("fan_id").values_list("fan_id", flat=True).distinct()[:limit])


def refunded_totals(drop_id: UUID) -> tuple[int, int]:
    """How many paid orders were given back, and their sum in minor units."""
    refunded = models.Order.objects.filter(drop_id=drop_id, state=OrderState.REFUNDED)
    sums = refunded.aggregate(orders=Count("id"), amount_minor=Sum(F("quantity") * F("unit_price_minor")))
    return sums["orders"], sums["amount_minor"] or 0


def settled_totals(drop_id: UUID) -> dict[str, int]:
    """{"gross_minor", "fee_minor"} of all that was passed on to the seller so far."""
    sums = models.Settlement.objects.filter(drop_id=drop_id).aggregate(gross=Sum("gross_minor"), fee=Sum("fee_minor"))
    return {"gross_minor": sums["gross"] or 0, "fee_minor": sums["fee"] or 0}


def units_of_drops(drop_ids: Collection[UUID]) -> dict[UUID, int]:
    """Drop → how many units it was made with."""
    return dict(Drop.objects.filter(sale_id__in=drop_ids).values_list("sale_id", "units_total"))
