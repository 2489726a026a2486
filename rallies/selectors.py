from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Count, QuerySet, Sum

from rallies import models
from rallies.errors import JoinNotFound
from rallies.models import NOT_COUNTED, JoinState, Rally
from rallies.pricing import PriceTier, crowds
from rallies.values import Counts, crowd_at
from sales import selectors as sale_selectors
from sales import stuck
from sales.models import Sale
from sales.selectors import with_terms


def joins_to_unwind(rally_id: UUID, *, limit: int) -> list[tuple[UUID, str]]:
    """Fans whose money a rally that was called off has still, each with the state of the join."""
    return list(_with_money(rally_id).order_by("fan_id").values_list("fan_id", "state")[:limit])


def next_to_unwind(rally_id: UUID) -> UUID | None:
    """The join that the next step would take first."""
    return _with_money(rally_id).order_by("fan_id").values_list("id", flat=True).first()


def next_joined(rally_id: UUID, *, after: UUID | None) -> UUID | None:
    """The join that the next step of settling would take first."""
    joins = _with_money(rally_id).filter(state=JoinState.JOINED)
    if after is not None:
        joins = joins.filter(fan_id__gt=after)
    return joins.order_by("fan_id").values_list("id", flat=True).first()


def _with_money(rally_id: UUID) -> QuerySet[models.Join]:
    """Joins whose hold is open or that were charged; but for those that stand aside."""
    joins = models.Join.objects.filter(rally_id=rally_id, state__in=[JoinState.JOINED, JoinState.PAID])
    return joins.exclude(id__in=stuck.row_ids(rally_id))


def count_joins(rally_id: UUID, state: str) -> int:
    return models.Join.objects.filter(rally_id=rally_id, state=state).count()


def fans_of_rally(rally_id: UUID, *, after: UUID | None, limit: int) -> list[UUID]:
    """The next fans in the order of their ids who have ever joined."""
    joins = models.Join.objects.filter(rally_id=rally_id)
    if after is not None:
        joins = joins.filter(fan_id__gt=after)
    return list(joins.order_by("fan_id").values_list("fan_id", flat=True)[:limit])


def frame_of(
    tiers: Sequence[PriceTier], joiners: int, units: int, limited: Sequence[Sequence[int]],
    *, counts_units: bool, minimum: int, units_left: int | None, ended_level: int | None, did_run: bool | None,
) -> dict[str, Any]:  # fmt: skip
    """What viewers see of a rally: who counts, the price that makes, and what the next step asks for. After the end it is the
    level that was fixed then."""
    counts = Counts([joiners, *[0] * (len(tiers) - 1)], [units, *[0] * (len(tiers) - 1)])
    for level, limited_joiners, limited_units in limited:
        counts.add(level, limited_joiners, limited_units)
        counts.add(0, -limited_joiners, -limited_units)
    now = crowd_at(tiers, counts, counts_units=counts_units, level=ended_level)
    following = tiers[now.level + 1] if now.level + 1 < len(tiers) else None
    accept_next = crowds(counts.units if counts_units else counts.joiners)[now.level + 1] if following else 0
    return {
        "joiners": now.joiners,
        "units": now.units,
        "waiting": now.waiting,
        "count": now.units if counts_units else now.joiners,
        "minimum": minimum,
        "level": now.level,
        "price_minor": now.price_minor,
        "next_count": following.from_count if following else None,
        "next_price_minor": following.price_minor if following else None,
        "next_missing": following.from_count - accept_next if following else None,
        "units_left": units_left,
        "did_run": did_run,
    }


def get_rally(sale_id: UUID) -> Rally:
    """A rally that fans may see, with its sale and seller."""
    return with_terms(Rally, sale_selectors.get_public_sale(sale_id))


def get_rally_for_seller(seller_id: UUID, sale_id: UUID) -> Rally:
    return with_terms(Rally, sale_selectors.get_sale_for_seller(seller_id, sale_id))


def tiers_of(rally_id: UUID) -> list[PriceTier]:
    return [
        PriceTier(*row)
        for row in models.Tier.objects.filter(rally_id=rally_id).values_list("from_count", "price_minor")
    ]


def get_join_of_fan(fan_id: UUID, rally_id: UUID) -> models.Join:
    """The fan's own place in a rally. Raises JoinNotFound."""
    join = models.Join.objects.filter(rally_id=rally_id, fan_id=fan_id).first()
    if join is None:
        raise JoinNotFound
    return join


def list_joins_of_fan(fan_id: UUID, *, limit: int = 100) -> list[models.Join]:
    joins = models.Join.objects.select_related("rally__sale__seller").filter(fan_id=fan_id)
    return list(joins.order_by("-joined_at")[:limit])


def list_joins_of_rally(rally_id: UUID, *, limit: int = 500) -> list[models.Join]:
    """The newest joins. The caller has fetched the rally through its seller."""
    return list(models.Join.objects.filter(rally_id=rally_id).order_by("-joined_at")[:limit])


def invited_by(rally_id: UUID, fan_id: UUID) -> list[models.Join]:
    """Who came through the fan's link, and is still in."""
    joins = models.Join.objects.filter(rally_id=rally_id, invited_by_id=fan_id).exclude(state__in=NOT_COUNTED)
    return list(joins.order_by("joined_at"))


def outcomes_of(rally_ids: Collection[UUID]) -> dict[UUID, models.Outcome]:
    return {outcome.rally_id: outcome for outcome in models.Outcome.objects.filter(rally_id__in=rally_ids)}


def find_join(fan_id: UUID, rally_id: UUID) -> models.Join | None:
    return models.Join.objects.filter(rally_id=rally_id, fan_id=fan_id).first()


def get_receipt(fan_id: UUID, join_id: UUID) -> models.Join:
    """One of the fan's own joins by its id, with its sale. Somebody else's is missing."""
    joins = models.Join.objects.select_related("rally__sale__seller")
    join = joins.filter(id=join_id, fan_id=fan_id).first()
    if join is None:
        raise JoinNotFound
    return join


def get_join_for_seller(seller_id: UUID, join_id: UUID) -> models.Join:
    joins = models.Join.objects.select_related("rally__sale__seller")
    join = joins.filter(id=join_id, rally__sale__seller_id=seller_id).first()
    if join is None:
        raise JoinNotFound("This join does not exist.")
    return join


def find_late_join(fan_id: UUID, rally_id: UUID) -> models.LateJoin | None:
    return models.LateJoin.objects.filter(rally_id=rally_id, fan_id=fan_id).first()


def get_late_receipt(fan_id: UUID, join_id: UUID) -> models.LateJoin:
    """One of the fan's own purchases after the end. Somebody else's is missing."""
    late = models.LateJoin.objects.select_related("rally__sale__seller").filter(id=join_id, fan_id=fan_id).first()
    if late is None:
        raise JoinNotFound
    return late


def list_late_joins_of_fan(fan_id: UUID, *, limit: int = 100) -> list[models.LateJoin]:
    late = models.LateJoin.objects.select_related("rally__sale__seller").filter(fan_id=fan_id)
    return list(late.order_by("-joined_at")[:limit])


def list_late_joins_of_rally(rally_id: UUID, *, limit: int = 500) -> list[models.LateJoin]:
    """The newest purchases after the end. The caller has fetched the rally through its seller."""
    return list(models.LateJoin.objects.filter(rally_id=rally_id).order_by("-joined_at")[:limit])


def tiers_by_rally(rally_ids: Collection[UUID]) -> dict[UUID, list[PriceTier]]:
    found: dict[UUID, list[PriceTier]] = {}
    tiers = models.Tier.objects.filter(rally_id__in=rally_ids).order_by("rally_id", "level")
    for rally_id, *tier in tiers.values_list("rally_id", "from_count", "price_minor"):
        found.setdefault(rally_id, []).append(PriceTier(*tier))
    return found


def display_names(fan_ids: Collection[UUID]) -> dict[UUID, str]:
    """The names that fans gave themselves, where they did."""
    fans = get_user_model().objects.filter(id__in=fan_ids).exclude(display_name="")
    return dict(fans.values_list("id", "display_name"))


def top_inviters(rally_id: UUID, *, limit: int = 10) -> list[tuple[UUID, int]]:
    """(fan, how many came through their link and are still in), the most first."""
    brought = models.Join.objects.filter(rally_id=rally_id, invited_by__isnull=False).exclude(state__in=NOT_COUNTED)
    counted = brought.values("invited_by_id").annotate(brought=Count("id")).order_by("-brought", "invited_by_id")
    return [(row["invited_by_id"], row["brought"]) for row in counted[:limit]]


def paid_quantities(rally_ids: Collection[UUID]) -> list[tuple[UUID, str, int, int]]:
    """(rally, "paid" | "refunded" | "late", quantity, how many): few rows however many paid, and each fee can be worked out."""
    ended = models.Join.objects.filter(rally_id__in=rally_ids, state__in=[JoinState.PAID, JoinState.REFUNDED])
    late = models.LateJoin.objects.filter(rally_id__in=rally_ids)
    counted = ended.values_list("rally_id", "state", "quantity").annotate(n=Count("id")).order_by()
    late_counted = late.values_list("rally_id", "quantity").annotate(n=Count("id")).order_by()
    return [*counted, *((rally_id, "late", quantity, n) for rally_id, quantity, n in late_counted)]


def settlement_totals(rally_id: UUID) -> dict[str, int]:
    """{"charged", "released", "gross_minor", "fee_minor"} of all chunks settled so far."""
    names = ("charged", "released", "gross_minor", "fee_minor")
    sums = models.Settlement.objects.filter(rally_id=rally_id).aggregate(**{f"sum_{name}": Sum(name) for name in names})
    return {name: sums[f"sum_{name}"] or 0 for name in names}


def changes_over_time(
    rally_id: UUID, *, since: dt.datetime, until: dt.datetime, slots: int
) -> list[tuple[int, int, int, int]]:
    """(slot, level, joiners, units) by which the crowd changed in each of `slots` equal parts of the time. Earlier is slot 0.

    From the joins as they stand: a fan who left and came again shows only from the second time on.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH moved AS (
                SELECT joined_at AS at, level, 1 AS joiners, quantity AS units FROM rallies_join WHERE rally_id = %s
                 UNION ALL
                SELECT changed_at, level, -1, -quantity FROM rallies_join
                 WHERE rally_id = %s AND state IN ('left', 'removed') AND NOT stays_counted
            )
            SELECT least(greatest(floor(extract(epoch FROM at - %s) / extract(epoch FROM %s - %s::timestamptz) * %s), 0),
                         %s - 1)::int AS slot,
                   level, sum(joiners)::int, sum(units)::int
              FROM moved GROUP BY slot, level ORDER BY slot, level
            """,
            [rally_id, rally_id, since, until, since, slots, slots],
        )
        return cursor.fetchall()


def rallies_of(sales_: Collection[Sale]) -> list[Rally]:
    """The rallies of these sales, each with its sale as given."""
    by_id = {sale.id: sale for sale in sales_}
    found = list(Rally.objects.filter(sale_id__in=by_id))
    for rally in found:
        rally.sale = by_id[rally.sale_id]
    return found
