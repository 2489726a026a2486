from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Count, Sum

from core.errors import NotFound
from core.sql import Statement, array, execute_all
from ledger import selectors as ledger
from ledger.models import HOUSE
from ledger.rules import Transfer
from rallies import models, rules
from rallies.errors import JoinNotFound
from rallies.models import NOT_COUNTED, JoinState, Rally
from rallies.pricing import Tier, crowds
from sales import selectors as sales
from sales.models import Sale
from sales.stock import Stock, home_bucket

# The columns of `rules.Join`, `rules.LateJoin` and `rules.Outcome`, in their order.
_JOIN = """rallies_join.rally_id, rallies_join.fan_id, rallies_join.id, idempotency_key, quantity, only_at_or_below_minor,
           level, bucket, state, transfer_id, invite_code, invited_by_id, terms_sha256, joined_at, changed_at"""
_JOIN_WIDTH = len(rules.Join.__struct_fields__)
_LATE = "rally_id, fan_id, id, idempotency_key, quantity, transfer_id, terms_sha256, joined_at"


# -- what the lane reads


def load_terms(rally_id: UUID) -> rules.Terms:
    """The sealed terms. Raises NotFound for a rally that was not published."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT (SELECT json_agg(json_build_array(from_count, price_minor) ORDER BY level)
                      FROM rallies_tier WHERE rally_id = rallies_rally.sale_id),
                   basis = 'units', minimum, cap_units, limit_per_fan, audience = 'invited', late_joins, seller_invite,
                   rallies_rally.fee_bps, sales_sale.currency, opens_at, closes_at, terms_sha256, escrow.id, proceeds.id, fees.id
              FROM rallies_rally
              JOIN sales_sale ON sales_sale.id = rallies_rally.sale_id
              JOIN ledger_account AS escrow ON escrow.owner_id = sales_sale.id AND escrow.kind = 'escrow'
                                           AND escrow.currency = sales_sale.currency
              JOIN ledger_account AS proceeds ON proceeds.owner_id = sales_sale.seller_id AND proceeds.kind = 'proceeds'
                                             AND proceeds.currency = sales_sale.currency
              JOIN ledger_account AS fees ON fees.owner_id = %s AND fees.kind = 'fees'
                                         AND fees.currency = sales_sale.currency
             WHERE rallies_rally.sale_id = %s
            """,
            [HOUSE, rally_id],
        )
        row = cursor.fetchone()
    if row is None:
        raise NotFound("This rally is not on sale.")
    tiers, *others = row
    return rules.Terms(rally_id, tuple(Tier(*tier) for tier in tiers), *others)


def load_state(terms: rules.Terms, commands: Sequence[rules.Command], slot: int) -> rules.State | None:
    """All that `commands` need to be decided by process number `slot`, in one round trip of the open transaction's snapshot.

    None when the rally's terms are not the given ones any more.
    """
    fans = array({command.fan_id for command in commands})
    rally_id = terms.rally_id
    reads = {
        "sealed": Statement("SELECT terms_sha256 FROM sales_sale WHERE id = %s", [rally_id]),
        "buckets": Statement(
            "SELECT number, joiners, units, units_left, is_closed FROM rallies_bucket WHERE rally_id = %s", [rally_id]
        ),
        "limited": _limited(rally_id),
        "joins": Statement(
            f"SELECT {_JOIN} FROM rallies_join WHERE rally_id = %s AND fan_id = ANY(%s::uuid[])",  # noqa: S608
            [rally_id, fans],
        ),
        "wallets": ledger.wallets_statement([command.fan_id for command in commands], terms.currency),
    }
    if invites := {command.invite for command in commands if isinstance(command, rules.JoinRally) and command.invite}:
        sql = "SELECT invite_code, fan_id FROM rallies_join WHERE rally_id = %s AND invite_code = ANY(%s)"
        reads["inviters"] = Statement(sql, [rally_id, list(invites)])
    if any(not isinstance(command, rules.JoinRally) for command in commands):
        sql = f"""
            SELECT {ledger.TRANSFER} FROM rallies_join JOIN ledger_transfer ON ledger_transfer.id = rallies_join.transfer_id
             WHERE rally_id = %s AND fan_id = ANY(%s::uuid[])
        """  # noqa: S608
        reads["holds"] = Statement(sql, [rally_id, fans])
        sql = f"SELECT {_LATE} FROM rallies_latejoin WHERE rally_id = %s AND fan_id = ANY(%s::uuid[])"  # noqa: S608
        reads["late"] = Statement(sql, [rally_id, fans])
        reads["outcome"] = _outcome(rally_id)
    found = dict(zip(reads, execute_all(list(reads.values())), strict=True))
    if found["sealed"] != [(terms.sha256,)]:
        return None

    state = _with_counts(terms, found["buckets"], found["limited"], slot)
    state.joins = {row[1]: rules.Join(*row) for row in found["joins"]}
    wallets = ledger.wallets_from(found["wallets"])
    state.wallets = {fan: wallet.account_id for fan, wallet in wallets.items()}
    state.balances = {wallet.account_id: wallet.balance for wallet in wallets.values()}
    state.inviters = dict(found.get("inviters", []))
    state.holds = {row[0]: Transfer(*row) for row in found.get("holds", [])}
    state.late = {row[1]: rules.LateJoin(*row) for row in found.get("late", [])}
    state.outcome = next((rules.Outcome(*row) for row in found.get("outcome", [])), None)
    return state


def load_counts(terms: rules.Terms) -> rules.State:
    """Only how many have joined."""
    buckets = Statement(
        "SELECT number, joiners, units, units_left, is_closed FROM rallies_bucket WHERE rally_id = %s", [terms.rally_id]
    )
    found, limited = execute_all([buckets, _limited(terms.rally_id)])
    return _with_counts(terms, found, limited, slot=0)


def _limited(rally_id: UUID) -> Statement:
    sql = """
        SELECT level, sum(joiners)::bigint, sum(units)::bigint FROM rallies_limitedcount WHERE rally_id = %s GROUP BY level
    """
    return Statement(sql, [rally_id])


def _outcome(rally_id: UUID) -> Statement:
    sql = "SELECT joiners, units, level, price_minor, did_run FROM rallies_outcome WHERE rally_id = %s"
    return Statement(sql, [rally_id])


def _with_counts(
    terms: rules.Terms, buckets: Sequence[tuple[Any, ...]], limited: Sequence[tuple[Any, ...]], slot: int
) -> rules.State:
    home = home_bucket(slot, len(buckets))
    counts = rules.Counts([0] * len(terms.tiers), [0] * len(terms.tiers))
    counts.add(0, sum(row[1] for row in buckets), sum(row[2] for row in buckets))
    for level, joiners, units in limited:
        counts.add(level, joiners, units)
        counts.add(0, -joiners, -units)  # a bucket's count has them too
    is_closed = any(row[4] for row in buckets)
    stock = None
    if terms.cap_units is not None:
        stock = Stock({row[0]: row[3] for row in buckets}, home=home, is_closed=is_closed)
    return rules.State(terms, counts, home, is_closed, stock)


def load_chunk(rally_id: UUID, *, after: UUID | None, limit: int) -> list[tuple[rules.Join, Transfer]]:
    """The next joins to settle in the order of fans, each with its hold."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT {_JOIN}, {ledger.TRANSFER}
              FROM rallies_join JOIN ledger_transfer ON ledger_transfer.id = rallies_join.transfer_id
             WHERE rally_id = %s AND state = 'joined' AND (%s::uuid IS NULL OR fan_id > %s::uuid)
             ORDER BY fan_id LIMIT %s
            """,  # noqa: S608  # constant lists of columns
            [rally_id, after, after, limit],
        )
        return [(rules.Join(*row[:_JOIN_WIDTH]), Transfer(*row[_JOIN_WIDTH:])) for row in cursor.fetchall()]


def joined_fans(rally_id: UUID, *, limit: int) -> list[UUID]:
    """Fans whose hold is open, for a rally that was called off."""
    joins = models.Join.objects.filter(rally_id=rally_id, state=JoinState.JOINED)
    return list(joins.order_by("fan_id").values_list("fan_id", flat=True)[:limit])


def frame_facts(sale_id: UUID) -> tuple[int, dict[str, Any]]:
    """The sum of the buckets' versions, and what viewers are shown, from one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT (SELECT json_agg(json_build_array(from_count, price_minor) ORDER BY level)
                      FROM rallies_tier WHERE rally_id = rally.sale_id),
                   (SELECT json_agg(json_build_array(level, joiners, units))
                      FROM (SELECT level, sum(joiners) AS joiners, sum(units) AS units FROM rallies_limitedcount
                             WHERE rally_id = rally.sale_id GROUP BY level) AS limited),
                   counted.version, counted.joiners, counted.units, counted.units_left,
                   rally.basis = 'units', rally.minimum, rally.cap_units, outcome.did_run
              FROM rallies_rally AS rally
             CROSS JOIN LATERAL (SELECT coalesce(sum(version), 0)::bigint AS version,
                                        coalesce(sum(joiners), 0)::bigint AS joiners,
                                        coalesce(sum(units), 0)::bigint AS units, sum(units_left)::bigint AS units_left
                                   FROM rallies_bucket WHERE rally_id = rally.sale_id) AS counted
              LEFT JOIN rallies_outcome AS outcome ON outcome.rally_id = rally.sale_id
             WHERE rally.sale_id = %s
            """,
            [sale_id],
        )
        tiers, limited, version, joiners, units, units_left, counts_units, minimum, cap_units, did_run = (
            cursor.fetchone()
        )
    return version, frame_of(
        [Tier(*tier) for tier in tiers], joiners, units, limited or [],
        counts_units=counts_units, minimum=minimum, units_left=cap_units if units_left is None else units_left, did_run=did_run,
    )  # fmt: skip


def frame_of(
    tiers: Sequence[Tier], joiners: int, units: int, limited: Sequence[Sequence[int]],
    *, counts_units: bool, minimum: int, units_left: int | None, did_run: bool | None,
) -> dict[str, Any]:  # fmt: skip
    """What viewers see of a rally: who counts, the price that makes, and what the next step asks for."""
    counts = rules.Counts([joiners, *[0] * (len(tiers) - 1)], [units, *[0] * (len(tiers) - 1)])
    for level, limited_joiners, limited_units in limited:
        counts.add(level, limited_joiners, limited_units)
        counts.add(0, -limited_joiners, -limited_units)
    now = rules.crowd_at(tiers, counts, counts_units=counts_units)
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


# -- what pages and the API read


def get_rally(sale_id: UUID) -> Rally:
    """A rally that fans may see, with its sale and seller."""
    return _with_sale(sale_id, sales.get_public_sale(sale_id))


def get_rally_for_seller(seller_id: UUID, sale_id: UUID) -> Rally:
    return _with_sale(sale_id, sales.get_sale_for_seller(seller_id, sale_id))


def _with_sale(sale_id: UUID, sale: Any) -> Rally:
    rally = Rally.objects.filter(sale_id=sale_id).first()
    if rally is None:
        raise NotFound("This rally does not exist.")
    rally.sale = sale
    return rally


def tiers_of(rally_id: UUID) -> list[Tier]:
    return [
        Tier(*row) for row in models.Tier.objects.filter(rally_id=rally_id).values_list("from_count", "price_minor")
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


def tiers_by_rally(rally_ids: Collection[UUID]) -> dict[UUID, list[Tier]]:
    found: dict[UUID, list[Tier]] = {}
    tiers = models.Tier.objects.filter(rally_id__in=rally_ids).order_by("rally_id", "level")
    for rally_id, *tier in tiers.values_list("rally_id", "from_count", "price_minor"):
        found.setdefault(rally_id, []).append(Tier(*tier))
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
                 WHERE rally_id = %s AND state IN ('left', 'removed')
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
