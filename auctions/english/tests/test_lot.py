"""A lot on the real database, from the first bid to who has the money: through the lane, closing, settling, and staff."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from accounts.models import User
from auctions.english import services
from auctions.english.reserve import is_reserve
from auctions.english.settlement import EnglishRules
from auctions.errors import BidNotHigher, BidTooLow, OwnLot, Sold, Suspended
from auctions.models import Bid, Lot, Win
from core.errors import Refusal
from core.models import DueWork
from ledger import selectors as ledger
from ledger.errors import InsufficientFunds
from ledger.models import HOUSE, AccountKey, AccountKind
from sales import frames, levers
from sales import services as sales
from sales.errors import IdempotencyConflict, NotOpen, WrongState
from sales.models import Sale
from sales.proceeds import escrow_of
from sales.selectors import get_public_sale
from tests.tools import shop
from tests.tools.shop import NOW, AuctionProcess, bid_request, close_on_time, make_auction, make_fan, make_fans, wallet
from tests.tools.truth import broken_checks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]

SECOND = dt.timedelta(seconds=1)
MINUTE = 60 * SECOND


@pytest.fixture
def fans() -> list[UUID]:
    return make_fans(3, funds=10_000)


def money(fan_id: UUID) -> tuple[int, int]:
    balance = wallet(fan_id)
    return balance.available_minor, balance.held_minor


def end(auction: Any) -> Sale:
    now = close_on_time(auction.sale_id)
    assert sales.settle_step(sale_id=auction.sale_id, now=now) is None
    assert broken_checks(auction.sale_id) == []
    return Sale.objects.select_related("seller").get(id=auction.sale_id)


def in_account(key: AccountKey) -> int:
    found = ledger.account_ids([key])
    return ledger.balance(found[key]).available_minor if found else 0


# Money


def test_the_worked_example_to_the_cent(fans):
    """Premium 12.5 %, fee 10 %, steps of 1.00: 68.62 captured, 21.38 free, 54.90 for the seller, 13.72 for the house."""
    seller = shop.make_seller(fee_bps=1_000)
    auction = make_auction(seller=seller)
    process, (a, b, _) = AuctionProcess(auction), fans
    process.do(bid_request(a, 4_000))
    assert money(a) == (5_500, 4_500)

    outbid = process.do(bid_request(b, 6_000))
    assert (money(a), money(b), outbid.price_after_minor) == ((10_000, 0), (3_250, 6_750), 4_100)

    again = process.do(bid_request(a, 8_000))
    assert (money(a), money(b), again.price_after_minor) == ((1_000, 9_000), (10_000, 0), 6_100)

    sale = end(auction)
    assert (money(a), money(b)) == ((10_000 - 6_862, 0), (10_000, 0))
    assert in_account(AccountKey(seller.id, AccountKind.PROCEEDS, "EUR")) == 5_490
    assert in_account(AccountKey(HOUSE, AccountKind.FEES, "EUR")) == 1_372
    assert in_account(escrow_of(sale)) == 0


def test_a_raise_needs_the_difference_and_not_the_whole_again(fans):
    process, (a, *_) = AuctionProcess(make_auction()), fans
    process.do(bid_request(a, 4_000))

    assert process.do(bid_request(a, 8_000)).answer == "raised"
    assert money(a) == (1_000, 9_000)
    with pytest.raises(InsufficientFunds):
        process.do(bid_request(a, 9_000))  # 101.25 with the premium
    assert money(a) == (1_000, 9_000)


def test_a_bid_that_could_not_be_paid_drives_no_price(fans):
    auction = make_auction()
    process, (a, b, _) = AuctionProcess(auction), fans
    process.do(bid_request(a, 5_000))

    with pytest.raises(InsufficientFunds):
        process.do(bid_request(b, 9_500))
    assert Lot.objects.get().price_minor == 1_000
    assert broken_checks(auction.sale_id) == []


def test_who_led_only_within_a_batch_has_neither_a_hold_nor_its_release(fans):
    auction = make_auction()
    a, b, c = fans
    outcomes = AuctionProcess(auction).do_batch(
        bid_request(a, 2_000), bid_request(b, 3_000, at=NOW + SECOND), bid_request(c, 4_000, at=NOW + 2 * SECOND)
    )

    assert [bid.transfer_id is not None for bid in outcomes] == [False, False, True]
    assert [money(fan) for fan in fans] == [(10_000, 0), (10_000, 0), (5_500, 4_500)]
    assert broken_checks(auction.sale_id) == []


def test_a_refund_after_settling_is_of_the_price(fans):
    auction = make_auction()
    a, *_ = fans
    AuctionProcess(auction).do(bid_request(a, 2_000))
    sale = end(auction)
    assert money(a) == (10_000 - 1_125, 0)

    shop.refund(sale, Win.objects.get().id, 1_000)

    assert money(a) == (10_000 - 125, 0)
    assert broken_checks(auction.sale_id) == []
    with pytest.raises(Refusal):
        shop.refund(sale, Win.objects.get().id, 1, number=2)


# Who bids, and how often


def test_nobody_of_the_shop_bids_on_its_lot():
    owner = make_fan(funds=10_000)
    auction = make_auction(seller=shop.make_seller(owner_id=owner))

    with pytest.raises(OwnLot):
        AuctionProcess(auction).do(bid_request(owner, 2_000))
    assert not Bid.objects.exists()


def test_a_suspended_fan_does_not_bid(fans):
    User.objects.filter(id=fans[0]).update(is_active=False)

    with pytest.raises(Suspended):
        AuctionProcess(make_auction()).do(bid_request(fans[0], 2_000))


def test_a_repeat_is_answered_with_the_first_bid_also_within_a_batch(fans):
    auction, key = make_auction(), uuid4()
    process, (a, b, _) = AuctionProcess(auction), fans
    one, two = process.do_batch(bid_request(a, 2_000, key=key), bid_request(a, 2_000, key=key))
    process.do(bid_request(b, 3_000))

    assert one == two == process.do(bid_request(a, 2_000, key=key))
    with pytest.raises(IdempotencyConflict):
        process.do(bid_request(a, 4_000, key=key))
    assert Bid.objects.count() == 2


def test_the_next_bid_is_told_and_the_leader_hears_of_the_own_maximum_only(fans):
    process, (a, b, _) = AuctionProcess(make_auction()), fans
    process.do(bid_request(a, 2_000))

    with pytest.raises(BidTooLow) as low:
        process.do(bid_request(b, 1_050))
    assert low.value.data == {"min_next_minor": 1_100, "currency": "EUR"}
    with pytest.raises(BidNotHigher):
        process.do(bid_request(a, 2_000))


# The end


def test_a_late_bid_moves_the_end_and_so_does_a_pause(fans):
    auction = make_auction()
    process, (a, b, _), closes_at = AuctionProcess(auction), fans, auction.sale.closes_at
    process.do(bid_request(a, 2_000, at=closes_at - 10 * SECOND))
    assert EnglishRules().ends_at(auction.sale) == closes_at + 170 * SECOND

    shop.pause(auction.sale_id, 600, at=closes_at)
    sale = get_public_sale(auction.sale_id)
    assert EnglishRules().ends_at(sale) == closes_at + 770 * SECOND
    late = process.do(bid_request(b, 3_000, at=closes_at + 700 * SECOND))

    assert late.frozen_ms == 600_000
    assert EnglishRules().ends_at(sale) == closes_at + 880 * SECOND
    with pytest.raises(NotOpen):
        process.do(bid_request(a, 9_000, at=closes_at + 880 * SECOND))
    assert (
        sales.close_sale(sale_id=sale.id, now=closes_at + 800 * SECOND) == closes_at + 880 * SECOND + sales.CLOSE_GRACE
    )
    assert end(auction).state == "settled"


def test_no_bid_moves_the_end_past_the_last_possible_one(fans):
    auction = make_auction(overtime_s=60)
    process, (a, b, _), closes_at = AuctionProcess(auction), fans, auction.sale.closes_at
    process.do(bid_request(a, 2_000, at=closes_at - SECOND))
    process.do(bid_request(b, 3_000, at=closes_at + 59 * SECOND))

    assert EnglishRules().ends_at(auction.sale) == closes_at + MINUTE


def test_once_somebody_has_bid_its_seller_can_neither_close_it_nor_call_it_off(fans):
    auction = make_auction()
    who = {"seller_id": auction.sale.seller_id, "sale_id": auction.sale_id, "now": NOW}
    AuctionProcess(auction).do(bid_request(fans[0], 2_000))

    for act in (sales.close_sale_early, sales.cancel_sale):
        with pytest.raises(WrongState):
            act(**who)
    assert sales.cancel_sale(**who | {"sale_id": make_auction(seller=auction.sale.seller).sale_id}).state == "cancelled"


def test_buy_now_ends_it_at_once(fans):
    auction = make_auction(buy_now_minor=5_000)
    process, (a, b, _) = AuctionProcess(auction), fans
    process.do(bid_request(a, None, at=NOW + MINUTE))

    with pytest.raises(Sold):
        process.do(bid_request(b, 9_000, at=NOW + 2 * MINUTE))
    assert EnglishRules().ends_at(auction.sale) == NOW + MINUTE
    due = DueWork.objects.get(kind=sales.CLOSE, subject_id=auction.sale_id)
    assert due.due_at != auction.sale.closes_at + sales.CLOSE_GRACE  # but at once, by the database's clock
    assert frames.read_frame(auction.sale_id)["lot"] == "sold"
    assert end(auction).state == "settled"
    assert money(a) == (10_000 - 5_625, 0)


def test_bids_that_meet_no_reserve_sell_nothing_and_then_it_is_shown(fans):
    auction = make_auction(reserve_minor=5_000)
    room, proof = f"/sales/{auction.sale_id}/", f"/proof/{auction.sale_id}/"
    salt = auction.reserve_salt.hex
    AuctionProcess(auction).do(bid_request(fans[0], 4_000))
    frame = frames.read_frame(auction.sale_id)
    assert (frame["reserve"], "5000" in str(frame), "4000" in str(frame)) == ("not_met", False, False)
    for page in (room, proof, f"/api/v1/auctions/{auction.sale_id}/log"):
        html = Client().get(page).content.decode()
        assert salt not in html
        assert "€50.00" not in html
        assert "€40.00" not in html

    sale = end(auction)

    assert money(fans[0]) == (10_000, 0)
    assert not Win.objects.exists()
    sealed = sale.sealed_terms.get().text
    sha256 = next(line.split(": ")[1] for line in sealed.splitlines() if line.startswith("reserve_sha256"))
    assert is_reserve(sha256, sale.id, 5_000, "EUR", auction.reserve_salt.bytes)
    assert "€50.00" in Client().get(room).content.decode()
    html = Client().get(proof).content.decode()
    assert all(shown in html for shown in ("€50.00", salt, sha256))


@pytest.mark.parametrize("is_closed", [False, True])
@pytest.mark.parametrize("is_bought", [False, True])
def test_staff_call_it_off_and_everybody_has_the_money_back(fans, is_closed, is_bought):
    auction = make_auction(buy_now_minor=5_000)
    AuctionProcess(auction).do(bid_request(fans[0], None if is_bought else 4_000))
    now = close_on_time(auction.sale_id) if is_closed else NOW + MINUTE
    levers.void_sale(sale_id=auction.sale_id, staff_id=make_fan(), reason="A doubt", now=now)

    while sales.unwind_step(sale_id=auction.sale_id, now=now + SECOND):
        pass
    DueWork.objects.filter(kind=sales.UNWIND).update(done_at=now)

    assert money(fans[0]) == (10_000, 0)
    assert broken_checks(auction.sale_id) == []


def test_a_draft_that_makes_no_auction_is_refused():
    for wrong, field in (
        ({"steps": "1:100"}, "steps"),
        ({"steps": "0:0"}, "steps"),
        ({"steps": "x"}, "steps"),
        ({"steps": "0:100,0:200"}, "steps"),
        ({"buy_now_minor": 900}, "buy_now_minor"),
        ({"buy_now_minor": 1_500, "reserve_minor": 2_000}, "buy_now_minor"),
        ({"start_minor": 0}, "start_minor"),
        ({"premium_bps": 1}, "premium_bps"),
        ({"window_s": -1}, "window_s"),
    ):
        with pytest.raises(Refusal) as refused:
            services.draft_english(**shop.auction_terms(**wrong))
        assert refused.value.data.get("field") == field, wrong
