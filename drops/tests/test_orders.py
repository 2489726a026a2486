"""What becomes of an order: confirmed, given back, run out, refunded."""

from __future__ import annotations

import datetime as dt
from functools import partial

import pytest

from drops import rules, services, settlement
from drops.errors import CannotCancel, OrderNotFound, OrderNotHeld
from drops.models import Bucket, FanLimit, Order
from ledger.rules import Balance
from sales.models import StuckRow
from tests.tools.race import outcomes
from tests.tools.shop import NOW, Process, purchase, wallet
from tests.tools.truth import picture

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def fan(make_fan):
    return make_fan(funds=5_000)


@pytest.fixture
def drop(make_drop):
    return make_drop(units_total=3, limit_per_fan=3, hold_s=60, cancel_s=120)


@pytest.fixture
def held(drop, fan, buy):
    return buy(drop, fan, 2, hold=True)


@pytest.fixture
def paid(drop, fan, buy):
    return buy(drop, fan, 2)


def confirm(order, at=NOW, fan=None):
    return services.confirm_order(drop_id=order.drop_id, order_id=order.id, fan_id=fan or order.fan_id, now=at)


def cancel(order, at=NOW, fan=None):
    return services.cancel_order(drop_id=order.drop_id, order_id=order.id, fan_id=fan or order.fan_id, now=at)


def refund(order, at=NOW):
    return services.refund_order(drop_id=order.drop_id, order_id=order.id, now=at)


def expire(order, at):
    return settlement.expire_holds(drop_id=order.drop_id, now=at)


def units_left() -> int:
    return Bucket.objects.get().units_left


def test_a_hold_keeps_units_and_money(held, fan):
    assert (held.state, held.expires_at) == ("held", NOW + 60 * SECOND)
    assert (units_left(), FanLimit.objects.get().units, wallet(fan)) == (1, 2, Balance(3_000, 2_000))


def test_a_confirmed_hold_is_paid_once(held, fan):
    first, repeat = confirm(held), confirm(held, at=NOW + SECOND)

    assert first == repeat
    assert (first.state, units_left(), wallet(fan)) == ("paid", 1, Balance(3_000, 0))


def test_a_hold_is_given_back_whole(held, fan):
    assert cancel(held).state == "cancelled"
    assert cancel(held).state == "cancelled"
    assert (units_left(), FanLimit.objects.get().units, wallet(fan)) == (3, 0, Balance(5_000, 0))


def test_a_hold_ends_at_its_second_and_not_before(held, fan):
    before = picture(held.drop_id)

    expire(held, NOW + 59 * SECOND)
    assert picture(held.drop_id) == before
    expire(held, NOW + 60 * SECOND)
    expire(held, NOW + 61 * SECOND)

    assert Order.objects.get().state == "expired"
    assert (units_left(), FanLimit.objects.get().units, wallet(fan)) == (3, 0, Balance(5_000, 0))


def test_a_hold_cannot_be_confirmed_after_its_time_even_if_nobody_looked(held, fan):
    before = picture(held.drop_id)

    with pytest.raises(OrderNotHeld):
        confirm(held, at=NOW + 60 * SECOND)

    assert picture(held.drop_id) == before


def test_a_purchase_is_given_back_in_time(paid, fan):
    assert cancel(paid, at=NOW + 119 * SECOND).state == "refunded"
    assert cancel(paid, at=NOW + 999 * SECOND).state == "refunded"  # a repeat, however late
    assert (units_left(), FanLimit.objects.get().units, wallet(fan)) == (3, 0, Balance(5_000, 0))


def test_a_purchase_is_kept_after_that(paid, fan):
    before = picture(paid.drop_id)

    with pytest.raises(CannotCancel):
        cancel(paid, at=NOW + 120 * SECOND)

    assert picture(paid.drop_id) == before


def test_a_seller_can_give_a_purchase_back_later_too(paid, fan):
    assert refund(paid, at=NOW + 999 * SECOND).state == "refunded"
    assert refund(paid, at=NOW + 999 * SECOND).state == "refunded"
    assert wallet(fan) == Balance(5_000, 0)


def test_a_confirmed_hold_is_refunded_like_a_purchase(held, fan):
    confirm(held)

    assert refund(held).state == "refunded"
    assert wallet(fan) == Balance(5_000, 0)


def test_confirmed_and_refunded_in_one_batch(held, drop, fan):
    confirmed, refunded = Process(drop).do_batch(rules.ConfirmOrder(held.id, fan, NOW), rules.RefundOrder(held.id, NOW))

    assert (confirmed.state, refunded.state) == ("paid", "refunded")
    assert (units_left(), wallet(fan)) == (3, Balance(5_000, 0))


def test_held_and_given_back_in_one_batch(drop, fan):
    request = purchase(fan, hold=True)

    _, given_back = Process(drop).do_batch(request, rules.CancelOrder(request.order_id, fan, NOW))

    assert given_back.state == "cancelled"
    assert (units_left(), wallet(fan)) == (3, Balance(5_000, 0))


@pytest.mark.parametrize("act", [confirm, cancel])
def test_somebody_elses_order_is_missing(held, make_fan, act):
    before = picture(held.drop_id)

    with pytest.raises(OrderNotFound):
        act(held, fan=make_fan())

    assert picture(held.drop_id) == before


def test_an_order_of_another_drop_is_missing(held, make_drop):
    other = make_drop(hold_s=60)

    with pytest.raises(OrderNotFound):
        services.confirm_order(drop_id=other.sale_id, order_id=held.id, fan_id=held.fan_id, now=NOW)


def test_everything_at_once_to_one_hold_ends_it_once(held, drop, fan, race):
    later = NOW + 60 * SECOND
    results = race(
        partial(Process(drop).do, rules.ConfirmOrder(held.id, fan, NOW)),
        partial(Process(drop).do, rules.CancelOrder(held.id, fan, NOW)),
        partial(expire, held, later),
        partial(Process(drop).do, rules.ExpireHold(held.id, later)),
        partial(Process(drop).do, rules.RefundOrder(held.id, NOW)),
    )

    assert set(outcomes(results)) <= {"ok", "not_held", "cannot_cancel"}
    state = Order.objects.get().state
    assert state in ("refunded", "cancelled", "expired")  # paid is not an end: the seller's refund then follows
    assert (units_left(), wallet(fan)) == (3, Balance(5_000, 0))


def test_many_holds_run_out_in_chunks(make_drop, make_fans, buy, monkeypatch):
    monkeypatch.setattr(settlement, "GIVE_BACK_CHUNK_ORDERS", 2)
    drop = make_drop(units_total=5, hold_s=60)
    for holder in make_fans(5, funds=1_000):
        buy(drop, holder, hold=True)
    now = NOW + 60 * SECOND

    steps = [settlement.expire_holds(drop_id=drop.sale_id, now=now) for _ in range(3)]

    assert steps == [now, now, now + 60 * SECOND]
    assert units_left() == 5


def test_a_hold_that_cannot_be_given_back_stands_aside_and_the_others_end(make_drop, make_fans, buy, monkeypatch):
    drop = make_drop(units_total=5, hold_s=60)
    holds = [buy(drop, holder, hold=True) for holder in make_fans(4, funds=1_000)]
    give_back = rules.ledger_rules.expire

    def fail_for_the_second(pending, *, at):
        if pending.id == holds[1].transfer_id:
            raise ValueError("it cannot be done")
        return give_back(pending, at=at)

    monkeypatch.setattr(rules.ledger_rules, "expire", fail_for_the_second)

    now = NOW + 60 * SECOND
    while settlement.expire_holds(drop_id=drop.sale_id, now=now) == now:
        pass

    states = dict(Order.objects.values_list("id", "state"))
    assert [states[hold.id] for hold in holds] == ["expired", "held", "expired", "expired"]
    assert StuckRow.objects.get().row_id == holds[1].id
