"""Writes of a drop. Everything that touches its stock is a command of `rules.decide` and goes through the drop's lane."""

from __future__ import annotations

import datetime as dt
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
from core.money import share_bps
from core.sql import Statement, array, execute_all
from core.transactions import Conflict40001, joins_transaction, retried_transaction
from drops import rules, selectors
from drops.models import CANCEL_S_MAX, HOLD_S_MAX, LIMIT_MAX, UNITS_MAX, Bucket, Drop, Order, OrderState, Settlement
from ledger import services as ledger
from sales import frames
from sales import services as sales
from sales.formats import BaseRules
from sales.models import Sale, SaleState
from sales.proceeds import proceeds_transfers
from sales.stock import bucket_count, split_units
from sales.terms import TermValue

# A settled order is one written row, and DSQL takes 3,000 a transaction; fewer leave room and keep a step short.
SETTLE_CHUNK_ORDERS = 1_000
# An order given back writes itself, a transfer, its wallet and its limit.
GIVE_BACK_CHUNK_ORDERS = 500

EXPIRE_HOLDS = "drops.expire_holds"
HOLDS_LOOKED_AT_EVERY = dt.timedelta(seconds=1)


class OrderLane(Lane[rules.Command, rules.Order]):
    """All commands for one drop that reach this process, a batch to a transaction."""

    name = "drops.order"
    batch_max = 500  # an order writes up to 4 rows and a batch up to 16 buckets; DSQL takes 3,000 rows

    def __init__(self, drop_id: UUID) -> None:
        super().__init__()
        self.drop_id = drop_id
        self.slot = process_slot()

    def run(self, batch: Sequence[rules.Command]) -> Sequence[rules.Order | Refusal]:
        state = selectors.load_state(self.drop_id, batch, self.slot)
        decision = rules.decide(state, batch)
        write_decision(state.terms, decision)
        return decision.outcomes

    def told(self, batch: Sequence[rules.Command], outcomes: Sequence[rules.Order | Refusal]) -> None:
        if any(isinstance(outcome, rules.Order) for outcome in outcomes):
            frames.send(self.drop_id)
        _count(batch, outcomes)


def _count(batch: Sequence[rules.Command], outcomes: Sequence[rules.Order | Refusal]) -> None:
    refused: Counter[str] = Counter(outcome.code for outcome in outcomes if isinstance(outcome, Refusal))
    for code, count in refused.items():
        metrics.REFUSALS.labels(code).inc(count)
    placed = sum(
        isinstance(command, rules.PlaceOrder) and isinstance(outcome, rules.Order) and outcome.id == command.order_id
        for command, outcome in zip(batch, outcomes, strict=True)
    )
    if placed:
        metrics.ORDERS.labels("drop").inc(placed)


lanes: Lanes[OrderLane] = Lanes(OrderLane)


@joins_transaction
def write_decision(terms: rules.Terms, decision: rules.Decision) -> None:
    """Write what was decided, set-based, in one round trip. Every statement carries its guard: any number of lanes may do this."""
    execute_all(
        [
            *_change_buckets(terms.drop_id, decision.bucket_changes),
            *_change_limits(terms, {fan: change for fan, change in decision.limit_changes.items() if change}),
            *_insert_orders(list(decision.placed.values())),
            *_update_orders(decision),
            *ledger.transfer_statements(decision.transfers),
        ]
    )


def _change_buckets(drop_id: UUID, changes: Mapping[int, int]) -> list[Statement]:
    if not changes:
        return []
    sql = """
        UPDATE drops_bucket AS bucket
           SET units_left = bucket.units_left + change.units, version = bucket.version + 1
          FROM unnest(%s::int[], %s::int[]) AS change (number, units)
         WHERE bucket.drop_id = %s AND bucket.number = change.number
           AND bucket.units_left + change.units >= 0 AND (change.units > 0 OR NOT bucket.is_closed)
    """
    return [Statement(sql, [array(changes), array(changes.values()), drop_id], rows=len(changes))]


def _change_limits(terms: rules.Terms, changes: Mapping[UUID, int]) -> list[Statement]:
    more = {fan: units for fan, units in changes.items() if units > 0}
    less = {fan: units for fan, units in changes.items() if units < 0}
    statements = []
    if more:
        sql = """
            INSERT INTO drops_fanlimit AS fan_limit (drop_id, fan_id, units)
            SELECT %s, * FROM unnest(%s::uuid[], %s::int[])
                ON CONFLICT (drop_id, fan_id) DO UPDATE SET units = fan_limit.units + excluded.units
             WHERE fan_limit.units + excluded.units <= %s
        """
        params = [terms.drop_id, array(more), array(more.values()), terms.limit_per_fan]
        statements.append(Statement(sql, params, rows=len(more)))
    if less:
        sql = """
            UPDATE drops_fanlimit AS fan_limit SET units = fan_limit.units + change.units
              FROM unnest(%s::uuid[], %s::int[]) AS change (fan_id, units)
             WHERE fan_limit.drop_id = %s AND fan_limit.fan_id = change.fan_id
        """
        statements.append(Statement(sql, [array(less), array(less.values()), terms.drop_id], rows=len(less)))
    return statements


def _insert_orders(orders: Sequence[rules.Order]) -> list[Statement]:
    if not orders:
        return []
    first = orders[0]
    assert all(o.drop_id == first.drop_id and o.terms_sha256 == first.terms_sha256 for o in orders), first.drop_id
    rows = [
        (
            o.id, o.fan_id, o.idempotency_key, o.quantity, o.state, o.is_hold, o.transfer_id, o.placed_at,
            o.expires_at, o.changed_at,
        )
        for o in orders
    ]  # fmt: skip
    sql = """
        INSERT INTO drops_order (drop_id, unit_price_minor, currency, terms_sha256, id, fan_id, idempotency_key,
                                 quantity, state, is_hold, transfer_id, placed_at, expires_at, changed_at)
        SELECT %s, %s, %s, %s, * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::int[], %s::text[], %s::bool[],
                                             %s::uuid[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
    """
    same = [first.drop_id, first.unit_price_minor, first.currency, first.terms_sha256]
    return [Statement(sql, [*same, *[array(column) for column in zip(*rows, strict=True)]], rows=len(orders))]


def _update_orders(decision: rules.Decision) -> list[Statement]:
    rows = [(o.id, decision.was[o.id], o.state, o.changed_at) for o in decision.changed.values()]
    if not rows:
        return []
    sql = """
        UPDATE drops_order SET state = change.state, changed_at = change.at
          FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::timestamptz[]) AS change (id, was, state, at)
         WHERE drops_order.id = change.id AND drops_order.state = change.was
    """
    return [Statement(sql, [array(column) for column in zip(*rows, strict=True)], rows=len(rows))]


def _check_all_written(written: int, wanted: Any) -> None:
    if written != len(wanted):
        raise Conflict40001("rows moved since they were read")


# What fans and sellers ask for. Each is one command to the drop's lane.


def place_order(drop_id: UUID, command: rules.PlaceOrder) -> rules.Order:
    """Buy, or hold. A repeat of the same key returns the first order. Raises the refusals of `rules.decide`, or Busy."""
    return lanes[drop_id].call(command)


def confirm_order(*, drop_id: UUID, order_id: UUID, fan_id: UUID, now: dt.datetime) -> rules.Order:
    """Pay for the held units. A repeat returns the paid order."""
    return lanes[drop_id].call(rules.ConfirmOrder(order_id, fan_id, now))


def cancel_order(*, drop_id: UUID, order_id: UUID, fan_id: UUID, now: dt.datetime) -> rules.Order:
    """Give the units back, and get the money back. A repeat returns the cancelled order."""
    return lanes[drop_id].call(rules.CancelOrder(order_id, fan_id, now))


def refund_order(*, drop_id: UUID, order_id: UUID, now: dt.datetime) -> rules.Order:
    """The seller gives the buyer everything back, until the order is settled. A repeat returns the refunded order."""
    return lanes[drop_id].call(rules.RefundOrder(order_id, now))


# The seller's side.


@retried_transaction(replayable=True)
def draft_drop(
    *, sale_id: UUID, seller_id: UUID, title: str, story: str, currency: str, price_minor: int, units_total: int,
    limit_per_fan: int | None, hold_s: int, cancel_s: int, opens_at: dt.datetime, closes_at: dt.datetime, now: dt.datetime,
) -> Drop:  # fmt: skip
    """A new draft of a drop. A repeat with the same `sale_id` returns it. Raises Invalid."""
    return draft(
        sale_id=sale_id, seller_id=seller_id, title=title, story=story, currency=currency, price_minor=price_minor,
        units_total=units_total, limit_per_fan=limit_per_fan, hold_s=hold_s, cancel_s=cancel_s, opens_at=opens_at,
        closes_at=closes_at, now=now,
    )  # fmt: skip


@joins_transaction
def draft(
    *, sale_id: UUID, seller_id: UUID, title: str, story: str, currency: str, price_minor: int, units_total: int,
    limit_per_fan: int | None, hold_s: int, cancel_s: int, opens_at: dt.datetime, closes_at: dt.datetime, now: dt.datetime,
) -> Drop:  # fmt: skip
    """`draft_drop` as a part of the caller's transaction."""
    existing = Drop.objects.select_related("sale").filter(sale_id=sale_id, sale__seller_id=seller_id).first()
    if existing:
        return existing
    _check_numbers(price_minor, units_total, limit_per_fan, hold_s, cancel_s)
    sale = sales.draft_sale(
        sale_id=sale_id, seller_id=seller_id, format="drop", title=title, story=story, currency=currency,
        opens_at=opens_at, closes_at=closes_at, now=now,
    )  # fmt: skip
    drop = Drop(
        sale=sale, price_minor=price_minor, units_total=units_total, limit_per_fan=limit_per_fan, hold_s=hold_s,
        cancel_s=cancel_s, fee_bps=sale.seller.fee_bps,
    )  # fmt: skip
    drop.save(force_insert=True)
    return drop


@retried_transaction(replayable=True)
def open_drop(**terms: Any) -> Drop:
    """Draft a drop and publish it in one transaction. Takes what `draft_drop` takes."""
    drop = draft(**terms)
    drop.sale = sales.publish(seller_id=terms["seller_id"], sale_id=terms["sale_id"], now=terms["now"])
    return drop


def _check_numbers(price_minor: int, units_total: int, limit_per_fan: int | None, hold_s: int, cancel_s: int) -> None:
    if not 0 < units_total <= UNITS_MAX:
        raise Invalid(f"A drop has 1 to {UNITS_MAX:,} units.", field="units_total")
    if price_minor <= 0:
        raise Invalid("The price must be above zero.", field="price_minor")
    if limit_per_fan is not None and not 0 < limit_per_fan <= LIMIT_MAX:
        raise Invalid(f"The limit per fan is 1 to {LIMIT_MAX:,} units, or none.", field="limit_per_fan")
    # Without a limit an order still asks for no more than LIMIT_MAX.
    units_an_order = min(units_total, limit_per_fan or LIMIT_MAX)
    sales.check_worth(price_minor, units_an_order=units_an_order, units=units_total, field="price_minor")
    if not 0 <= hold_s <= HOLD_S_MAX:
        raise Invalid("Units can be held for up to an hour.", field="hold_s")
    if not 0 <= cancel_s <= CANCEL_S_MAX:
        raise Invalid("A purchase can be given back for up to a day.", field="cancel_s")


class DropRules(BaseRules):
    """What the spine asks of a format (`sales.formats.Rules`)."""

    def terms(self, sale: Sale) -> Mapping[str, TermValue]:
        drop = sale.drop
        return {
            "price_minor": drop.price_minor,
            "units_total": drop.units_total,
            "limit_per_fan": drop.limit_per_fan,
            "hold_s": drop.hold_s,
            "cancel_s": drop.cancel_s,
            "fee_bps": drop.fee_bps,
        }

    def publish(self, sale: Sale, now: dt.datetime) -> None:
        units_total = sale.drop.units_total
        shares = split_units(units_total, bucket_count(units_total))
        Bucket.objects.bulk_create(
            Bucket(drop_id=sale.id, number=number, units_left=units) for number, units in enumerate(shares)
        )
        if sale.drop.hold_s:
            due_work.schedule(EXPIRE_HOLDS, sale.id, due_at=sale.opens_at)

    def close(self, sale: Sale, now: dt.datetime) -> None:
        # Every purchase writes a bucket, so one that is under way conflicts with this and is decided again: as too late.
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE drops_bucket SET is_closed = TRUE, version = version + 1 WHERE drop_id = %s", [sale.id]
            )

    def settle_step(self, sale: Sale, now: dt.datetime) -> dt.datetime | None:
        if _expire_due_holds(sale.id, now):
            return now
        paid = _settle_chunk(sale, now)
        # A hold that was confirmable when an early close came stays so until its deadline.
        return now if paid else selectors.next_hold_ends_at(sale.id)

    def unwind_step(self, sale: Sale, now: dt.datetime) -> dt.datetime | None:
        due = selectors.orders_with_units(sale.id, limit=GIVE_BACK_CHUNK_ORDERS)
        _run_commands(sale.id, [rules.RefundOrder(order_id, now) for order_id in due])
        return now if due else None

    def messages(self, sale: Sale, event: str, *, after: UUID | None, limit: int) -> Sequence[Message]:
        raise AssertionError(event)  # a drop has no events of its own

    def frame_facts(self, sale_id: UUID) -> tuple[int, dict[str, Any]]:
        return selectors.frame_facts(sale_id)


def _settle_chunk(sale: Sale, now: dt.datetime) -> int:
    """Pass the next paid orders on to the seller, less the fee, in one journal. Returns how many there were."""
    chunk = list(Order.objects.filter(drop_id=sale.id, state=OrderState.PAID).order_by("id")[:SETTLE_CHUNK_ORDERS])
    if not chunk:
        return 0
    fee_bps = sale.drop.fee_bps
    gross = sum(order.total_minor for order in chunk)
    # Per order and rounded down each time, so that the fee does not depend on how the orders fall into chunks.
    fee = sum(share_bps(order.total_minor, fee_bps) for order in chunk)
    settlement = Settlement(
        id=uuid7(), drop_id=sale.id, number=Settlement.objects.filter(drop_id=sale.id).count(), orders=len(chunk),
        gross_minor=gross, fee_minor=fee, created_at=now,
    )  # fmt: skip
    # The orders first: two settlers meet on them, and one of them runs again.
    settled = Order.objects.filter(id__in=[order.id for order in chunk], state=OrderState.PAID).update(
        state=OrderState.SETTLED, settlement_id=settlement.id, changed_at=now
    )
    _check_all_written(settled, chunk)
    settlement.save(force_insert=True)
    passed_on = proceeds_transfers(sale, id=settlement.id, gross_minor=gross, fee_minor=fee, at=now)
    ledger.write_transfers(passed_on)
    return len(chunk)


@retried_transaction(replayable=True)
def expire_holds(*, drop_id: UUID, now: dt.datetime) -> dt.datetime | None:
    """Give back up to a chunk of holds that ran out. When to look again; None once the sale has closed (settling goes on)."""
    expired = _expire_due_holds(drop_id, now)
    if expired:
        frames.send_after_commit(drop_id)
    if Sale.objects.filter(id=drop_id, state__in=[SaleState.SCHEDULED, SaleState.LIVE]).exists():
        return now if expired == GIVE_BACK_CHUNK_ORDERS else now + HOLDS_LOOKED_AT_EVERY
    return None


def _expire_due_holds(drop_id: UUID, now: dt.datetime) -> int:
    due = selectors.due_holds(drop_id, now=now, limit=GIVE_BACK_CHUNK_ORDERS)
    _run_commands(drop_id, [rules.ExpireHold(order_id, now) for order_id in due])
    return len(due)


def _run_commands(drop_id: UUID, commands: Sequence[rules.Command]) -> None:
    """Decide and write commands inside the open transaction: for chunks of due work, which are batches already."""
    if not commands:
        return
    state = selectors.load_state(drop_id, commands, process_slot())
    write_decision(state.terms, rules.decide(state, commands))
