"""Claims on the real database: the price of the moment, the last unit, what everybody pays, and staff calling it off."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts.models import User
from auctions.dutch import services
from auctions.dutch.settlement import DutchRules
from auctions.errors import OwnLot, PriceNotReached, Sold, Suspended
from auctions.models import Claim
from core.errors import Refusal
from core.models import DueWork
from ledger import selectors as ledger
from ledger.errors import InsufficientFunds
from ledger.models import HOUSE, AccountKey, AccountKind
from sales import levers
from sales import services as sales
from sales.errors import IdempotencyConflict, NotOpen, WrongState
from sales.models import Sale
from sales.selectors import get_public_sale
from tests.tools import shop
from tests.tools.shop import (
    NOW,
    ClaimProcess,
    claim_request,
    close_on_time,
    make_dutch,
    make_fan,
    make_fans,
    settle_one,
    wallet,
)
from tests.tools.truth import broken_checks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]

SECOND = dt.timedelta(seconds=1)
MINUTE = 60 * SECOND


@pytest.fixture
def fans() -> list[UUID]:
    return make_fans(3, funds=50_000)


def money(fan_id: UUID) -> tuple[int, int]:
    balance = wallet(fan_id)
    return balance.available_minor, balance.held_minor


def end(sale: Any) -> Sale:
    now = close_on_time(sale.sale_id)
    while sales.settle_step(sale_id=sale.sale_id, now=now):
        pass
    assert broken_checks(sale.sale_id) == []
    return Sale.objects.select_related("seller").get(id=sale.sale_id)


def in_account(key: AccountKey) -> int:
    found = ledger.account_ids([key])
    return ledger.balance(found[key]).available_minor if found else 0


def at_price(minor: int) -> dt.datetime:
    """When a unit of `make_dutch` first costs this: it opened a minute before NOW at 100.00, and falls by 5.00 a minute."""
    return NOW - MINUTE + MINUTE * ((10_000 - minor) // 500)


def test_a_claim_has_the_price_of_the_moment_and_a_better_one_than_asked_for(fans):
    process = ClaimProcess(make_dutch())

    claim = process.do(claim_request(fans[0], 10_000, at=at_price(8_000) + 59 * SECOND))

    assert claim.unit_price_minor == 8_000
    assert money(fans[0]) == (50_000 - 9_000, 9_000)
    with pytest.raises(PriceNotReached) as refused:
        process.do(claim_request(fans[1], 7_499, at=at_price(7_500)))
    assert refused.value.data["price_minor"] == 7_500
    assert refused.value.data["reaches_at"] == at_price(7_000).isoformat()


def test_each_pays_their_own_price(fans):
    seller = shop.make_seller(fee_bps=1_000)
    sale = make_dutch(seller=seller)
    for fan, minor in zip(fans, (9_000, 8_000, 7_500), strict=True):
        ClaimProcess(sale).do(claim_request(fan, minor, at=at_price(minor)))

    end(sale)

    assert [money(fan) for fan in fans] == [(50_000 - 10_125, 0), (50_000 - 9_000, 0), (50_000 - 8_437, 0)]
    assert in_account(AccountKey(seller.id, AccountKind.PROCEEDS, "EUR")) == 24_500 - 2_450
    assert in_account(AccountKey(HOUSE, AccountKind.FEES, "EUR")) == 2_450 + 1_125 + 1_000 + 937


def test_all_pay_the_last_price_that_was_claimed(fans):
    sale = make_dutch(pays="last", premium_bps=0)
    for fan, minor in zip(fans, (9_000, 8_000, 7_500), strict=True):
        ClaimProcess(sale).do(claim_request(fan, minor, at=at_price(minor)))
    assert [money(fan)[1] for fan in fans] == [9_000, 8_000, 7_500]

    end(sale)

    assert [money(fan) for fan in fans] == [(50_000 - 7_500, 0)] * 3


def test_the_last_unit_ends_it_at_once(fans):
    sale = make_dutch(units_total=1)
    process, at = ClaimProcess(sale), at_price(9_000)
    process.do(claim_request(fans[0], 9_000, at=at))

    with pytest.raises(Sold):
        process.do(claim_request(fans[1], 9_000, at=at + SECOND))
    assert DutchRules().ends_at(sale.sale) == at
    due = DueWork.objects.get(kind=sales.CLOSE, subject_id=sale.sale_id)
    assert due.due_at != sale.sale.closes_at + sales.CLOSE_GRACE
    assert end(sale).state == "settled"


def test_of_two_processes_that_claim_the_last_unit_one_has_it(fans, race):
    sale = make_dutch(units_total=1)
    one, two = (ClaimProcess(sale, home=home) for home in (0, 1))

    results = race(lambda: one.do(claim_request(fans[0])), lambda: two.do(claim_request(fans[1])))

    assert sorted(getattr(result, "code", None) or result.state for result in results) == ["held", "sold"]
    assert broken_checks(sale.sale_id) == []


def test_in_a_batch_the_earlier_is_served_first(fans):
    sale = make_dutch(units_total=1)

    late, early = ClaimProcess(sale).do_batch(claim_request(fans[0], at=NOW + SECOND), claim_request(fans[1], at=NOW))

    assert (getattr(late, "code", None), early.state) == ("sold", "held")


def test_a_repeat_is_the_same_claim_and_another_with_its_key_a_conflict(fans):
    process, key = ClaimProcess(make_dutch()), uuid4()
    first, again = process.do_batch(claim_request(fans[0], key=key), claim_request(fans[0], key=key))

    assert first == again == process.do(claim_request(fans[0], key=key))
    with pytest.raises(IdempotencyConflict):
        process.do(claim_request(fans[0], 9_999, key=key))
    assert Claim.objects.count() == 1


def test_who_may_not_claim():
    owner, poor, banned = make_fan(funds=50_000), make_fan(funds=100), make_fan(funds=50_000)
    process = ClaimProcess(make_dutch(seller=shop.make_seller(owner_id=owner)))
    User.objects.filter(id=banned).update(is_active=False)

    for fan, why in ((owner, OwnLot), (poor, InsufficientFunds), (banned, Suspended)):
        with pytest.raises(why):
            process.do(claim_request(fan))
    assert not Claim.objects.exists()


def test_a_pause_moves_the_price_and_the_end(fans):
    sale = make_dutch()
    process = ClaimProcess(sale)
    shop.pause(sale.sale_id, 600, at=NOW)

    claim = process.do(claim_request(fans[0], at=at_price(9_000) + 600 * SECOND))

    assert (claim.unit_price_minor, claim.frozen_ms) == (9_000, 600_000)
    assert DutchRules().ends_at(get_public_sale(sale.sale_id)) == sale.sale.closes_at + 600 * SECOND
    with pytest.raises(NotOpen):
        process.do(claim_request(fans[1], at=sale.sale.closes_at + 600 * SECOND))
    end(sale)


def test_once_somebody_has_claimed_its_seller_can_neither_close_it_nor_call_it_off(fans):
    sale = make_dutch()
    ClaimProcess(sale).do(claim_request(fans[0]))

    for act in (sales.close_sale_early, sales.cancel_sale):
        with pytest.raises(WrongState):
            act(seller_id=sale.sale.seller_id, sale_id=sale.sale_id, now=NOW)


@pytest.mark.parametrize("is_settled_in_part", [False, True])
def test_staff_call_it_off_and_everybody_has_the_money_back(fans, is_settled_in_part):
    sale = make_dutch(pays="last")
    for fan in fans:
        ClaimProcess(sale).do(claim_request(fan))
    now = close_on_time(sale.sale_id)
    if is_settled_in_part:
        settle_one(sale.sale_id)
    levers.void_sale(sale_id=sale.sale_id, staff_id=make_fan(), reason="A doubt", now=now + SECOND)
    while sales.unwind_step(sale_id=sale.sale_id, now=now + 2 * SECOND):
        pass
    DueWork.objects.filter(kind=sales.UNWIND).update(done_at=now)

    assert [money(fan) for fan in fans] == [(50_000, 0)] * 3
    assert broken_checks(sale.sale_id) == []


def test_a_draft_that_makes_no_falling_price_is_refused():
    for wrong, field in (
        ({"floor_minor": 10_000}, "floor_minor"),
        ({"step_minor": 0}, "step_minor"),
        ({"interval_s": 0}, "interval_s"),
        ({"units_total": 0}, "units_total"),
        ({"pays": "none"}, "pays"),
        ({"start_minor": 10**12, "units_total": 100}, "start_minor"),
    ):
        with pytest.raises(Refusal) as refused:
            services.draft_dutch(**shop.dutch_terms(**wrong))
        assert refused.value.data.get("field") == field, wrong
