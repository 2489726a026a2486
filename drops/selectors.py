from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, F, QuerySet, Sum

from core.errors import NotFound
from core.sql import array
from drops import models, rules
from drops.errors import OrderNotFound
from drops.models import HAS_UNITS, Drop, OrderState
from ledger import selectors as ledger
from sales import selectors as sales
from sales.stock import Stock, home_bucket

# The columns of `rules.Order`, in its order.
_ORDER = """id, drop_id, fan_id, idempotency_key, quantity, unit_price_minor, currency, state, is_hold, transfer_id,
            terms_sha256, placed_at, expires_at, changed_at"""


def get_drop(sale_id: UUID) -> Drop:
    """A drop that fans may see, with its sale and seller."""
    drop = Drop.objects.filter(sale_id=sale_id).first()
    sale = sales.get_public_sale(sale_id)
    if drop is None:
        raise NotFound("This drop does not exist.")
    drop.sale = sale
    return drop


def get_drop_for_seller(seller_id: UUID, sale_id: UUID) -> Drop:
    drop = Drop.objects.filter(sale_id=sale_id).first()
    sale = sales.get_sale_for_seller(seller_id, sale_id)
    if drop is None:
        raise NotFound("This drop does not exist.")
    drop.sale = sale
    return drop


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


def load_state(drop_id: UUID, commands: Sequence[rules.Command], slot: int) -> rules.State:
    """All that `commands` need to be decided by process number `slot`, from the open transaction's snapshot."""
    state = _load_drop(drop_id, slot)
    placing = [command for command in commands if isinstance(command, rules.PlaceOrder)]
    changing = [command.order_id for command in commands if not isinstance(command, rules.PlaceOrder)]
    if placing:
        for order in _orders_by_key(placing):
            state.orders_by_key[(order.fan_id, order.idempotency_key)] = order
    if changing:
        state.orders = {order.id: order for order in _orders_by_id(changing)}
        state.payments = ledger.transfers_by_id([order.transfer_id for order in state.orders.values()])
    fans = {order.fan_id for order in state.orders.values()}
    if state.stock.units_left or changing:
        # With nothing left every purchase is refused before money is looked at: the sold-out answer stays cheap. But what one
        # command of a batch gives back, the next may buy.
        fans |= {command.fan_id for command in placing}
    if fans:
        wallets = ledger.wallets(fans, state.terms.currency)
        state.wallets = {fan: wallet.account_id for fan, wallet in wallets.items()}
        state.balances = {wallet.account_id: wallet.balance for wallet in wallets.values()}
        if state.terms.limit_per_fan is not None:
            state.units_by_fan = _units_by_fan(drop_id, fans)
    return state


def _load_drop(drop_id: UUID, slot: int) -> rules.State:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT drops_drop.price_minor, sales_sale.currency, drops_drop.limit_per_fan, drops_drop.hold_s,
                   drops_drop.cancel_s, sales_sale.opens_at, sales_sale.closes_at, sales_sale.terms_sha256,
                   escrow.id, drops_bucket.number, drops_bucket.units_left, drops_bucket.is_closed
              FROM drops_drop
              JOIN sales_sale ON sales_sale.id = drops_drop.sale_id
              JOIN ledger_account AS escrow ON escrow.owner_id = drops_drop.sale_id AND escrow.kind = 'escrow'
                                           AND escrow.currency = sales_sale.currency
              JOIN drops_bucket ON drops_bucket.drop_id = drops_drop.sale_id
             WHERE drops_drop.sale_id = %s
            """,
            [drop_id],
        )
        rows = cursor.fetchall()
    if not rows:
        raise NotFound("This drop is not on sale.")
    stock = Stock(
        {number: left for *_, number, left, _ in rows},
        home=home_bucket(slot, len(rows)),
        is_closed=any(is_closed for *_, is_closed in rows),
    )
    return rules.State(rules.Terms(drop_id, *rows[0][:9]), stock)


def _orders_by_key(commands: Sequence[rules.PlaceOrder]) -> list[rules.Order]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT {_ORDER} FROM drops_order
             WHERE (fan_id, idempotency_key) IN (SELECT * FROM unnest(%s::uuid[], %s::uuid[]))
            """,  # noqa: S608  # a constant list of columns
            [array(c.fan_id for c in commands), array(c.idempotency_key for c in commands)],
        )
        return [rules.Order(*row) for row in cursor.fetchall()]


def _orders_by_id(ids: Collection[UUID]) -> list[rules.Order]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_ORDER} FROM drops_order WHERE id = ANY(%s::uuid[])", [array(ids)])  # noqa: S608
        return [rules.Order(*row) for row in cursor.fetchall()]


def _units_by_fan(drop_id: UUID, fans: Collection[UUID]) -> dict[UUID, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT fan_id, units FROM drops_fanlimit WHERE drop_id = %s AND fan_id = ANY(%s::uuid[])",
            [drop_id, array(fans)],
        )
        return dict(cursor.fetchall())


def due_holds(drop_id: UUID, *, now: dt.datetime, limit: int) -> list[UUID]:
    held = models.Order.objects.filter(drop_id=drop_id, state=OrderState.HELD, expires_at__lte=now)
    return list(held.order_by("id").values_list("id", flat=True)[:limit])


def next_hold_ends_at(drop_id: UUID) -> dt.datetime | None:
    held = models.Order.objects.filter(drop_id=drop_id, state=OrderState.HELD).order_by("expires_at")
    return held.values_list("expires_at", flat=True).first()


def orders_with_units(drop_id: UUID, *, limit: int) -> list[UUID]:
    """Held and paid orders, which a cancelled sale gives back."""
    orders = models.Order.objects.filter(drop_id=drop_id, state__in=[OrderState.HELD, OrderState.PAID])
    return list(orders.order_by("id").values_list("id", flat=True)[:limit])


def frame_facts(sale_id: UUID) -> tuple[int, dict[str, Any]]:
    """The sum of the buckets' versions, and what viewers are shown, from one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(sum(drops_bucket.version), 0)::bigint,
                   coalesce(sum(drops_bucket.units_left), drops_drop.units_total)::bigint,
                   drops_drop.units_total, drops_drop.price_minor
              FROM drops_drop LEFT JOIN drops_bucket ON drops_bucket.drop_id = drops_drop.sale_id
             WHERE drops_drop.sale_id = %s GROUP BY drops_drop.sale_id
            """,
            [sale_id],
        )
        version, units_left, units_total, price_minor = cursor.fetchone()
    return version, {"units_left": units_left, "units_total": units_total, "price_minor": price_minor}


def settled_totals(drop_id: UUID) -> dict[str, int]:
    """{"gross_minor", "fee_minor"} of all that was passed on to the seller so far."""
    sums = models.Settlement.objects.filter(drop_id=drop_id).aggregate(gross=Sum("gross_minor"), fee=Sum("fee_minor"))
    return {"gross_minor": sums["gross"] or 0, "fee_minor": sums["fee"] or 0}


def units_of_drops(drop_ids: Collection[UUID]) -> dict[UUID, int]:
    """Drop → how many units it was made with."""
    return dict(Drop.objects.filter(sale_id__in=drop_ids).values_list("sale_id", "units_total"))
