from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, QuerySet
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from msgspec.structs import asdict

from core.money import share_bps
from rallies.errors import JoinNotFound
from rallies.models import NOT_COUNTED, Join, JoinState, LateJoin, Outcome, Settlement, Tier
from rallies.pricing import PriceTier, crowds
from rallies.values import Counts, crowd_at
from sales.selectors import settled_totals
from sales.things import Things


def paid_minor(join: Join | LateJoin) -> int:
    """What a fan paid for a join that was charged, a late one too."""
    if isinstance(join, Join) and join.state != JoinState.PAID:
        return 0
    price_minor: int = join.rally.outcome.price_minor
    return price_minor * join.quantity


joins = Things(
    Join,
    terms="rally",
    missing=JoinNotFound,
    receipt="rallies/receipt.html",
    page="rallies:receipt",
    paid_minor=paid_minor,
    noun=pgettext_lazy("noun", "join"),
    nouns=_("joins"),
)
late_joins = Things(
    LateJoin, terms="rally", missing=JoinNotFound, receipt="rallies/late_receipt.html", page="rallies:late_receipt",
    paid_minor=paid_minor, noun=pgettext_lazy("noun", "late join"), nouns=_("late joins"),
)  # fmt: skip


def joins_to_unwind(rally_id: UUID, *, limit: int) -> list[tuple[UUID, str]]:
    """Fans whose money a rally that was called off has still, each with the state of the join."""
    return list(_with_money(rally_id).order_by("fan_id").values_list("fan_id", "state")[:limit])


def next_to_unwind(rally_id: UUID) -> UUID | None:
    """The join that the next step would take first."""
    return _with_money(rally_id).order_by("fan_id").values_list("id", flat=True).first()


def next_joined(rally_id: UUID, *, after: UUID | None) -> UUID | None:
    """The join that the next step of settling would take first."""
    return (
        joins.moving(rally_id, after=after)
        .filter(state=JoinState.JOINED)
        .order_by("fan_id")
        .values_list("id", flat=True)
        .first()
    )


def _with_money(rally_id: UUID) -> QuerySet[Join]:
    """Joins whose hold is open or that were charged; but for those that stand aside."""
    return joins.moving(rally_id).filter(state__in=[JoinState.JOINED, JoinState.PAID])


def frame_of(
    tiers: Sequence[PriceTier], joiners: int, units: int, limited: Sequence[Sequence[int]],
    *, counts_units: bool, minimum: int, units_left: int | None, ended_level: int | None, did_run: bool | None,
) -> dict[str, Any]:  # fmt: skip
    """What viewers see of a rally: who counts, the price that makes, and what the next step asks for. After the end it is the
    level that was fixed then."""
    counts = Counts.of(tiers, joiners, units, limited)
    now = crowd_at(tiers, counts, counts_units=counts_units, level=ended_level)
    following = tiers[now.level + 1] if now.level + 1 < len(tiers) else None
    accept_next = crowds(counts.units if counts_units else counts.joiners)[now.level + 1] if following else 0
    return {
        **asdict(now),
        "count": now.units if counts_units else now.joiners,
        "minimum": minimum,
        "next_count": following.from_count if following else None,
        "next_price_minor": following.price_minor if following else None,
        "next_missing": following.from_count - accept_next if following else None,
        "units_left": units_left,
        "did_run": did_run,
    }


def tiers_of(rally_id: UUID) -> list[PriceTier]:
    return tiers_by_rally([rally_id])[rally_id]


def tiers_by_rally(rally_ids: Collection[UUID]) -> dict[UUID, list[PriceTier]]:
    found: dict[UUID, list[PriceTier]] = {rally_id: [] for rally_id in rally_ids}
    tiers = Tier.objects.filter(rally_id__in=rally_ids).order_by("rally_id", "level")
    for rally_id, *tier in tiers.values_list("rally_id", "from_count", "price_minor"):
        found[rally_id].append(PriceTier(*tier))
    return found


def find_join(fan_id: UUID, rally_id: UUID) -> Join | None:
    """The fan's own place in a rally."""
    return Join.objects.select_related("rally__sale__seller").filter(rally_id=rally_id, fan_id=fan_id).first()


def get_join(fan_id: UUID, rally_id: UUID) -> Join:
    join = find_join(fan_id, rally_id)
    if join is None:
        raise JoinNotFound
    return join


def find_late_join(fan_id: UUID, rally_id: UUID) -> LateJoin | None:
    return LateJoin.objects.filter(rally_id=rally_id, fan_id=fan_id).first()


def invited_by(rally_id: UUID, fan_id: UUID) -> list[Join]:
    """Who came through the fan's link, and is still in."""
    return list(_brought(rally_id).filter(invited_by_id=fan_id).order_by("joined_at"))


def outcomes_of(rally_ids: Collection[UUID]) -> dict[UUID, Outcome]:
    return Outcome.objects.in_bulk(rally_ids)


def top_inviters(rally_id: UUID, *, limit: int = 10) -> list[tuple[UUID, int]]:
    """(fan, how many came through their link and are still in), the most first."""
    counted = (
        _brought(rally_id).values("invited_by_id").annotate(brought=Count("id")).order_by("-brought", "invited_by_id")
    )
    return [(row["invited_by_id"], row["brought"]) for row in counted[:limit]]


def _brought(rally_id: UUID) -> QuerySet[Join]:
    return Join.objects.filter(rally_id=rally_id, invited_by__isnull=False).exclude(state__in=NOT_COUNTED)


def paid_quantities(rally_ids: Collection[UUID]) -> list[tuple[UUID, int, int]]:
    """(rally, quantity, how many joined with it and paid): few rows however many paid, and each fee can be worked out."""
    paid = Join.objects.filter(rally_id__in=rally_ids, state=JoinState.PAID)
    kinds: list[QuerySet[Any]] = [paid, LateJoin.objects.filter(rally_id__in=rally_ids)]
    return [
        row for kind in kinds for row in kind.values_list("rally_id", "quantity").annotate(n=Count("id")).order_by()
    ]


def late_sums(rally_ids: Collection[UUID]) -> dict[UUID, tuple[int, int]]:
    """Rally → (what late joins paid, the house's fee on that, rounded down for each of them), in minor units."""
    late = LateJoin.objects.filter(rally_id__in=rally_ids)
    kinds = late.values_list("rally_id", "quantity", "rally__outcome__price_minor", "rally__fee_bps")
    sums: dict[UUID, tuple[int, int]] = {}
    for rally_id, quantity, price_minor, fee_bps, count in kinds.annotate(n=Count("id")).order_by():
        paid, fee = sums.get(rally_id, (0, 0))
        each_minor = price_minor * quantity
        sums[rally_id] = (paid + each_minor * count, fee + share_bps(each_minor, fee_bps) * count)
    return sums


def settlement_totals(rally_id: UUID) -> dict[str, int]:
    """{"charged", "released", "gross_minor", "fee_minor"} of all chunks settled so far."""
    return settled_totals(Settlement.objects.filter(rally_id=rally_id), "charged", "released")


def joined_since(rally_id: UUID, since: dt.datetime) -> int:
    return Join.objects.filter(rally_id=rally_id, joined_at__gte=since).exclude(state__in=NOT_COUNTED).count()


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
