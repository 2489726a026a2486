"""What settled sales came to and who bought in them, as it is counted by due work."""

from __future__ import annotations

import datetime as dt
import threading
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from core.ids import uuid7
from core.models import DueWork
from drops.models import Order
from sales import counting
from sales import services as sales
from sales.counting import Change, Known, changes
from sales.models import Bought, BuyersWeek, Sale, ShopBuyers, Takings
from tests.tools.race import race
from tests.tools.shop import (
    AFTER_THE_END,
    NOW,
    buy,
    close_on_time,
    join,
    join_late,
    make_drop,
    make_fan,
    make_fans,
    make_rally,
    make_seller,
    refund,
)

database = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]

WEEK = dt.timedelta(days=7)
MONDAY = dt.date(2026, 3, 2)  # of NOW


def settle(sale_id: UUID, *, weeks: int = 0) -> None:
    """As if it had been settled so many weeks after NOW, and not counted yet."""
    close_on_time(sale_id)
    sales.settle_to_the_end(sale_id)
    Takings.objects.filter(sale_id=sale_id).update(settled_at=AFTER_THE_END + weeks * WEEK)


def count(sale_id: UUID, at: dt.datetime = AFTER_THE_END) -> dt.datetime | None:
    """All steps that are due; when it is counted again, if ever."""
    while (next_at := counting.count_step(sale_id=sale_id, now=at)) and next_at <= at:
        pass
    return next_at


def sold(seller: Any, fans: list[UUID], *, weeks: int = 0, units: int = 1) -> UUID:
    """A settled drop in which these fans bought."""
    drop = make_drop(seller=seller, units_total=500)
    for fan in fans:
        buy(drop, fan, units)
    settle(drop.sale_id, weeks=weeks)
    return drop.sale_id


def takings(sale_id: UUID) -> tuple[int, int, int, int, int]:
    row = Takings.objects.get(sale_id=sale_id)
    return row.purchases, row.buyers, row.units, row.gross_minor, row.refunded_minor


def weeks_of(seller_id: UUID) -> dict[int, tuple[int, int, int]]:
    """Number of the week from NOW's → buyers, firsts, came back."""
    rows = BuyersWeek.objects.filter(seller_id=seller_id)
    return {(row.week - MONDAY).days // 7: (row.buyers, row.firsts, row.came_back) for row in rows}


def all_of(seller_id: UUID) -> tuple[int, int]:
    row = ShopBuyers.objects.get(seller_id=seller_id)
    return row.buyers, row.came_back


class TestASale:
    pytestmark = database

    def test_a_drop_is_counted_when_it_is_settled(self) -> None:
        seller, (one, two, three) = make_seller(), make_fans(3, funds=50_000)
        drop = make_drop(seller=seller, units_total=50, cancel_s=600)
        for fan, units in [(one, 2), (one, 1), (two, 4)]:
            buy(drop, fan, units)
        given_back = buy(drop, three)
        lanes_refund(drop.sale_id, given_back.id)
        assert not Takings.objects.exists()

        settle(drop.sale_id)
        assert takings(drop.sale_id) == (0, 0, 0, 0, 0)
        assert DueWork.objects.filter(kind=counting.COUNT, subject_id=drop.sale_id, done_at=None).count() == 1
        assert count(drop.sale_id) is None

        assert takings(drop.sale_id) == (3, 2, 7, 7_000, 0)

    def test_a_refund_before_and_after_the_count_is_noted(self) -> None:
        seller = make_seller()
        sale_id = sold(seller, [make_fan(funds=50_000)], units=3)
        sale, order = Sale.objects.get(id=sale_id), Order.objects.get(drop_id=sale_id)
        refund(sale, order.id, 500)
        count(sale_id)
        refund(sale, order.id, 300, number=2)
        refund(sale, order.id, 300, number=2)

        assert takings(sale_id) == (1, 1, 3, 3_000, 800)

    def test_a_rally_is_counted_again_when_late_joins_are_over(self) -> None:
        seller, (one, two) = make_seller(), make_fans(2, funds=90_000)
        rally = make_rally(seller=seller, cap_units=200, late_joins=True)
        join(rally, one, 2)
        settle(rally.sale_id)
        again_at = count(rally.sale_id)
        assert takings(rally.sale_id) == (1, 1, 2, 20_000, 0)

        join_late(rally, one)
        join_late(rally, two, 3)
        assert rally.late_until is not None
        assert again_at == rally.late_until + counting.COMMITTED_AFTER
        assert count(rally.sale_id, again_at) is None

        assert takings(rally.sale_id) == (3, 2, 6, 60_000, 0)
        assert all_of(seller.id) == (2, 0)  # who bought twice in one sale has not come back

    def test_a_count_of_many_fans_goes_on_where_it_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(counting, "FANS_AT_ONCE", 2)
        seller = make_seller()
        sale_id = sold(seller, make_fans(5, funds=5_000))

        assert counting.count_step(sale_id=sale_id, now=AFTER_THE_END) == AFTER_THE_END
        assert takings(sale_id) == (0, 0, 0, 0, 0)  # nothing half counted is shown
        count(sale_id)

        assert takings(sale_id) == (5, 5, 5, 5_000, 0)
        assert weeks_of(seller.id) == {0: (5, 5, 0)}

    def test_counting_twice_is_counting_once(self) -> None:
        seller = make_seller()
        sale_id = sold(seller, make_fans(3, funds=5_000))
        count(sale_id)
        count(sale_id)

        assert takings(sale_id) == (3, 3, 3, 3_000, 0)
        assert all_of(seller.id) == (3, 0)
        assert weeks_of(seller.id) == {0: (3, 3, 0)}

    def test_what_is_called_off_is_not_counted(self) -> None:
        drop = make_drop()
        buy(drop, make_fan(funds=5_000))
        sales.cancel_sale(seller_id=drop.sale.seller_id, sale_id=drop.sale_id, now=NOW)

        assert count(drop.sale_id) is None
        assert not Bought.objects.exists()

    def test_what_was_settled_before_there_was_a_count_can_be_counted(self) -> None:
        seller = make_seller()
        sale_id = sold(seller, [make_fan(funds=5_000)])
        refund(Sale.objects.get(id=sale_id), Order.objects.get(drop_id=sale_id).id, 400)
        Takings.objects.all().delete()

        assert counting.count_missing(now=AFTER_THE_END) == 1
        assert counting.count_missing(now=AFTER_THE_END) == 0
        count(sale_id)

        assert takings(sale_id) == (1, 1, 1, 1_000, 400)


def lanes_refund(drop_id: UUID, order_id: UUID) -> None:
    from drops.services import refund_order

    refund_order(drop_id=drop_id, order_id=order_id, now=NOW)


class TestBuyers:
    pytestmark = database

    def test_who_came_back_is_told_by_the_week_of_their_first_purchase(self) -> None:
        seller, (one, two, three) = make_seller(), make_fans(3, funds=50_000)
        for fans, weeks in [([one, two], 0), ([one], 0), ([one, three], 1), ([two], 3)]:
            count(sold(seller, fans, weeks=weeks))

        assert weeks_of(seller.id) == {0: (2, 2, 2), 1: (2, 1, 0), 3: (1, 0, 0)}
        assert all_of(seller.id) == (3, 2)

    def test_the_order_in_which_sales_are_counted_does_not_matter(self) -> None:
        seller, (one, two) = make_seller(), make_fans(2, funds=50_000)
        made = [
            sold(seller, fans, weeks=weeks) for fans, weeks in [([one], 0), ([one, two], 1), ([one], 2), ([two], 2)]
        ]
        for sale_id in reversed(made):
            count(sale_id)

        assert weeks_of(seller.id) == {0: (1, 1, 1), 1: (2, 1, 1), 2: (2, 0, 0)}
        assert all_of(seller.id) == (2, 2)

    def test_sales_that_are_counted_beside_each_other_count_a_fan_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of different weeks, so that they write no row in common but the shop's."""
        seller, fan = make_seller(), make_fan(funds=50_000)
        made = [sold(seller, [fan], weeks=weeks) for weeks in (0, 1)]
        both_have_read, read = threading.Barrier(2, timeout=20), counting._known

        def read_and_wait(*args: Any) -> Any:
            found = read(*args)
            if not seen.get(threading.get_ident()):
                seen[threading.get_ident()] = True
                both_have_read.wait()
            return found

        seen: dict[int, bool] = {}
        monkeypatch.setattr(counting, "_known", read_and_wait)
        race(*[partial(count, sale_id) for sale_id in made])
        monkeypatch.setattr(counting, "_known", read)
        for sale_id in made:
            count(sale_id)  # if the one that lost was told Busy, on a slow machine

        assert weeks_of(seller.id) == {0: (1, 1, 1), 1: (1, 0, 0)}
        assert all_of(seller.id) == (1, 1)

    def test_another_shops_buyers_are_its_own(self) -> None:
        one, other, fan = make_seller(), make_seller(), make_fan(funds=50_000)
        count(sold(one, [fan]))
        count(sold(other, [fan], weeks=1))

        assert (all_of(one.id), all_of(other.id)) == ((1, 0), (1, 0))
        assert weeks_of(other.id) == {1: (1, 1, 0)}


A, B, C = (MONDAY + number * WEEK for number in range(3))


def known(first: dt.date, sales: int, *, in_week: bool = False) -> Known:
    return Known(uuid7(), first, sales, in_week, in_sale=False)


@pytest.mark.parametrize(
    ("week", "fan", "expected"),
    [
        (A, None, {A: Change(1, 1, 0)}),
        (B, known(A, 1), {B: Change(1, 0, 0), A: Change(0, 0, 1)}),
        (B, known(A, 2), {B: Change(1, 0, 0)}),
        (A, known(A, 1, in_week=True), {A: Change(0, 0, 1)}),
        (A, known(A, 3, in_week=True), {}),
        (A, known(B, 1), {A: Change(1, 1, 1), B: Change(0, -1, 0)}),
        (A, known(B, 2), {A: Change(1, 1, 1), B: Change(0, -1, -1)}),
        (C, known(A, 2, in_week=True), {}),
    ],
)
def test_one_more_sale_of_a_fan_changes_weeks(week: dt.date, fan: Known | None, expected: Any) -> None:
    assert changes(week, [fan]) == expected
