"""Writes of a rally. Everything that changes its count is a command of `rules.decide` and goes through the rally's lane."""

from __future__ import annotations

import datetime as dt
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.services import Message
from core import due_work, metrics
from core.errors import Invalid, Refusal
from core.ids import uuid7
from core.lanes import Lane, Lanes, process_slot
from core.sql import Statement, array, execute_all
from core.transactions import Conflict40001, joins_transaction, retried_transaction
from ledger import services as ledger
from rallies import rules, selectors
from rallies.models import (
    BUCKETS,
    CAP_MAX,
    LIMIT_MAX,
    REPEAT_DAYS_MAX,
    REPEATS_MAX,
    Audience,
    Basis,
    Bucket,
    Outcome,
    Rally,
    Settlement,
    Tier,
)
from rallies.pricing import Tier as Step
from rallies.pricing import check_tiers
from rallies.telling import SETTLED, WATCH, messages
from sales import frames
from sales import services as sales
from sales.formats import BaseRules
from sales.models import Sale, SaleState
from sales.proceeds import proceeds_transfers
from sales.stock import split_units
from sales.telling import tell_later
from sales.terms import TermValue

# A settled join is three written rows (itself, the end of its hold, the wallet), and DSQL takes 3,000 a transaction.
SETTLE_CHUNK_JOINS = 950
RELEASE_CHUNK_JOINS = 700
REPEAT = "rallies.repeat"


class RallyLane(Lane[rules.Command, rules.Join | rules.LateJoin]):
    """All commands for one rally that reach this process, a batch to a transaction."""

    name = "rallies.join"
    batch_max = 500  # a join writes 3 rows and a batch a few buckets; DSQL takes 3,000

    def __init__(self, rally_id: UUID) -> None:
        super().__init__()
        self.rally_id = rally_id
        self.slot = process_slot()
        self.crowd: rules.Crowd | None = None  # as of the last committed batch, for its answers
        self._decided: rules.Crowd | None = None
        self._terms: rules.Terms | None = None

    @property
    def terms(self) -> rules.Terms:
        """Sealed, so they are read once; a batch that finds other terms reads them again."""
        if self._terms is None:
            self._terms = selectors.load_terms(self.rally_id)
        return self._terms

    def run(self, batch: Sequence[rules.Command]) -> Sequence[rules.Join | rules.LateJoin | Refusal]:
        state = self._load(batch)
        decision = rules.decide(state, batch)
        write_decision(state, decision)
        self._decided = state.crowd
        return decision.outcomes

    def _load(self, batch: Sequence[rules.Command]) -> rules.State:
        state = selectors.load_state(self.terms, batch, self.slot)
        if state is None:
            self._terms = None
            state = selectors.load_state(self.terms, batch, self.slot)
        if state is None:
            raise Conflict40001("the sale's terms moved since they were read")
        return state

    def told(self, batch: Sequence[rules.Command], outcomes: Sequence[rules.Join | rules.LateJoin | Refusal]) -> None:
        self.crowd = self._decided
        if any(not isinstance(outcome, Refusal) for outcome in outcomes):
            frames.send(self.rally_id)
        refused: Counter[str] = Counter(outcome.code for outcome in outcomes if isinstance(outcome, Refusal))
        for code, count in refused.items():
            metrics.REFUSALS.labels(code).inc(count)
        joined = sum(
            isinstance(command, rules.JoinRally)
            and isinstance(outcome, rules.Join)
            and outcome.transfer_id == command.transfer_id
            for command, outcome in zip(batch, outcomes, strict=True)
        )
        if joined:
            metrics.ORDERS.labels("rally").inc(joined)


lanes: Lanes[RallyLane] = Lanes(RallyLane)


@joins_transaction
def write_decision(state: rules.State, decision: rules.Decision) -> None:
    """Write what was decided, set-based, in one round trip. Every statement carries its guard: any number of lanes may do this."""
    rally_id = state.terms.rally_id
    execute_all(
        [
            *_change_buckets(state, decision),
            *_change_limited(rally_id, decision.count_changes),
            *_insert_joins(list(decision.joined.values())),
            *_update_joins(list(decision.changed.values()), [decision.was[fan_id] for fan_id in decision.changed]),
            *_insert_late(decision.late),
            *ledger.transfer_statements(decision.transfers),
        ]
    )


def _change_buckets(state: rules.State, decision: rules.Decision) -> list[Statement]:
    """Every touched bucket is written, also when the changes cancel out: every join and leave must meet a close."""
    changes = {number: [0, 0, 0] for number in decision.stock_changes}
    for (number, _), (joiners, units) in decision.count_changes.items():
        change = changes.setdefault(number, [0, 0, 0])
        change[0] += joiners
        change[1] += units
    for number, units_left in decision.stock_changes.items():
        changes[number][2] += units_left
    if not changes:
        return []
    sql = """
        UPDATE rallies_bucket AS bucket
           SET joiners = bucket.joiners + change.joiners, units = bucket.units + change.units,
               units_left = bucket.units_left + change.units_left, version = bucket.version + 1
          FROM unnest(%s::int[], %s::int[], %s::int[], %s::int[]) AS change (number, joiners, units, units_left)
         WHERE bucket.rally_id = %s AND bucket.number = change.number AND bucket.is_closed = %s
           AND (bucket.units_left IS NULL OR bucket.units_left + change.units_left >= 0)
    """
    columns = [array(column) for column in zip(*[(number, *change) for number, change in changes.items()], strict=True)]
    return [Statement(sql, [*columns, state.terms.rally_id, state.is_closed], rows=len(changes))]


def _change_limited(rally_id: UUID, changes: Mapping[tuple[int, int], tuple[int, int]]) -> list[Statement]:
    rows = [(number, level, *change) for (number, level), change in changes.items() if level and any(change)]
    if not rows:
        return []
    numbers, levels, joiners, units = (array(column) for column in zip(*rows, strict=True))
    make = """
        INSERT INTO rallies_limitedcount (rally_id, number, level, joiners, units)
        SELECT %s, number, level, 0, 0 FROM unnest(%s::int[], %s::int[]) AS touched (number, level)
            ON CONFLICT (rally_id, number, level) DO NOTHING
    """
    change = """
        UPDATE rallies_limitedcount AS counted
           SET joiners = counted.joiners + change.joiners, units = counted.units + change.units
          FROM unnest(%s::int[], %s::int[], %s::int[], %s::int[]) AS change (number, level, joiners, units)
         WHERE counted.rally_id = %s AND counted.number = change.number AND counted.level = change.level
    """
    return [
        Statement(make, [rally_id, numbers, levels]),
        Statement(change, [numbers, levels, joiners, units, rally_id], rows=len(rows)),
    ]


def _insert_joins(joins: Sequence[rules.Join]) -> list[Statement]:
    if not joins:
        return []
    rows = [
        (
            j.fan_id, j.id, j.idempotency_key, j.quantity, j.only_at_or_below_minor, j.level, j.bucket, j.state,
            j.transfer_id, j.invite_code, j.invited_by, j.joined_at, j.changed_at,
        )
        for j in joins
    ]  # fmt: skip
    sql = """
        INSERT INTO rallies_join (rally_id, terms_sha256, fan_id, id, idempotency_key, quantity, only_at_or_below_minor,
                                  level, bucket, state, transfer_id, invite_code, invited_by_id, joined_at, changed_at)
        SELECT %s, %s, * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::int[], %s::bigint[], %s::int[], %s::int[],
                                     %s::text[], %s::uuid[], %s::text[], %s::uuid[], %s::timestamptz[],
                                     %s::timestamptz[])
    """
    same = [joins[0].rally_id, joins[0].terms_sha256]
    return [Statement(sql, [*same, *[array(column) for column in zip(*rows, strict=True)]], rows=len(joins))]


def _update_joins(joins: Sequence[rules.Join], was: Sequence[rules.Join]) -> list[Statement]:
    """The guard is the state and the hold that were read: a fan who left and joined again has another hold."""
    if not joins:
        return []
    rows = [
        (
            j.fan_id, w.state, w.transfer_id, j.idempotency_key, j.quantity, j.only_at_or_below_minor, j.level,
            j.bucket, j.state, j.transfer_id, j.invited_by, j.terms_sha256, j.joined_at, j.changed_at,
        )
        for j, w in zip(joins, was, strict=True)
    ]  # fmt: skip
    sql = """
        UPDATE rallies_join AS joined
           SET idempotency_key = new.idempotency_key, quantity = new.quantity,
               only_at_or_below_minor = new.only_at_or_below_minor, level = new.level, bucket = new.bucket,
               state = new.state, transfer_id = new.transfer_id, invited_by_id = new.invited_by,
               terms_sha256 = new.terms_sha256, joined_at = new.joined_at, changed_at = new.changed_at
          FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::uuid[], %s::int[], %s::bigint[], %s::int[], %s::int[],
                      %s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[])
               AS new (fan_id, was_state, was_transfer, idempotency_key, quantity, only_at_or_below_minor, level, bucket,
                       state, transfer_id, invited_by, terms_sha256, joined_at, changed_at)
         WHERE joined.rally_id = %s AND joined.fan_id = new.fan_id AND joined.state = new.was_state
           AND joined.transfer_id = new.was_transfer
    """
    columns = [array(column) for column in zip(*rows, strict=True)]
    return [Statement(sql, [*columns, joins[0].rally_id], rows=len(joins))]


def _insert_late(late: Sequence[rules.LateJoin]) -> list[Statement]:
    if not late:
        return []
    rows = [(j.fan_id, j.id, j.idempotency_key, j.quantity, j.transfer_id, j.joined_at) for j in late]
    sql = """
        INSERT INTO rallies_latejoin (rally_id, terms_sha256, fan_id, id, idempotency_key, quantity, transfer_id, joined_at)
        SELECT %s, %s, * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::int[], %s::uuid[], %s::timestamptz[])
    """
    same = [late[0].rally_id, late[0].terms_sha256]
    return [Statement(sql, [*same, *[array(column) for column in zip(*rows, strict=True)]], rows=len(late))]


# What fans and sellers ask for. Each is one command to the rally's lane.


def new_invite_code() -> str:
    """72 random bits: nobody guesses another's link."""
    return secrets.token_urlsafe(9)


def join_rally(rally_id: UUID, command: rules.JoinRally) -> rules.Join:
    """Join. A repeat, with the same key or without, returns the join that is there. Raises what `rules.decide` refuses, or Busy."""
    joined = lanes[rally_id].call(command)
    assert isinstance(joined, rules.Join), joined
    return joined


def leave_rally(*, rally_id: UUID, fan_id: UUID, now: dt.datetime) -> rules.Join:
    """Leave before the close; the hold ends at once. A repeat returns the join as it was left."""
    return _call(rally_id, rules.LeaveRally(fan_id, now))


def remove_fan(*, rally_id: UUID, fan_id: UUID, now: dt.datetime) -> rules.Join:
    """The seller turns a fan out before the close. A repeat changes nothing."""
    return _call(rally_id, rules.RemoveFan(fan_id, now))


def refund_join(*, rally_id: UUID, fan_id: UUID, now: dt.datetime) -> rules.Join:
    """The seller gives a fan who paid everything back. A repeat returns the refunded join."""
    return _call(rally_id, rules.RefundJoin(fan_id, now))


def join_late(rally_id: UUID, command: rules.JoinLate) -> rules.LateJoin:
    """Buy at the final price after the end. A repeat returns the first purchase."""
    late = lanes[rally_id].call(command)
    assert isinstance(late, rules.LateJoin), late
    return late


def _call(rally_id: UUID, command: rules.Command) -> rules.Join:
    join = lanes[rally_id].call(command)
    assert isinstance(join, rules.Join), join
    return join


# The seller's side.


@retried_transaction(replayable=True)
def draft_rally(**terms: Any) -> Rally:
    """A new draft of a rally: see `draft`. A repeat with the same `sale_id` returns it. Raises Invalid."""
    return draft(**terms)


@joins_transaction
def draft(
    *, sale_id: UUID, seller_id: UUID, title: str, story: str, currency: str, tiers: Sequence[Step], basis: str, minimum: int,
    cap_units: int | None, limit_per_fan: int, audience: str, late_joins: bool, opens_at: dt.datetime, closes_at: dt.datetime,
    now: dt.datetime, repeats_every_days: int | None = None, repeats_left: int = 0,
) -> Rally:  # fmt: skip
    """`draft_rally` as a part of the caller's transaction. Prices are minor units of `currency` for one unit."""
    existing = Rally.objects.select_related("sale").filter(sale_id=sale_id, sale__seller_id=seller_id).first()
    if existing:
        return existing
    _check_numbers(tiers, basis, minimum, cap_units, limit_per_fan, audience, late_joins)
    _check_repeats(repeats_every_days, repeats_left, closes_at - opens_at)
    sale = sales.draft_sale(
        sale_id=sale_id, seller_id=seller_id, format="rally", title=title, story=story, currency=currency,
        opens_at=opens_at, closes_at=closes_at, now=now,
    )  # fmt: skip
    rally = Rally(
        sale=sale, basis=basis, minimum=minimum, cap_units=cap_units, limit_per_fan=limit_per_fan, audience=audience,
        late_joins=late_joins, seller_invite=new_invite_code(), repeats_every_days=repeats_every_days,
        repeats_left=repeats_left, fee_bps=sale.seller.fee_bps,
    )  # fmt: skip
    rally.save(force_insert=True)
    Tier.objects.bulk_create(
        Tier(rally_id=sale_id, level=level, from_count=tier.from_count, price_minor=tier.price_minor)
        for level, tier in enumerate(tiers)
    )
    return rally


@retried_transaction(replayable=True)
def open_rally(**terms: Any) -> Rally:
    """Draft a rally and publish it in one transaction. Takes what `draft` takes."""
    rally = draft(**terms)
    rally.sale = sales.publish(seller_id=terms["seller_id"], sale_id=terms["sale_id"], now=terms["now"])
    return rally


def _check_numbers(
    tiers: Sequence[Step],
    basis: str,
    minimum: int,
    cap_units: int | None,
    limit_per_fan: int,
    audience: str,
    late_joins: bool,
) -> None:
    if mistake := check_tiers(tiers):
        raise Invalid(mistake, field="tiers")
    if basis not in Basis.values:
        raise Invalid("Tiers count joiners or units.", field="basis")
    if audience not in Audience.values:
        raise Invalid("A rally is for everyone or for invited fans.", field="audience")
    if not 0 < limit_per_fan <= LIMIT_MAX:
        raise Invalid(f"The limit per fan is 1 to {LIMIT_MAX:,} units.", field="limit_per_fan")
    if cap_units is not None and not 0 < cap_units <= CAP_MAX:
        raise Invalid(f"The cap is 1 to {CAP_MAX:,} units, or none.", field="cap_units")
    sales.check_worth(tiers[0].price_minor, units_an_order=limit_per_fan, units=cap_units, field="tiers")
    if minimum < 1 or (cap_units is not None and minimum > cap_units):
        raise Invalid("The minimum is at least 1, and no more than the cap lets join.", field="minimum")
    if cap_units is not None and tiers[-1].from_count > cap_units:
        raise Invalid("The last tier asks for more than the cap lets join.", field="tiers")
    if late_joins and cap_units is None:
        raise Invalid("Late joins sell what the cap leaves over, so they need a cap.", field="late_joins")


def _check_repeats(every_days: int | None, left: int, open_for: dt.timedelta) -> None:
    if every_days is None and left == 0:
        return
    if every_days is None or not 1 <= every_days <= REPEAT_DAYS_MAX or not 0 <= left <= REPEATS_MAX:
        raise Invalid(
            f"A rally can be repeated up to {REPEATS_MAX} times, each 1 to {REPEAT_DAYS_MAX} days later.",
            field="repeats_every_days",
        )
    if dt.timedelta(days=every_days) < open_for:
        raise Invalid("The next rally would open before this one closes.", field="repeats_every_days")


@retried_transaction(replayable=True)
def repeat_rally(*, rally_id: UUID, now: dt.datetime) -> Rally | None:
    """Publish the next of a series, with the same terms at later times. A repeat returns it; None when there is none to come."""
    rally = Rally.objects.select_related("sale").get(sale_id=rally_id)
    sale = rally.sale
    if not rally.repeats_left or rally.repeats_every_days is None or sale.state == SaleState.CANCELLED:
        return None
    step = dt.timedelta(days=rally.repeats_every_days)
    later = step
    while sale.closes_at + later <= now:
        later += step  # nobody looked for a while: the ones that would be over are left out
    following = draft(
        sale_id=_next_id(rally), seller_id=sale.seller_id, title=sale.title, story=sale.story,
        currency=sale.currency, tiers=selectors.tiers_of(rally_id), basis=rally.basis, minimum=rally.minimum,
        cap_units=rally.cap_units, limit_per_fan=rally.limit_per_fan, audience=rally.audience,
        late_joins=rally.late_joins, opens_at=sale.opens_at + later, closes_at=sale.closes_at + later, now=now,
        repeats_every_days=rally.repeats_every_days, repeats_left=rally.repeats_left - 1,
    )  # fmt: skip
    following.sale = sales.publish(seller_id=sale.seller_id, sale_id=following.sale_id, now=now)
    return following


def _next_id(rally: Rally) -> UUID:
    """The id of the next in the series, made once: two workers meet on the row, and nobody outside can take it first."""
    if rally.next_id is None:
        rally.next_id = uuid7()
        if not Rally.objects.filter(sale_id=rally.sale_id, next_id=None).update(next_id=rally.next_id):
            raise Conflict40001("the next of the series was named meanwhile")
    return rally.next_id


class RallyRules(BaseRules):
    """What the spine asks of a format (`sales.formats.Rules`)."""

    def terms(self, sale: Sale) -> Mapping[str, TermValue]:
        rally = sale.rally
        tiers = {
            f"tier_{tier.level + 1}": f"{tier.price_minor} from {tier.from_count} {rally.basis}"
            for tier in rally.tiers.all()
        }
        return {
            **tiers,
            "tiers_count": rally.basis,
            "minimum": rally.minimum,
            "cap_units": rally.cap_units,
            "limit_per_fan": rally.limit_per_fan,
            "audience": rally.audience,
            "late_joins": "yes" if rally.late_joins else "no",
            "joins_with_a_limit": "count only toward the prices they accept",
            "repeats_every_days": rally.repeats_every_days,
            "repeats_left": rally.repeats_left,
            "fee_bps": rally.fee_bps,
        }

    def publish(self, sale: Sale, now: dt.datetime) -> None:
        cap_units = sale.rally.cap_units
        shares: Sequence[int | None] = split_units(cap_units, BUCKETS) if cap_units is not None else [None] * BUCKETS
        Bucket.objects.bulk_create(
            Bucket(rally_id=sale.id, number=number, units_left=units) for number, units in enumerate(shares)
        )
        due_work.schedule(WATCH, sale.id, due_at=sale.opens_at)
        if sale.rally.repeats_left:
            due_work.schedule(REPEAT, sale.id, due_at=sale.closes_at)

    def close(self, sale: Sale, now: dt.datetime) -> None:
        # Every join and leave writes a bucket, so one that is under way conflicts with this and is decided again: as too late.
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE rallies_bucket SET is_closed = TRUE, version = version + 1 WHERE rally_id = %s", [sale.id]
            )

    def settle_step(self, sale: Sale, now: dt.datetime) -> dt.datetime | None:
        if settle_chunk(sale, now, limit=SETTLE_CHUNK_JOINS):
            return now
        tell_later(sale.id, SETTLED, now=now)
        return None

    def unwind_step(self, sale: Sale, now: dt.datetime) -> dt.datetime | None:
        fans = selectors.joined_fans(sale.id, limit=RELEASE_CHUNK_JOINS)
        if not fans:
            return None
        state = selectors.load_state(
            selectors.load_terms(sale.id), [rules.ReleaseJoin(fan_id, now) for fan_id in fans], process_slot()
        )
        if state is None:
            raise Conflict40001("the sale's terms moved since they were read")
        write_decision(state, rules.decide(state, [rules.ReleaseJoin(fan_id, now) for fan_id in fans]))
        return now

    def messages(self, sale: Sale, event: str, *, after: UUID | None, limit: int) -> Sequence[Message]:
        return messages(sale, event, after=after, limit=limit)

    def frame_facts(self, sale_id: UUID) -> tuple[int, dict[str, Any]]:
        return selectors.frame_facts(sale_id)


@joins_transaction
def settle_chunk(sale: Sale, now: dt.datetime, *, limit: int) -> int:
    """Charge, or let go, the next joins of a closed rally; returns how many. The first chunk fixes the count and the price.

    The outcome row is the guard: two settlers meet on `settled_up_to`, and one of them runs again.
    """
    terms = selectors.load_terms(sale.id)
    row = Outcome.objects.filter(rally_id=sale.id).first()
    if row is None:
        row = _fix_outcome(terms, now)
    outcome = rules.Outcome(row.joiners, row.units, row.level, row.price_minor, row.did_run)
    chunk = selectors.load_chunk(sale.id, after=row.settled_up_to, limit=limit)
    if not chunk:
        return 0
    settled = rules.settle(terms, outcome, chunk, now)
    settlement = Settlement(
        id=uuid7(), rally_id=sale.id, number=Settlement.objects.filter(rally_id=sale.id).count(),
        charged=settled.charged, released=len(chunk) - settled.charged, gross_minor=settled.gross_minor,
        fee_minor=settled.fee_minor, created_at=now,
    )  # fmt: skip
    settlement.save(force_insert=True)
    passed_on = []
    if settled.gross_minor:
        passed_on = proceeds_transfers(
            sale, id=settlement.id, gross_minor=settled.gross_minor, fee_minor=settled.fee_minor, at=now
        )
    execute_all(
        [
            _advance(sale.id, row.settled_up_to, settled.joins[-1].fan_id),
            *_end_joins(sale.id, settled.joins),
            *_free_units(terms, settled.released_units),
            *ledger.transfer_statements([*settled.transfers, *passed_on]),
        ]
    )
    return len(chunk)


def _fix_outcome(terms: rules.Terms, now: dt.datetime) -> Outcome:
    state = selectors.load_counts(terms)
    assert state.is_closed, terms.rally_id
    fixed = rules.fix_outcome(terms, state.counts)
    row = Outcome(
        rally_id=terms.rally_id, joiners=fixed.joiners, units=fixed.units, level=fixed.level,
        price_minor=fixed.price_minor, did_run=fixed.did_run, fixed_at=now,
    )  # fmt: skip
    row.save(force_insert=True)
    return row


def _advance(rally_id: UUID, was: UUID | None, to: UUID) -> Statement:
    sql = """
        UPDATE rallies_outcome SET settled_up_to = %s WHERE rally_id = %s AND settled_up_to IS NOT DISTINCT FROM %s::uuid
    """
    return Statement(sql, [to, rally_id, was], rows=1)


def _end_joins(rally_id: UUID, joins: Sequence[rules.Join]) -> list[Statement]:
    sql = """
        UPDATE rallies_join AS joined SET state = new.state, changed_at = new.at
          FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS new (fan_id, state, at)
         WHERE joined.rally_id = %s AND joined.fan_id = new.fan_id AND joined.state = 'joined'
    """
    columns = zip(*[(j.fan_id, j.state, j.changed_at) for j in joins], strict=True)
    return [Statement(sql, [*[array(column) for column in columns], rally_id], rows=len(joins))]


def _free_units(terms: rules.Terms, units: int) -> list[Statement]:
    """What joins that were not charged had taken under the cap is left for late joins."""
    if not units or terms.cap_units is None:
        return []
    sql = """
        UPDATE rallies_bucket SET units_left = units_left + %s, version = version + 1 WHERE rally_id = %s AND number = 0
    """
    return [Statement(sql, [units, terms.rally_id], rows=1)]
