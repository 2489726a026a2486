"""How a shop grows, for its console: what `sales/counting.py` has counted, of so many weeks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, F, QuerySet, Sum
from django.utils import translation

from core.charts import Columns, columns
from core.money import Money
from core.paging import page_of
from sales import exports
from sales.counting import week_of
from sales.formats import get_format
from sales.models import BuyersWeek, Sale, ShopBuyers, Takings
from sellers import selectors as sellers

WEEKS = (12, 26, 52)  # to choose from
WEEKS_FIRST = 26
TOP = 10


@dataclass(frozen=True, slots=True)
class Week:
    """A week of buyers, by its Monday (UTC)."""

    week: dt.date
    buyers: int
    firsts: int  # who had never bought before
    came_back: int  # of those, who have bought in another sale by now

    @property
    def known(self) -> int:
        """Who had bought in a week before."""
        return self.buyers - self.firsts

    @property
    def percent(self) -> int | None:
        """Of its new buyers, how many came back."""
        return 100 * self.came_back // self.firsts if self.firsts else None


@dataclass(frozen=True, slots=True)
class Top:
    """A sale and what it came to. `share` is in hundredths of the best one's."""

    sale: Sale
    url: str
    row: Takings
    share: int

    @property
    def taken(self) -> Money:
        return Money(self.row.gross_minor - self.row.refunded_minor, self.row.currency)

    @property
    def refunded(self) -> Money:
        return Money(self.row.refunded_minor, self.row.currency)


@dataclass(frozen=True, slots=True)
class Taken:
    """What the sales of these weeks came to in one currency."""

    sales: int
    purchases: int
    gross: Money
    refunded: Money

    @property
    def kept(self) -> Money:
        return self.gross - self.refunded

    @property
    def average(self) -> Money | None:
        """Of a purchase, before refunds; rounded down to a whole minor unit."""
        return Money(self.gross.minor // self.purchases, self.gross.currency) if self.purchases else None


@dataclass(frozen=True, slots=True)
class ShopGrowth:
    weeks: list[Week]
    chart: Columns
    buyers: int  # ever
    came_back: int  # of those, in more than one sale
    taken: list[Taken]  # by currency
    by_takings: list[Top]  # in the currency that is looked at
    by_units: list[Top]
    is_counting: bool

    @property
    def percent(self) -> int | None:
        return 100 * self.came_back // self.buyers if self.buyers else None

    @property
    def newest_weeks(self) -> list[Week]:
        return self.weeks[::-1]

    @property
    def has_buyers(self) -> bool:
        return any(week.buyers for week in self.weeks)


def first_week(now: dt.datetime, weeks: int) -> dt.date:
    return week_of(now) - dt.timedelta(weeks=weeks - 1)


def read(handle: str, seller_id: UUID, now: dt.datetime, *, weeks: int, currency: str = "") -> ShopGrowth:
    """Of this week and those before it, `weeks` in all. `currency` is that of the sales that are ranked by takings; "": of most."""
    sales = _sales(seller_id, now, weeks)
    taken = _taken(sales)
    currency = currency or next((one.gross.currency for one in taken), "")
    by_takings = sales.filter(currency=currency, gross_minor__gt=0).order_by(
        F("refunded_minor") - F("gross_minor"), "-settled_at", "-sale_id"
    )
    by_units = sales.filter(units__gt=0).order_by("-units", "-settled_at", "-sale_id")
    ever = ShopBuyers.objects.filter(seller_id=seller_id).first() or ShopBuyers()
    by_week = list_weeks(seller_id, now, weeks)
    return ShopGrowth(
        by_week, columns([(week.firsts, week.known) for week in by_week]), ever.buyers, ever.came_back, taken,
        _ranked(handle, by_takings, lambda row: row.gross_minor - row.refunded_minor),
        _ranked(handle, by_units, lambda row: row.units),
        sales.filter(counted_at=None).exists(),
    )  # fmt: skip


def _sales(seller_id: UUID, now: dt.datetime, weeks: int) -> QuerySet[Takings]:
    since = dt.datetime.combine(first_week(now, weeks), dt.time(), tzinfo=dt.UTC)
    return Takings.objects.filter(seller_id=seller_id, settled_at__gte=since)


def _taken(sales: QuerySet[Takings]) -> list[Taken]:
    """By currency, the one of the most sales first."""
    sums = sales.values("currency").annotate(
        sales=Count("sale_id"), n=Sum("purchases"), gross=Sum("gross_minor"), refunded=Sum("refunded_minor")
    )
    return [
        Taken(row["sales"], row["n"], Money(row["gross"], row["currency"]), Money(row["refunded"], row["currency"]))
        for row in sums.order_by("-sales", "currency")
    ]


def _ranked(handle: str, sales: QuerySet[Takings], figure: Any) -> list[Top]:
    rows = list(sales.select_related("sale")[:TOP])
    most = max((figure(row) for row in rows), default=0) or 1
    return [
        Top(row.sale, get_format(row.sale.format).url("console", handle, row.sale_id), row, 100 * figure(row) // most)
        for row in rows
    ]


def list_weeks(seller_id: UUID, now: dt.datetime, weeks: int) -> list[Week]:
    """The oldest first; one in which nobody bought is there too."""
    first = first_week(now, weeks)
    found = {row.week: row for row in BuyersWeek.objects.filter(seller_id=seller_id, week__gte=first)}
    days = [first + dt.timedelta(weeks=number) for number in range(weeks)]
    rows = [found.get(day) or BuyersWeek(seller_id=seller_id, week=day) for day in days]
    return [Week(row.week, row.buyers, row.firsts, row.came_back) for row in rows]


# As files: what each is called, its columns, and its lines.

FOLLOWER_COLUMNS = ("day", "joined", "left", "net", "followers")
BUYER_COLUMNS = ("week (Monday, UTC)", "buyers", "first purchase", "bought before", "of the first, came back")
SALE_COLUMNS = (
    "sale", "title", "kind", "settled (UTC)", "purchases", "buyers", "units", "paid", "refunded", "kept", "average", "currency",
)  # fmt: skip


def follower_lines(seller_id: UUID, now: dt.datetime, weeks: int) -> Iterator[list[Any]]:
    for day in sellers.growth(seller_id, now).days:
        yield [day.day, day.joined, day.left, day.net, day.total]


def buyer_lines(seller_id: UUID, now: dt.datetime, weeks: int) -> Iterator[list[Any]]:
    for week in list_weeks(seller_id, now, weeks):
        yield [week.week, week.buyers, week.firsts, week.known, week.came_back]


def sale_lines(seller_id: UUID, now: dt.datetime, weeks: int) -> Iterator[list[Any]]:
    """All of the weeks' sales, the newest first, page by page."""
    cursor: str | None = ""
    while cursor is not None:
        found = _sales(seller_id, now, weeks).select_related("sale")
        page = page_of(found, cursor, by=("-settled_at", "-sale_id"), size=exports.ROWS_AT_ONCE)
        yield from (_sale_line(row) for row in page.rows)
        cursor = page.next


def _sale_line(row: Takings) -> list[Any]:
    gross, refunded = Money(row.gross_minor, row.currency), Money(row.refunded_minor, row.currency)
    average = Taken(1, row.purchases, gross, refunded).average
    with translation.override(settings.LANGUAGE_CODE):  # programs read it
        kind = get_format(row.sale.format).words.noun
    return [
        str(row.sale_id), row.sale.title, kind, row.settled_at, row.purchases, row.buyers, row.units, gross, refunded,
        gross - refunded, average, row.currency,
    ]  # fmt: skip


FILES: dict[str, tuple[Sequence[str], Any]] = {
    "followers": (FOLLOWER_COLUMNS, follower_lines),
    "buyers": (BUYER_COLUMNS, buyer_lines),
    "sales": (SALE_COLUMNS, sale_lines),
}
