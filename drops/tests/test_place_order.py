"""Buying and holding through the service, on a real database, by one and by many."""

from __future__ import annotations

import datetime as dt
from functools import partial

import pytest

from core.errors import NotFound
from core.ids import uuid7
from drops import services
from drops.errors import HoldNotOffered, LimitReached, SoldOut
from drops.models import Bucket, FanLimit, Order
from ledger.errors import InsufficientFunds
from ledger.models import Transfer
from ledger.rules import Balance
from sales.errors import IdempotencyConflict, NotOpen
from tests.tools.race import outcomes
from tests.tools.shop import NOW, Process, purchase, wallet
from tests.tools.truth import picture

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_purchase_takes_units_and_money(make_drop, make_fan, buy):
    drop, fan = make_drop(units_total=3, limit_per_fan=2), make_fan(funds=5_000)

    order = buy(drop, fan, 2)

    stored = Order.objects.get()
    assert (stored.id, stored.quantity, stored.state, stored.total_minor) == (order.id, 2, "paid", 2_000)
    assert stored.terms_sha256 == drop.sale.terms_sha256
    assert Bucket.objects.get().units_left == 1
    assert FanLimit.objects.get().units == 2
    assert wallet(fan) == Balance(3_000, 0)
    paid = Transfer.objects.get(id=order.transfer_id)
    assert (paid.code, paid.amount_minor, paid.subject_id) == ("purchase", 2_000, order.id)


def test_ten_processes_racing_for_three_units_sell_three(make_drop, make_fans, race):
    drop = make_drop(units_total=3)
    requests = [purchase(fan) for fan in make_fans(10, funds=1_000)]

    results = race(*[partial(Process(drop, home=n).do, request) for n, request in enumerate(requests)])

    assert outcomes(results) == {"ok": 3, "sold_out": 7}
    assert Bucket.objects.get(drop=drop).units_left == 0
    assert sorted(wallet(request.fan_id).available_minor for request in requests) == [0] * 3 + [1_000] * 7


def test_eight_processes_empty_a_drop_of_many_buckets_to_the_last_unit(make_drop, make_fans, race):
    drop = make_drop(units_total=200)  # four buckets
    fans = make_fans(8, funds=1_000_000)

    def buy_until_sold_out(number: int) -> int:
        process, bought = Process(drop, home=number), 0
        while True:
            try:
                process.do(purchase(fans[number], 5))
            except SoldOut:
                return bought
            bought += 5

    bought = race(*[partial(buy_until_sold_out, number) for number in range(8)])

    assert sum(bought) == 200
    assert sum(Bucket.objects.values_list("units_left", flat=True)) == 0


def test_a_crowd_through_one_lane_sells_out_exactly(make_drop, make_fans, race, buy):
    drop = make_drop(units_total=50)
    fans = make_fans(120, funds=1_000)
    chunks = [fans[start::10] for start in range(10)]

    def buy_all(chunk):
        return [_outcome(partial(buy, drop, fan)) for fan in chunk]

    results = [outcome for chunk in race(*[partial(buy_all, chunk) for chunk in chunks]) for outcome in chunk]

    assert sorted(results) == ["ok"] * 50 + ["sold_out"] * 70


def _outcome(call) -> str:
    try:
        call()
    except SoldOut as refusal:
        return refusal.code
    return "ok"


def test_a_double_tap_makes_one_order(make_drop, make_fan, race):
    drop, fan, key = make_drop(), make_fan(funds=9_000), uuid7()

    results = race(*[partial(Process(drop, home=n).do, purchase(fan, key=key)) for n in range(6)])

    assert len({order.id for order in results}) == 1
    assert Order.objects.count() == 1
    assert wallet(fan) == Balance(8_000, 0)


def test_a_limited_fan_with_many_tabs_keeps_to_the_limit(make_drop, make_fan, race):
    drop, fan = make_drop(units_total=300, limit_per_fan=2), make_fan(funds=99_000)

    results = race(*[partial(Process(drop, home=n).do, purchase(fan)) for n in range(8)])

    assert outcomes(results) == {"ok": 2, "limit_reached": 6}
    assert FanLimit.objects.get().units == 2


def test_a_wallet_pays_for_what_it_can_pay(make_drop, make_fan, race):
    drop, fan = make_drop(units_total=300), make_fan(funds=3_500)

    results = race(*[partial(Process(drop, home=n).do, purchase(fan)) for n in range(8)])

    assert outcomes(results) == {"ok": 3, "insufficient_funds": 5}
    assert wallet(fan) == Balance(500, 0)


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        ({"quantity": 4}, SoldOut),
        ({"quantity": 3}, LimitReached),
        ({"quantity": 2}, InsufficientFunds),
        ({"at": NOW - dt.timedelta(minutes=2)}, NotOpen),
        ({"at": NOW + dt.timedelta(hours=1)}, NotOpen),
        ({"hold": True}, HoldNotOffered),
    ],
)
def test_a_refusal_moves_nothing(make_drop, make_fan, buy, request_, refusal):
    drop, fan = make_drop(units_total=3, limit_per_fan=2), make_fan(funds=1_500)
    before = picture(drop.sale_id)

    with pytest.raises(refusal):
        buy(drop, fan, **request_)

    assert picture(drop.sale_id) == before


def test_a_key_is_for_one_request(make_drop, make_fan, buy):
    drop, other, fan, key = make_drop(), make_drop(), make_fan(funds=9_000), uuid7()
    first = buy(drop, fan, key=key)
    before = picture(drop.sale_id)

    assert buy(drop, fan, key=key, at=NOW + dt.timedelta(hours=9)) == first  # a repeat is answered even after the close
    with pytest.raises(IdempotencyConflict):
        buy(drop, fan, 2, key=key)
    with pytest.raises(IdempotencyConflict):
        buy(other, fan, key=key)
    assert picture(drop.sale_id) == before


def test_a_drop_that_is_not_published_sells_nothing(make_fan):
    with pytest.raises(NotFound):
        services.place_order(uuid7(), purchase(make_fan(funds=1_000)))


def test_what_one_gives_back_the_next_in_the_batch_may_buy(make_drop, make_fans):
    drop = make_drop(units_total=1, cancel_s=60)
    one, two = make_fans(2, funds=1_000)
    order = Process(drop).do(purchase(one))

    given_back, bought = Process(drop).do_batch(services.rules.CancelOrder(order.id, one, NOW), purchase(two))

    assert (given_back.state, bought.state) == ("refunded", "paid")
    assert (wallet(one), wallet(two)) == (Balance(1_000, 0), Balance(0, 0))


def test_a_fan_may_change_their_mind_within_a_batch(make_drop, make_fan):
    drop, fan = make_drop(units_total=1, limit_per_fan=1, cancel_s=60), make_fan(funds=1_000)
    order = Process(drop).do(purchase(fan))

    given_back, bought = Process(drop).do_batch(services.rules.CancelOrder(order.id, fan, NOW), purchase(fan))

    assert (given_back.state, bought.state) == ("refunded", "paid")
    assert wallet(fan) == Balance(0, 0)


def test_a_full_batch_stays_below_dsqls_row_limit(make_drop, make_fans):
    """Strict mode refuses the 3,001st row: an order of a limited drop writes the most."""
    drop = make_drop(units_total=1_000, limit_per_fan=1)
    batch = [purchase(fan) for fan in make_fans(services.OrderLane.batch_max, funds=1_000)]

    outcomes = Process(drop).do_batch(*batch)

    assert {outcome.state for outcome in outcomes} == {"paid"}
