"""A shop's page of growth, its files, and what its settled sales brought it by API."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from accounts.models import User
from core import clock, paging
from core.due_work import run_due
from core.ids import uuid7
from drops.models import Order
from ledger import selectors as ledger
from rallies.models import LateJoin
from sales import exports
from sales import services as sales
from sales.counting import count_step, week_of
from sales.models import BuyersWeek, Sale, Takings
from sellers import api_keys
from sellers.models import KeyScope, Seller
from tests.tools.shop import (
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

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]


class Own:
    """A shop with an owner who is logged in, and sales that are settled and counted."""

    def __init__(self) -> None:
        self.owner_id = make_fan()
        self.seller: Seller = make_seller(handle="northlight", owner_id=self.owner_id, fee_bps=333)
        self.client = Client()
        self.client.force_login(User.objects.get(id=self.owner_id))

    def drop(self, fans: list[UUID], units: int = 1, **terms: Any) -> Sale:
        drop = make_drop(seller=self.seller, units_total=500, **terms)
        for fan in fans:
            buy(drop, fan, units)
        return self.settled(drop.sale_id)

    def settled(self, sale_id: UUID) -> Sale:
        close_on_time(sale_id)
        sales.settle_to_the_end(sale_id)
        now = clock.now()
        while (next_at := count_step(sale_id=sale_id, now=now)) and next_at <= now:
            pass
        return Sale.objects.get(id=sale_id)

    def growth(self, query: str = "") -> Any:
        answer = self.client.get(f"/sell/northlight/growth/{query}")
        assert answer.status_code == 200
        return answer.context["growth"]

    def lines(self, what: str, query: str = "") -> list[dict[str, str]]:
        async def read(answer: Any) -> bytes:
            return b"".join([part async for part in answer.streaming_content])

        answer = self.client.get(f"/sell/northlight/growth/{what}/csv/{query}")
        return list(csv.DictReader(io.StringIO(async_to_sync(read)(answer).decode("utf-8-sig"))))


@pytest.fixture
def own() -> Own:
    return Own()


def test_a_new_shop_is_told_that_there_is_nothing_yet(own: Own) -> None:
    growth = own.growth()

    assert (growth.buyers, growth.percent, growth.taken, growth.by_takings) == (0, None, [], [])
    assert len(growth.weeks) == 26


def test_the_page_ranks_every_formats_sales_by_takings_and_by_units(own: Own) -> None:
    one, two = make_fans(2, funds=90_000)
    many = own.drop([one, two], 6, title="Prints")
    rally = make_rally(seller=own.seller, title="A lamp")
    join(rally, one, 2)
    dear = own.settled(rally.sale_id)

    growth = own.growth()

    assert [(top.sale.id, top.share) for top in growth.by_takings] == [(dear.id, 100), (many.id, 60)]
    assert [(top.sale.id, top.row.units) for top in growth.by_units] == [(many.id, 12), (dear.id, 2)]
    (taken,) = growth.taken
    assert (taken.sales, taken.purchases, taken.gross.minor, taken.average.minor) == (2, 3, 32_000, 10_666)
    assert (growth.buyers, growth.came_back, growth.percent) == (2, 1, 50)
    assert (growth.weeks[-1].buyers, growth.weeks[-1].firsts, growth.weeks[-1].came_back) == (2, 2, 1)


def test_what_was_refunded_is_taken_off_and_changes_the_ranks(own: Own) -> None:
    fan = make_fan(funds=90_000)
    best, second = own.drop([fan], 3), own.drop([fan], 2)
    refund(best, Order.objects.get(drop_id=best.id).id, 1_500)

    growth = own.growth()

    assert [(top.sale.id, top.taken.minor, top.refunded.minor) for top in growth.by_takings] == [
        (second.id, 2_000, 0), (best.id, 1_500, 1_500),
    ]  # fmt: skip
    assert growth.taken[0].kept.minor == 3_500


def test_only_the_weeks_that_are_asked_for_count(own: Own) -> None:
    sale = own.drop([make_fan(funds=5_000)])
    long_ago = clock.now() - dt.timedelta(weeks=20)
    Takings.objects.filter(sale_id=sale.id).update(settled_at=long_ago)
    BuyersWeek.objects.all().delete()
    BuyersWeek.objects.create(seller=own.seller, week=week_of(long_ago), buyers=1, firsts=1)

    assert [len(own.growth(f"?weeks={weeks}").taken) for weeks in ("12", "26", "nonsense", "52")] == [0, 1, 1, 1]
    assert [own.growth(f"?weeks={weeks}").has_buyers for weeks in (12, 26)] == [False, True]


def test_each_currency_has_its_own_sums(own: Own) -> None:
    own.drop([make_fan(funds=5_000)])
    other = own.drop([make_fan(funds=5_000, currency="GBP")], currency="GBP")
    own.drop([make_fan(funds=5_000)])

    growth = own.growth("?currency=GBP")

    assert [(str(one.gross), one.sales) for one in growth.taken] == [("€20.00", 2), ("£10.00", 1)]
    assert [top.sale.id for top in growth.by_takings] == [other.id]
    assert own.growth("?currency=nonsense").by_takings[0].row.currency == "EUR"


def test_another_shops_growth_is_its_own(own: Own) -> None:
    own.drop([make_fan(funds=5_000)])
    stranger = make_fan()
    make_seller(handle="kiln-nine", owner_id=stranger)
    client = Client()
    client.force_login(User.objects.get(id=stranger))

    assert client.get("/sell/kiln-nine/growth/").context["growth"].taken == []
    assert client.get("/sell/northlight/growth/").status_code == 404


def test_the_page_asks_as_little_however_many_sales_there_are(own: Own, django_assert_max_num_queries: Any) -> None:
    fan = make_fan(funds=90_000)
    for _ in range(4):
        own.drop([fan])

    with django_assert_max_num_queries(16):
        own.growth()


def test_its_tables_come_as_files(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "ROWS_AT_ONCE", 2)
    fan = make_fan(funds=90_000)
    made = [own.drop([fan], units, title="=A print") for units in (1, 2, 3)]
    refund(made[0], Order.objects.get(drop_id=made[0].id).id, 250)

    by_sale = {line["sale"]: line for line in own.lines("sales")}
    assert set(by_sale) == {str(sale.id) for sale in made}
    line = by_sale[str(made[0].id)]
    assert (line["title"], line["kind"], line["paid"], line["refunded"], line["kept"], line["average"]) == (
        "'=A print", "drop", "10.00", "2.50", "7.50", "10.00",
    )  # fmt: skip
    weeks = own.lines("buyers", "?weeks=12")
    assert len(weeks) == 12
    assert list(weeks[-1].values())[1:] == ["1", "1", "0", "1"]
    assert len(own.lines("followers")) == 91
    assert own.client.get("/sell/northlight/growth/sales/xlsx/").status_code == 200
    for path in ("nonsense/csv", "sales/nonsense"):
        assert own.client.get(f"/sell/northlight/growth/{path}/").status_code == 404


class TestProceeds:
    """By API, from the ledger."""

    def ask(self, own: Own, after: str = "") -> Any:
        return own.client.get("/api/v1/sellers/northlight/proceeds", {"after": after})

    def test_each_settled_sale_says_what_it_brought(self, own: Own) -> None:
        one, two = make_fans(2, funds=90_000)
        drop = own.drop([one, two], 3, price_minor=777)
        order = Order.objects.filter(drop_id=drop.id).order_by("id")[0]
        refund(drop, order.id, 1_000)
        running = make_drop(seller=own.seller)
        buy(running, one)

        (item,) = self.ask(own).json()["items"]

        amounts = {name: item[name]["minor"] for name in ("gross", "fee", "refunded", "fee_refunded", "net")}
        assert amounts == {"gross": 4_662, "fee": 154, "refunded": 1_000, "fee_refunded": 33, "net": 3_541}
        assert (item["sale_id"], item["format"], item["state"], item["currency"]) == (
            str(drop.id),
            "drop",
            "settled",
            "EUR",
        )
        found = ledger.transfers_by_id([UUID(id) for id in item["transfers"]])
        assert sorted((row.code, row.amount_minor) for row in found.values()) == [("fee", 154), ("proceeds", 4_662)]

    def test_all_nets_together_are_what_the_shop_has(self, own: Own) -> None:
        one, two, late = make_fans(3, funds=90_000)
        drop = own.drop([one, two], 3, price_minor=777)
        refund(drop, Order.objects.filter(drop_id=drop.id)[0].id, 1_000)
        rally = make_rally(seller=own.seller, cap_units=200, late_joins=True)
        join(rally, one, 2)
        ended = own.settled(rally.sale_id)
        join_late(rally, late, 3)
        refund(ended, LateJoin.objects.get(rally_id=ended.id).id, 7_777)
        others = make_drop(seller=make_seller())
        buy(others, one)
        own.settled(others.sale_id)

        items = self.ask(own).json()["items"]

        account = ledger.proceeds_of(own.seller.id)["EUR"]
        assert sum(item["net"]["minor"] for item in items) == ledger.balance(account).available_minor
        assert {item["format"]: item["gross"]["minor"] for item in items} == {"drop": 4_662, "rally": 50_000}

    def test_a_key_that_reads_is_enough_and_other_shops_are_missing(self, own: Own) -> None:
        own.drop([make_fan(funds=5_000)])
        key = api_keys.make(
            key_id=uuid7(), seller_id=own.seller.id, name="Books", scope=KeyScope.READ, expires_at=None,
            made_by=own.owner_id, now=clock.now(),
        )  # fmt: skip
        make_seller(handle="kiln-nine")
        client, headers = Client(), {"authorization": f"Bearer {key}"}

        assert len(client.get("/api/v1/sellers/northlight/proceeds", headers=headers).json()["items"]) == 1
        assert client.get("/api/v1/sellers/kiln-nine/proceeds", headers=headers).status_code == 404

    def test_the_list_goes_on(self, own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(paging, "PAGE_ROWS", 2)
        fan = make_fan(funds=90_000)
        made = [own.drop([fan]) for _ in range(5)]
        Takings.objects.update(settled_at=clock.now())  # all in one moment: their ids tell them apart

        found, after = [], ""
        while after is not None:
            page = self.ask(own, after).json()
            found += [item["sale_id"] for item in page["items"]]
            after = page["next"]

        assert found == sorted((str(sale.id) for sale in made), reverse=True)
        assert self.ask(own, "nonsense").status_code == 422


def test_work_counts_a_sale_by_itself(own: Own) -> None:
    drop = make_drop(seller=own.seller)
    buy(drop, make_fan(funds=5_000))
    close_on_time(drop.sale_id)
    sales.settle_to_the_end(drop.sale_id)
    while run_due(now=clock.now() + dt.timedelta(minutes=1)):
        pass

    assert own.growth().buyers == 1
