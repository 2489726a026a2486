"""A sale's life as due work moves it, second by second; tests stand at each second by passing `now`."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

import pytest

from core import due_work
from core.errors import Invalid, NotFound
from core.models import DueWork
from drops import services as drops
from drops.models import Bucket, Order, Settlement
from drops.settlement import DropRules
from ledger import selectors as ledger
from ledger.models import HOUSE, Account, AccountKind
from ledger.rules import Balance
from sales import selectors
from sales import services as sales
from sales.errors import NotEditable, NotOpen, WrongState
from sales.models import Sale
from tests.tools.shop import NOW, drop_terms, wallet
from tests.tools.truth import broken_checks, picture

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = dt.timedelta(seconds=1)
OPENS_AT = NOW + 10 * SECOND
CLOSES_AT = NOW + 100 * SECOND


@pytest.fixture
def seller(make_seller):
    return make_seller(fee_bps=1_000)


@pytest.fixture
def draft(seller):
    return drops.draft_drop(**drop_terms(seller=seller, opens_at=OPENS_AT, closes_at=CLOSES_AT, units_total=5))


@pytest.fixture
def upcoming(make_drop, seller):
    return make_drop(seller=seller, opens_at=OPENS_AT, closes_at=CLOSES_AT, units_total=5, hold_s=30, cancel_s=30)


def run_at(now: dt.datetime) -> None:
    """All that beat would have done by `now`."""
    while due_work.run_due(now=now):
        pass


def state_of(drop: Any) -> str:
    return Sale.objects.get(id=drop.sale_id).state


def owned(drop: Any) -> dict[str, Any]:
    return {"seller_id": drop.sale.seller_id, "sale_id": drop.sale_id, "now": NOW}


def money_of(kind: AccountKind) -> int:
    (account,) = Account.objects.filter(kind=kind)
    return ledger.balance(account.id).available_minor


# Drafts


def test_a_repeated_draft_is_the_same_draft(seller):
    terms = drop_terms(seller=seller)

    first, again = drops.draft_drop(**terms), drops.draft_drop(**terms)

    assert first.sale_id == again.sale_id
    assert Sale.objects.count() == 1


@pytest.mark.parametrize(
    "terms",
    [
        {"closes_at": NOW - SECOND, "opens_at": NOW - 2 * SECOND},
        {"closes_at": NOW, "opens_at": NOW},
        {"closes_at": NOW + dt.timedelta(days=93)},
        {"units_total": 0},
        {"units_total": 10_000_001},
        {"price_minor": 0},
        {"price_minor": -1},
        {"price_minor": 10**15},
        {"limit_per_fan": 0},
        {"limit_per_fan": 1_001},
        {"hold_s": -1},
        {"hold_s": 3_601},
        {"cancel_s": 86_401},
    ],
)
def test_a_draft_that_promises_nonsense_is_refused(seller, terms):
    with pytest.raises(Invalid):
        drops.draft_drop(**drop_terms(seller=seller, **terms))
    assert Sale.objects.count() == 0


def test_another_sellers_sale_is_missing(draft, make_seller):
    stranger = {"seller_id": make_seller().id, "sale_id": draft.sale_id, "now": NOW}

    for service in (sales.publish_sale, sales.close_sale_early, sales.cancel_sale):
        with pytest.raises(NotFound):
            service(**stranger)
    assert state_of(draft) == "draft"


def test_a_draft_is_published_once(draft):
    first, again = sales.publish_sale(**owned(draft)), sales.publish_sale(**owned(draft))

    assert (first.state, again.state, again.terms_version) == ("scheduled", "scheduled", 1)
    assert Bucket.objects.count() == 1


def test_a_draft_whose_time_has_passed_cannot_be_published(draft):
    with pytest.raises(Invalid):
        sales.publish_sale(**(owned(draft) | {"now": CLOSES_AT}))
    assert state_of(draft) == "draft"


def test_a_draft_cannot_be_closed(draft):
    with pytest.raises(WrongState):
        sales.close_sale_early(**owned(draft))


def test_a_draft_that_was_called_off_stays_unseen(draft):
    sales.cancel_sale(**owned(draft))

    assert state_of(draft) == "cancelled"
    with pytest.raises(NotFound):
        selectors.get_public_sale(draft.sale_id)
    with pytest.raises(NotEditable):
        sales.publish_sale(**owned(draft))


# By the clock


def test_a_sale_is_announced_closed_and_settled_at_its_seconds(upcoming):
    seen = {}
    for second in (9, 10, 99, 100, 101, 102, 103):
        run_at(NOW + second * SECOND)
        seen[second] = state_of(upcoming)

    # Closing waits for the purchases that were received in time and are still being committed.
    assert seen == {
        9: "scheduled", 10: "live", 99: "live", 100: "live", 101: "live", 102: "settled", 103: "settled",
    }  # fmt: skip
    assert DueWork.objects.filter(done_at=None).count() == 0
    sale = Sale.objects.get()
    assert (sale.closed_at, sale.settled_at) == (NOW + 102 * SECOND, NOW + 102 * SECOND)


def test_a_sale_opens_to_the_second_whether_or_not_anybody_announced_it(upcoming, make_fan, buy):
    fan = make_fan(funds=5_000)

    with pytest.raises(NotOpen):
        buy(upcoming, fan, at=OPENS_AT - dt.timedelta(microseconds=1))
    assert buy(upcoming, fan, at=OPENS_AT).state == "paid"
    assert buy(upcoming, fan, at=CLOSES_AT - dt.timedelta(microseconds=1)).state == "paid"
    with pytest.raises(NotOpen):
        buy(upcoming, fan, at=CLOSES_AT)
    assert state_of(upcoming) == "scheduled"


def test_a_purchase_received_in_time_may_be_committed_during_the_grace(upcoming, make_fan, buy):
    run_at(CLOSES_AT + SECOND)
    assert buy(upcoming, make_fan(funds=5_000), at=CLOSES_AT - SECOND).state == "paid"

    run_at(CLOSES_AT + 2 * SECOND)
    with pytest.raises(NotOpen):
        buy(upcoming, make_fan(funds=5_000), at=CLOSES_AT - SECOND)
    assert state_of(upcoming) == "settled"


def test_closing_too_early_changes_nothing(upcoming):
    before = picture(upcoming.sale_id)

    sales.close_sale(sale_id=upcoming.sale_id, now=CLOSES_AT + SECOND)
    sales.announce_sale(sale_id=upcoming.sale_id, now=OPENS_AT - SECOND)

    assert picture(upcoming.sale_id) == before


def test_a_late_worker_catches_up(upcoming, make_fan, buy):
    buy(upcoming, make_fan(funds=5_000), at=OPENS_AT)

    run_at(CLOSES_AT + dt.timedelta(hours=9))

    assert state_of(upcoming) == "settled"


def test_holds_run_out_by_themselves(upcoming, make_fan, buy):
    buy(upcoming, make_fan(funds=5_000), hold=True, at=OPENS_AT)

    run_at(OPENS_AT + 29 * SECOND)
    assert Order.objects.get().state == "held"
    run_at(OPENS_AT + 30 * SECOND)
    assert Order.objects.get().state == "expired"


# Settling


def sell(drop: Any, fans: list[Any], buy: Any) -> None:
    for fan in fans:
        buy(drop, fan, at=OPENS_AT)


def test_the_seller_gets_what_was_paid_less_the_fee(upcoming, make_fans, buy):
    sell(upcoming, make_fans(3, funds=1_000), buy)

    run_at(CLOSES_AT + 2 * SECOND)

    assert set(Order.objects.values_list("state", flat=True)) == {"settled"}
    assert (money_of(AccountKind.PROCEEDS), money_of(AccountKind.FEES), money_of(AccountKind.ESCROW)) == (2_700, 300, 0)
    settlement = Settlement.objects.get()
    assert (settlement.orders, settlement.gross_minor, settlement.fee_minor) == (3, 3_000, 300)


@pytest.mark.parametrize("chunk", [1, 2, 3, 5])
def test_the_fee_does_not_depend_on_the_chunks(make_drop, make_seller, make_fans, buy, monkeypatch, chunk):
    monkeypatch.setattr(DropRules, "settle_chunk", chunk)
    drop = make_drop(seller=make_seller(fee_bps=333), units_total=5, price_minor=199)
    sell(drop, make_fans(5, funds=1_000), partial(_buy_at_now, buy))

    run_at(NOW + dt.timedelta(hours=2))

    assert money_of(AccountKind.FEES) == 5 * (199 * 333 // 10_000)
    assert money_of(AccountKind.PROCEEDS) == 5 * (199 - 199 * 333 // 10_000)
    assert Settlement.objects.count() == -(-5 // chunk)


def _buy_at_now(buy: Any, drop: Any, fan: Any, **_: Any) -> None:
    buy(drop, fan)


def test_settling_can_be_stopped_after_each_chunk(make_drop, seller, make_fans, buy, monkeypatch):
    monkeypatch.setattr(DropRules, "settle_chunk", 2)
    drop = make_drop(seller=seller, units_total=5)
    sell(drop, make_fans(5, funds=1_000), partial(_buy_at_now, buy))
    sales.close_sale_early(**owned(drop))

    states, steps = [], []
    while True:
        next_at = sales.settle_step(sale_id=drop.sale_id, now=NOW)
        # Here the worker may be killed: all that there is holds, and the next one goes on.
        assert broken_checks() == []
        states.append(state_of(drop))
        steps.append(Order.objects.filter(state="settled").count())
        if next_at is None:
            break

    assert states == ["settling", "settling", "settling", "settled"]
    assert steps == [2, 4, 5, 5]
    assert (money_of(AccountKind.PROCEEDS), money_of(AccountKind.FEES), money_of(AccountKind.ESCROW)) == (4_500, 500, 0)
    assert sales.settle_step(sale_id=drop.sale_id, now=NOW) is None  # a repeat


def test_many_workers_settling_one_sale_pay_once(make_drop, seller, make_fans, buy, race, monkeypatch):
    monkeypatch.setattr(DropRules, "settle_chunk", 2)
    drop = make_drop(seller=seller, units_total=10)
    sell(drop, make_fans(10, funds=1_000), partial(_buy_at_now, buy))
    sales.close_sale_early(**owned(drop))

    def settle() -> None:
        while sales.settle_step(sale_id=drop.sale_id, now=NOW):
            pass

    assert race(*[settle] * 4) == [None] * 4
    assert state_of(drop) == "settled"
    assert (money_of(AccountKind.PROCEEDS), money_of(AccountKind.FEES)) == (9_000, 1_000)


def test_an_early_close_lets_open_holds_be_confirmed_until_their_time(upcoming, make_fans, buy):
    one, two = make_fans(2, funds=1_000)
    confirmed = buy(upcoming, one, hold=True, at=OPENS_AT)
    buy(upcoming, two, hold=True, at=OPENS_AT)
    sales.close_sale_early(**(owned(upcoming) | {"now": OPENS_AT + SECOND}))
    run_at(OPENS_AT + SECOND)
    assert state_of(upcoming) == "settling"

    drops.confirm_order(drop_id=upcoming.sale_id, order_id=confirmed.id, fan_id=one, now=OPENS_AT + 2 * SECOND)
    run_at(OPENS_AT + 29 * SECOND)
    assert state_of(upcoming) == "settling"
    run_at(OPENS_AT + 30 * SECOND)

    assert state_of(upcoming) == "settled"
    assert sorted(Order.objects.values_list("state", flat=True)) == ["expired", "settled"]
    assert (wallet(one), wallet(two)) == (Balance(0, 0), Balance(1_000, 0))


def test_a_sale_nobody_bought_from_is_settled_with_nothing(upcoming):
    run_at(CLOSES_AT + 2 * SECOND)

    assert state_of(upcoming) == "settled"
    assert Settlement.objects.count() == 0


def test_a_settled_order_cannot_be_given_back_by_its_fan(upcoming, make_fan, buy):
    fan = make_fan(funds=1_000)
    order = buy(upcoming, fan, at=OPENS_AT)
    run_at(CLOSES_AT + 2 * SECOND)

    with pytest.raises(drops.rules.CannotCancel):
        drops.cancel_order(drop_id=upcoming.sale_id, order_id=order.id, fan_id=fan, now=OPENS_AT + SECOND)
    assert Order.objects.get().state == "settled"


# Calling off


def test_calling_off_gives_everybody_everything_back(make_drop, seller, make_fans, buy, monkeypatch):
    monkeypatch.setattr(DropRules, "unwind_chunk", 2)
    drop = make_drop(seller=seller, units_total=5, limit_per_fan=1, hold_s=60)
    fans = make_fans(5, funds=1_000)
    for number, fan in enumerate(fans):
        buy(drop, fan, hold=number % 2 == 0)

    sales.cancel_sale(**owned(drop))
    with pytest.raises(NotOpen):
        buy(drop, fans[0])
    run_at(NOW)

    assert [wallet(fan) for fan in fans] == [Balance(1_000, 0)] * 5
    assert Bucket.objects.get().units_left == 5
    assert sorted(Order.objects.values_list("state", flat=True)) == ["cancelled"] * 3 + ["refunded"] * 2
    assert sales.cancel_sale(**owned(drop)).state == "cancelled"  # a repeat
    assert DueWork.objects.get(kind=sales.UNWIND).done_at == NOW


def test_a_sale_that_was_called_off_neither_closes_nor_settles(upcoming):
    sales.cancel_sale(**owned(upcoming))

    run_at(CLOSES_AT + dt.timedelta(hours=1))

    assert state_of(upcoming) == "cancelled"
    with pytest.raises(WrongState):
        sales.close_sale_early(**owned(upcoming))


@pytest.mark.parametrize("moment", ["closed", "settled"])
def test_a_sale_that_has_ended_cannot_be_called_off(upcoming, moment):
    sales.close_sale_early(**owned(upcoming))
    if moment == "settled":
        run_at(NOW)
    before = picture(upcoming.sale_id)

    with pytest.raises(WrongState):
        sales.cancel_sale(**owned(upcoming))
    assert picture(upcoming.sale_id) == before
    assert sales.close_sale_early(**owned(upcoming)).state == moment  # a repeat of what did happen


def test_the_houses_account_is_shared_by_all_sellers(make_drop, make_seller):
    make_drop(seller=make_seller())
    make_drop(seller=make_seller())

    assert Account.objects.filter(kind=AccountKind.FEES).count() == 1
    assert Account.objects.get(kind=AccountKind.FEES).owner_id == HOUSE
