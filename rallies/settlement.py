"""The life of a rally beside its joining: publishing, settling, calling off, and the next of a series."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from accounts.services import Message
from core import due_work
from core.ids import uuid7
from core.lanes import process_slot
from core.sql import Statement, execute_all
from core.transactions import Conflict40001, joins_transaction, retried_transaction
from ledger import services as ledger
from rallies import loading, selectors, services, settling, telling
from rallies.models import BUCKETS, Bucket, JoinState, Outcome, Rally, Settlement
from rallies.pricing import PriceTier
from rallies.values import OutcomeValue, RallyTerms, RefundJoin, ReleaseJoin
from sales import gates
from sales import services as sales
from sales.drafting import SaleDraft, asked_terms
from sales.formats import BaseRules
from sales.models import Sale, SaleState
from sales.proceeds import settlement_transfers
from sales.selectors import stuck_row_ids
from sales.stock import split_units
from sales.telling import tell_later
from sales.terms import TermValue, sealed

REPEAT = "rallies.repeat"


class RallyRules(BaseRules):
    """What the spine asks of a format (`sales.formats.Rules`)."""

    # A settled join is three written rows (itself, the end of its hold, the wallet), and DSQL takes 3,000 a transaction.
    settle_chunk = 950
    unwind_chunk = 700
    frame_sql = """
        SELECT (SELECT json_agg(json_build_array(from_count, price_minor) ORDER BY level)
                  FROM rallies_tier WHERE rally_id = rally.sale_id) AS tiers,
               (SELECT json_agg(json_build_array(level, joiners, units))
                  FROM (SELECT level, sum(joiners) AS joiners, sum(units) AS units FROM rallies_limitedcount
                         WHERE rally_id = %(sale_id)s GROUP BY level) AS limited) AS limited,
               counted.joiners, counted.units, counted.units_left, rally.basis = 'units' AS counts_units, rally.minimum,
               rally.cap_units, outcome.level, outcome.did_run
          FROM rallies_rally AS rally
         CROSS JOIN (SELECT coalesce(sum(joiners), 0)::bigint AS joiners, coalesce(sum(units), 0)::bigint AS units,
                            sum(units_left)::bigint AS units_left
                       FROM rallies_bucket WHERE rally_id = %(sale_id)s) AS counted
          LEFT JOIN rallies_outcome AS outcome ON outcome.rally_id = rally.sale_id
         WHERE rally.sale_id = %(sale_id)s
    """

    def terms(self, sale: Sale) -> Mapping[str, TermValue]:
        rally = sale.rally
        tiers = {
            f"tier_{tier.level + 1}": f"{tier.price_minor} from {tier.from_count} {rally.basis}"
            for tier in rally.tiers.all()
        }
        return {
            **tiers,
            **sealed(rally, "minimum", "cap_units", "limit_per_fan", "audience", "fee_bps"),
            **sealed(rally, "repeats_every_days", "repeats_left", "repeats_zone"),
            "tiers_count": rally.basis,
            "late_joins": "yes" if rally.late_joins else "no",
            "late_joins_until": rally.late_until,
            "joins_with_a_limit": "count only toward the prices they accept",
            "counted_for_good_s": rally.firm_s,
            "closed_early": "at the next price",
        }

    def publish(self, sale: Sale, now: dt.datetime) -> None:
        cap_units = sale.rally.cap_units
        shares: Sequence[int | None] = split_units(cap_units, BUCKETS) if cap_units is not None else [None] * BUCKETS
        Bucket.objects.bulk_create(
            Bucket(rally_id=sale.id, number=number, units_left=units) for number, units in enumerate(shares)
        )

    def schedule(self, sale: Sale) -> None:
        due_work.schedule(telling.WATCH, sale.id, due_at=telling.closing_soon_at(sale))
        if sale.rally.repeats_left:
            due_work.schedule(REPEAT, sale.id, due_at=sale.closes_at)

    def settle_step(self, sale: Sale, now: dt.datetime, *, limit: int) -> dt.datetime | None:
        if settle_chunk(sale, now, limit=limit):
            return now
        tell_later(sale.id, telling.SETTLED, now=now)
        return None

    def unwind_step(self, sale: Sale, now: dt.datetime, *, limit: int) -> dt.datetime | None:
        joins = selectors.joins_to_unwind(sale.id, limit=limit)
        if not joins:
            return None
        services.RallyLane(sale.id).run_step(
            [
                ReleaseJoin(fan_id, now) if state == JoinState.JOINED else RefundJoin(fan_id, now)
                for fan_id, state in joins
            ]
        )
        return now

    def sells_until(self, sale: Sale) -> dt.datetime | None:
        late_until = sale.rally.late_until
        return late_until + sale.moved_by if late_until else None

    def sold_since(self, sale_ids: Collection[UUID]) -> Mapping[UUID, tuple[int, int]]:
        return selectors.late_sums(sale_ids)

    def next_row(self, sale: Sale, now: dt.datetime) -> UUID | None:
        if sale.state == SaleState.CANCELLED:
            return selectors.next_to_unwind(sale.id)
        after = Outcome.objects.filter(rally_id=sale.id).values_list("settled_up_to", flat=True).first()
        return selectors.next_joined(sale.id, after=after)

    def look_again(self, sale: Sale) -> None:
        Outcome.objects.filter(rally_id=sale.id).update(settled_up_to=None)

    def fans(self, sale: Sale, *, after: UUID | None, limit: int) -> Sequence[UUID]:
        return selectors.joins.fans(sale.id, after=after, limit=limit)

    def messages(self, sale: Sale, event: str, *, after: UUID | None, limit: int) -> Sequence[Message]:
        return telling.messages(sale, event, after=after, limit=limit)

    def frame_facts(self, row: dict[str, Any]) -> dict[str, Any]:
        tiers, limited, joiners, units, units_left, counts_units, minimum, cap_units, level, did_run = row.values()
        return selectors.frame_of(
            [PriceTier(*tier) for tier in tiers], joiners, units, limited or [], counts_units=counts_units,
            minimum=minimum, units_left=cap_units if units_left is None else units_left, ended_level=level,
            did_run=did_run,
        )  # fmt: skip


@joins_transaction
def settle_chunk(sale: Sale, now: dt.datetime, *, limit: int) -> int:
    """Charge, or let go, the next joins of a closed rally; returns how many. The first chunk fixes the count and the price.

    The outcome row is the guard: two settlers meet on `settled_up_to`, and one of them runs again.
    """
    terms = loading.load_terms(sale.id)
    row = Outcome.objects.filter(rally_id=sale.id).first() or _fix_outcome(sale, terms, now)
    outcome = OutcomeValue(row.joiners, row.units, row.level, row.price_minor, row.did_run)
    chunk = loading.load_chunk(sale.id, after=row.settled_up_to, aside=stuck_row_ids(sale.id), limit=limit)
    if not chunk:
        return 0
    settled = settling.settle(terms, outcome, chunk, now)
    settlement = Settlement(
        id=uuid7(), rally_id=sale.id, number=Settlement.objects.filter(rally_id=sale.id).count(),
        charged=settled.charged, released=len(chunk) - settled.charged, gross_minor=settled.gross_minor,
        fee_minor=settled.fee_minor, created_at=now,
    )  # fmt: skip
    passed_on = settlement_transfers(settlement, sale)
    execute_all(
        [
            _advance(sale.id, row.settled_up_to, settled.joins[-1].fan_id),
            *loading.JOINS.update(
                settled.joins, [join for join, _ in chunk], changed=("state", "changed_at"), guard=("state",)
            ),
            *_free_units(terms, settled.released_units),
            *ledger.transfer_statements([*settled.transfers, *passed_on]),
        ]
    )
    return len(chunk)


def _fix_outcome(sale: Sale, terms: RallyTerms, now: dt.datetime) -> Outcome:
    assert sale.closed_at is not None, sale.id
    is_early = sale.closed_at < RallyRules().ends_at(sale)
    fixed = settling.fix_outcome(terms, loading.load_counts(terms).counts, is_early=is_early)
    row = Outcome(
        rally_id=terms.rally_id, joiners=fixed.joiners, units=fixed.units, level=fixed.level,
        price_minor=fixed.price_minor, did_run=fixed.did_run, fixed_at=now,
    )  # fmt: skip
    row.save(force_insert=True)
    return row


@retried_transaction(replayable=True)
def outcome_if_closed_now(*, rally_id: UUID) -> OutcomeValue:
    """What a running rally would end at if its seller closed it at this moment."""
    terms = loading.load_terms(rally_id)
    return settling.fix_outcome(terms, loading.load_counts(terms).counts, is_early=True)


def _advance(rally_id: UUID, was: UUID | None, to: UUID) -> Statement:
    sql = """
        UPDATE rallies_outcome SET settled_up_to = %s WHERE rally_id = %s AND settled_up_to IS NOT DISTINCT FROM %s::uuid
    """
    return Statement(sql, [to, rally_id, was], rows=1)


def _free_units(terms: RallyTerms, units: int) -> list[Statement]:
    """What joins that were not charged had taken under the cap is left for late joins.

    Viewers see it, so a gate is passed with it: the frame's version grows.
    """
    if not units or terms.cap_units is None:
        return []
    sql = "UPDATE rallies_bucket SET units_left = units_left + %s WHERE rally_id = %s AND number = 0"
    passing = gates.passing_statement(terms.rally_id, gates.home_gate(process_slot()))
    return [passing, Statement(sql, [units, terms.rally_id], rows=1)]


@retried_transaction(replayable=True)
def repeat_rally(*, rally_id: UUID, now: dt.datetime) -> Rally | None:
    """Publish the next of a series, with the same terms at later times. A repeat returns it; None when there is none to come."""
    rallies = Rally.objects.select_related("sale__seller")
    rally = rallies.get(sale_id=rally_id)
    sale = rally.sale
    if not rally.repeats_left or rally.repeats_every_days is None or sale.state == SaleState.CANCELLED:
        return None
    if not sale.seller.is_active:
        return None  # a shop that is switched off opens nothing
    if rally.next_id is not None and (named := rallies.filter(sale_id=rally.next_id).first()):
        return named  # asked again after a pause: whatever has become of it since, it is the next one
    days = rally.repeats_every_days
    while services.days_later(sale.closes_at, days, rally.repeats_zone) <= now:
        days += rally.repeats_every_days  # nobody looked for a while: the ones that would be over are left out
    draft = SaleDraft(
        sale_id=_next_id(rally), seller_id=sale.seller_id, title=sale.title, story=sale.story, currency=sale.currency,
        opens_at=services.days_later(sale.opens_at, days, rally.repeats_zone),
        closes_at=services.days_later(sale.closes_at, days, rally.repeats_zone), now=now,
    )  # fmt: skip
    asked = asked_terms(rally) | {"repeats_left": rally.repeats_left - 1}
    following = services.make_draft(draft, tiers=selectors.tiers_of(rally_id), **asked)
    following.sale = sales.publish(seller_id=sale.seller_id, sale_id=following.sale_id, now=now)
    return following


def _next_id(rally: Rally) -> UUID:
    """The id of the next in the series, made once: two workers meet on the row, and nobody outside can take it first."""
    if rally.next_id is None:
        rally.next_id = uuid7()
        if not Rally.objects.filter(sale_id=rally.sale_id, next_id=None).update(next_id=rally.next_id):
            raise Conflict40001("the next of the series was named meanwhile")
    return rally.next_id
