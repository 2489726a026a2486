"""Counting what settled sales came to and who bought in them, as due work: some fans to a step, into rows that pages read.

A sale is counted when it is settled, and once more when its format sells no more of it (`Rules.sells_until`). A count begins
anew and ends the same: a fan is noted for a sale once, and what is noted already changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import F

from core import due_work
from core.sql import array, parts
from core.transactions import DEADLINE_S, Conflict40001, joins_transaction, retried_transaction
from sales.formats import Format, get_format
from sales.models import Bought, BuyersWeek, Sale, SaleState, ShopBuyers, Takings
from sales.proceeds import passed_on
from sales.refunds import refunded_in

COUNT = "sales.count_takings"
COMMITTED_AFTER = dt.timedelta(seconds=DEADLINE_S)  # so long a purchase that came in time may take
FANS_AT_ONCE = 500  # each is a written row, and some weeks beside


class Count(msgspec.Struct):
    """How far a count has come in the order of fans, and what it has found."""

    after: UUID | None = None
    purchases: int = 0
    buyers: int = 0
    units: int = 0
    gross_minor: int = 0


@joins_transaction
def count_later(sale: Sale, *, now: dt.datetime) -> None:
    """Have a sale that is settled now counted soon."""
    assert sale.settled_at is not None, sale.id
    refunded_minor, _fee = refunded_in([sale.id]).get(sale.id, (0, 0))
    row = Takings(
        sale=sale, seller_id=sale.seller_id, currency=sale.currency, settled_at=sale.settled_at,
        refunded_minor=refunded_minor,
    )  # fmt: skip
    Takings.objects.bulk_create([row], ignore_conflicts=True)
    due_work.schedule(COUNT, sale.id, due_at=now)


@retried_transaction(replayable=True)
def count_step(*, sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    """Count the next fans of a settled sale. The time of the next step, or None at the end."""
    sale = Sale.objects.get(id=sale_id)
    if sale.state != SaleState.SETTLED:
        return None
    row = Takings.objects.get(sale_id=sale_id)
    format, count = get_format(sale.format), _read(row)
    fans = _next_fans(format, sale_id, count.after)
    buyers = _add(count, format, sale, fans)
    _note(sale, week_of(row.settled_at), buyers)
    if len(fans) == FANS_AT_ONCE:
        count.after = fans[-1]
        _write(row, counting=msgspec.to_builtins(count))
        return now
    if not format.things:  # it does not say what fans have in it, so only its money is known
        count.gross_minor = passed_on([sale])[sale.id].gross_minor
    _write(
        row, counting=None, counted_at=now, purchases=count.purchases, buyers=count.buyers, units=count.units,
        gross_minor=count.gross_minor,
    )  # fmt: skip
    until = format.rules.sells_until(sale)
    again_at = until + COMMITTED_AFTER if until else now
    return again_at if again_at > now else None


def _read(row: Takings) -> Count:
    return msgspec.convert(row.counting, Count) if row.counting else Count()


def _write(row: Takings, **values: object) -> None:
    # Guarded by nothing but the row itself: a refund, or another worker, who wrote it since is a conflict, and this runs again.
    if not Takings.objects.filter(sale_id=row.sale_id).update(**values):
        raise Conflict40001("the count moved since it was read")


def _next_fans(format: Format, sale_id: UUID, after: UUID | None) -> Sequence[UUID]:
    found = {fan for things in format.things for fan in things.fans(sale_id, after=after, limit=FANS_AT_ONCE)}
    return sorted(found)[:FANS_AT_ONCE]


def _add(count: Count, format: Format, sale: Sale, fans: Collection[UUID]) -> set[UUID]:
    """Add what these fans paid for to the count; those of them who paid for something."""
    terms, buyers = getattr(sale, sale.format), set()
    for things in format.things:
        for record in things.of_sale(sale.id).filter(fan_id__in=fans):
            setattr(record, things.terms, terms)  # or each would read its own
            if paid_minor := things.paid_minor(record):
                buyers.add(record.fan_id)
                count.purchases += 1
                count.units += record.quantity
                count.gross_minor += paid_minor
    count.buyers += len(buyers)
    return buyers


def week_of(at: dt.datetime) -> dt.date:
    """The Monday of its week in UTC: the same for whoever looks, wherever they are."""
    day = at.astimezone(dt.UTC).date()
    return day - dt.timedelta(days=day.weekday())


class Known(NamedTuple):
    """What is noted of a fan at a shop already."""

    fan_id: UUID
    first_week: dt.date
    sales: int
    in_week: bool
    in_sale: bool


class Change(NamedTuple):
    """By how much a week, or (without one) the shop, changes."""

    buyers: int = 0
    firsts: int = 0
    came_back: int = 0


@joins_transaction
def _note(sale: Sale, week: dt.date, fans: Collection[UUID]) -> None:
    """Note that these fans bought in the sale, which was settled in this week."""
    if not fans:
        return
    seller_id = sale.seller_id
    known = {one.fan_id: one for one in _known(seller_id, fans, sale.id, week)}
    fresh = [fan for fan in fans if fan not in known or not known[fan].in_sale]
    if not fresh:
        return
    ShopBuyers.objects.bulk_create([ShopBuyers(seller_id=seller_id)], ignore_conflicts=True)
    ShopBuyers.objects.filter(seller_id=seller_id).update(
        buyers=F("buyers") + sum(fan not in known for fan in fresh),
        came_back=F("came_back") + sum(fan in known and known[fan].sales == 1 for fan in fresh),
    )
    Bought.objects.bulk_create(Bought(seller_id=seller_id, fan_id=fan, sale_id=sale.id, week=week) for fan in fresh)
    _change(seller_id, changes(week, [known.get(fan) for fan in fresh]))


def _known(seller_id: UUID, fans: Iterable[UUID], sale_id: UUID, week: dt.date) -> list[Known]:
    sql = """
        SELECT fan_id, min(week), count(*), bool_or(week = %s), bool_or(sale_id = %s)
          FROM sales_bought WHERE seller_id = %s AND fan_id = ANY(%s::uuid[]) GROUP BY fan_id
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [week, sale_id, seller_id, array(fans)])
        return [Known(*row) for row in cursor.fetchall()]


def changes(week: dt.date, fans: Iterable[Known | None]) -> dict[dt.date, Change]:
    """How weeks change when these fans, of whom so much is known, bought in one more sale, of that week. Pure.

    Sales are mostly counted in the order in which they were settled. When not, a fan's first week moves back.
    """
    buyers: Counter[dt.date] = Counter()
    firsts: Counter[dt.date] = Counter()
    came_back: Counter[dt.date] = Counter()
    for fan in fans:
        if fan is None:
            buyers[week] += 1
            firsts[week] += 1
            continue
        buyers[week] += not fan.in_week
        first = min(week, fan.first_week)
        firsts[first] += 1
        firsts[fan.first_week] -= 1
        came_back[first] += 1
        came_back[fan.first_week] -= fan.sales > 1
    moved = {one: Change(buyers[one], firsts[one], came_back[one]) for one in {*buyers, *firsts, *came_back}}
    return {one: change for one, change in moved.items() if any(change)}


@joins_transaction
def _change(seller_id: UUID, weeks: dict[dt.date, Change]) -> None:
    if not weeks:
        return
    BuyersWeek.objects.bulk_create(
        [BuyersWeek(seller_id=seller_id, week=week) for week in weeks], ignore_conflicts=True
    )
    sql = """
        UPDATE sales_buyersweek AS held
           SET buyers = held.buyers + given.buyers, firsts = held.firsts + given.firsts,
               came_back = held.came_back + given.came_back
          FROM unnest(%s::date[], %s::int[], %s::int[], %s::int[]) AS given (week, buyers, firsts, came_back)
         WHERE held.seller_id = %s AND held.week = given.week
    """
    columns = zip(*((week, *change) for week, change in sorted(weeks.items())), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(sql, [*(array(column) for column in columns), seller_id])


def count_missing(*, now: dt.datetime) -> int:
    """Have sales counted that were settled before there was such a count. Returns how many."""
    missing = Sale.objects.filter(state=SaleState.SETTLED, takings__isnull=True).order_by("settled_at", "id")
    ids = list(missing.values_list("id", flat=True))
    for some in parts(ids):
        _count_each(some, now=now)
    return len(ids)


@retried_transaction(replayable=True)
def _count_each(sale_ids: Sequence[UUID], *, now: dt.datetime) -> None:
    for sale in Sale.objects.filter(id__in=sale_ids):
        count_later(sale, now=now)
