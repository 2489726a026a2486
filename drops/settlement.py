"""The life of a drop beside its buying: publishing, holds that run out, settling, calling off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from uuid import UUID

from core import due_work
from core.chunks import run_shrinking
from core.ids import uuid7
from core.money import share_bps
from core.transactions import Conflict40001, joins_transaction
from drops import rules, selectors
from drops.models import Bucket, Order, OrderState, Settlement
from drops.services import run_commands
from ledger import services as ledger
from sales import frames, stuck
from sales.formats import BaseRules
from sales.models import RUNNING_STATES, Sale, SaleState
from sales.proceeds import settlement_transfers
from sales.stock import bucket_count, split_units
from sales.terms import TermValue, sealed

# A settled order is one written row; fewer than there could be leave room and keep a step short.
SETTLE_CHUNK_ORDERS = 1_000
# An order given back writes itself, a transfer, its wallet and its limit; DSQL takes 3,000 rows a transaction.
GIVE_BACK_CHUNK_ORDERS = 500

EXPIRE_HOLDS = "drops.expire_holds"


class DropRules(BaseRules):
    """What the spine asks of a format (`sales.formats.Rules`)."""

    settle_chunk = SETTLE_CHUNK_ORDERS
    unwind_chunk = GIVE_BACK_CHUNK_ORDERS
    frame_sql = """
        SELECT coalesce((SELECT sum(units_left) FROM drops_bucket WHERE drop_id = sale_id), units_total)::bigint
                   AS units_left, units_total, price_minor
          FROM drops_drop WHERE sale_id = %(sale_id)s
    """

    def terms(self, sale: Sale) -> Mapping[str, TermValue]:
        return sealed(sale.drop, "price_minor", "units_total", "limit_per_fan", "hold_s", "cancel_s", "fee_bps")

    def publish(self, sale: Sale, now: dt.datetime) -> None:
        units_total = sale.drop.units_total
        shares = split_units(units_total, bucket_count(units_total))
        Bucket.objects.bulk_create(
            Bucket(drop_id=sale.id, number=number, units_left=units) for number, units in enumerate(shares)
        )

    def schedule(self, sale: Sale) -> None:
        if sale.drop.hold_s:
            first_end = sale.opens_at + dt.timedelta(seconds=sale.drop.hold_s)
            due_work.schedule(EXPIRE_HOLDS, sale.id, due_at=min(first_end, sale.closes_at) + sale.moved_by)

    def settle_step(self, sale: Sale, now: dt.datetime, *, limit: int) -> dt.datetime | None:
        if expire_due_holds(sale, now, limit=min(limit, GIVE_BACK_CHUNK_ORDERS)):
            return now
        if settle_chunk(sale, now, limit=limit):
            return now
        # What was confirmable or could be given back when an early close came stays so until its own deadline.
        return selectors.next_deadline(sale)

    def next_row(self, sale: Sale, now: dt.datetime) -> UUID | None:
        if sale.state == SaleState.CANCELLED:
            return next(iter(selectors.orders_with_units(sale.id, limit=1)), None)
        due = selectors.due_holds(sale, now=now, limit=1) or selectors.orders_to_settle(sale, now=now, limit=1)
        return next((order.id for order in due), None)

    def unwind_step(self, sale: Sale, now: dt.datetime, *, limit: int) -> dt.datetime | None:
        due = selectors.orders_with_units(sale.id, limit=limit)
        run_commands(sale.id, [rules.RefundOrder(order_id, now) for order_id in due])
        return now if due else None

    def fans(self, sale: Sale, *, after: UUID | None, limit: int) -> Sequence[UUID]:
        return selectors.orders.fans(sale.id, after=after, limit=limit)


@joins_transaction
def settle_chunk(sale: Sale, now: dt.datetime, *, limit: int) -> int:
    """Pass the next paid orders on to the seller, less the fee, in one journal. Returns how many there were."""
    chunk = selectors.orders_to_settle(sale, now=now, limit=limit)
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
    if settled != len(chunk):
        raise Conflict40001("orders moved since they were read")
    ledger.write_transfers(settlement_transfers(settlement, sale))
    return len(chunk)


def expire_holds(*, drop_id: UUID, now: dt.datetime) -> dt.datetime | None:
    """Give back up to a chunk of holds that ran out. When to look again; None at the sale's end, where no hold goes on."""
    return run_shrinking(
        lambda limit: _expire(drop_id, now, limit), largest=GIVE_BACK_CHUNK_ORDERS, name="expire_holds",
        subject_id=drop_id, set_aside=lambda error: stuck.set_aside(drop_id, error, now=now),
    )  # fmt: skip


@joins_transaction
def _expire(drop_id: UUID, now: dt.datetime, limit: int) -> dt.datetime | None:
    sale = Sale.objects.select_related("drop").get(id=drop_id)
    if sale.state not in RUNNING_STATES:
        return None if sale.state != SaleState.FROZEN else now + dt.timedelta(seconds=sale.drop.hold_s)
    ends_at = DropRules().ends_at(sale)
    if now >= ends_at:
        return None
    expired = expire_due_holds(sale, now, limit=limit)
    if expired:
        frames.send_after_commit(drop_id)
    if expired == limit:
        return now
    # A hold that is placed from now on cannot end earlier than this.
    earliest_new = now + dt.timedelta(seconds=sale.drop.hold_s)
    return min(selectors.next_hold_ends_at(sale) or earliest_new, earliest_new, ends_at)


@joins_transaction
def expire_due_holds(sale: Sale, now: dt.datetime, *, limit: int) -> int:
    due = selectors.due_holds(sale, now=now, limit=limit)
    run_commands(sale.id, [rules.ExpireHold(order.id, now) for order in due])
    return len(due)
