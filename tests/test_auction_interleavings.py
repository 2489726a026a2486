"""Every pair of an English auction's commands that can meet on its one row, in every order that two preemptions allow.

As `test_interleavings` does for drops: each pair names the outcomes that some serial order could give, the checks must hold after
each schedule, and a planted bug shows that the search finds what it looks for.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import IntegrityError

from auctions.english import loading, settlement, writing
from auctions.english.settlement import EnglishRules
from auctions.english.state import decide
from auctions.models import Bid, English, Lot
from core.errors import Busy
from core.ids import uuid7
from core.transactions import in_transaction
from dsql import faults
from ledger.rules import Balance
from sales import gates, levers
from sales import services as sales
from sales.models import Sale
from tests.tools import shop
from tests.tools.explorer import Scene, ScheduleFailed, explore
from tests.tools.shop import (
    NOW,
    AuctionProcess,
    Process,
    bid_request,
    make_auction,
    make_fan,
    make_fans,
    purchase,
    wallet,
)
from tests.tools.truth import broken_checks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]

Results = dict[str, Any]


def assert_holds(auction: English) -> None:
    assert broken_checks(auction.sale_id) == []


def void(auction: English, staff_id: Any) -> None:
    levers.void_sale(sale_id=auction.sale_id, staff_id=staff_id, reason="A fraud", now=NOW)
    while sales.unwind_step(sale_id=auction.sale_id, now=NOW):
        pass


def bid_and_close() -> Scene:
    auction, fan = make_auction(), make_fan(funds=10_000)
    end = auction.sale.closes_at

    def check(results: Results) -> None:
        is_closed = results["b"] is None  # or when to look again
        assert is_closed != (Bid.objects.count() == 1), "closed over a bid"
        assert_holds(auction)

    actors = {
        "a": lambda: AuctionProcess(auction).do(bid_request(fan, 2_000, at=end - dt.timedelta(milliseconds=1))),
        "b": lambda: sales.close_sale(sale_id=auction.sale_id, now=end + sales.CLOSE_GRACE),
    }
    return Scene(actors, check)


def two_equal_bids() -> Scene:
    auction = make_auction()
    one, two = make_fans(2, funds=10_000)

    def check(results: Results) -> None:
        lot = Lot.objects.get()
        assert (lot.seq, lot.price_minor) == (2, 5_000), "a bid was lost"
        assert sorted(wallet(fan).held_minor for fan in (one, two)) == [0, 5_625]
        assert wallet(lot.leader_id).held_minor == 5_625
        assert_holds(auction)

    actors = {
        "a": lambda: AuctionProcess(auction, home=0).do(bid_request(one, 5_000)),
        "b": lambda: AuctionProcess(auction, home=1).do(bid_request(two, 5_000)),
    }
    return Scene(actors, check)


def test_a_bid_in_the_last_millisecond_while_the_lot_closes(explored):
    assert explored("bid_close", bid_and_close) == {"a:ok b:ok", "a:not_open b:ok"}


def test_two_equal_maxima(explored):
    assert explored("equal_bids", two_equal_bids) == {"a:ok b:ok"}


def test_being_outbid_while_buying_elsewhere(explored):
    """The money that comes free is there for the drop, or not yet: never twice."""

    def scene() -> Scene:
        seller = shop.make_seller()
        auction, drop = make_auction(seller=seller), shop.make_drop(seller=seller)
        one, two = make_fan(funds=4_500), make_fan(funds=10_000)
        AuctionProcess(auction).do(bid_request(one, 4_000))  # holds all there is

        def check(results: Results) -> None:
            bought = not isinstance(results["b"], Exception)
            assert wallet(one) == Balance(4_500 - shop.PRICE_MINOR * bought, 0)
            assert_holds(auction)
            assert broken_checks(drop.sale_id) == []

        actors = {
            "a": lambda: AuctionProcess(auction, home=1).do(bid_request(two, 6_000)),
            "b": lambda: Process(drop).do(purchase(one)),
        }
        return Scene(actors, check)

    assert explored("outbid_buy", scene) == {"a:ok b:paid", "a:ok b:insufficient_funds"}


def test_the_own_raise_beside_a_rivals_bid(explored):
    def scene() -> Scene:
        auction = make_auction()
        one, two = make_fans(2, funds=10_000)
        AuctionProcess(auction).do(bid_request(one, 4_000))

        def check(results: Results) -> None:
            lot = Lot.objects.get()
            assert (lot.leader_id, lot.price_minor, lot.seq) == (one, 6_100, 3)
            assert (wallet(one), wallet(two)) == (Balance(1_000, 9_000), Balance(10_000, 0))
            assert_holds(auction)

        actors = {
            "a": lambda: AuctionProcess(auction, home=0).do(bid_request(one, 8_000)),
            "b": lambda: AuctionProcess(auction, home=1).do(bid_request(two, 6_000)),
        }
        return Scene(actors, check)

    assert explored("raise_rival", scene) == {"a:ok b:ok"}


def test_buying_now_beside_a_bid(explored):
    """With a bid and no reserve the lot is not offered at once any more."""

    def scene() -> Scene:
        auction = make_auction(buy_now_minor=5_000)
        one, two = make_fans(2, funds=10_000)

        def check(results: Results) -> None:
            lot = Lot.objects.get()
            is_bought = not isinstance(results["a"], Exception)
            assert (lot.state, lot.seq) == ("sold" if is_bought else "open", 1)
            assert_holds(auction)

        actors = {
            "a": lambda: AuctionProcess(auction, home=0).do(bid_request(one, None)),
            "b": lambda: AuctionProcess(auction, home=1).do(bid_request(two, 2_000)),
        }
        return Scene(actors, check)

    assert explored("buy_now_bid", scene) == {"a:ok b:sold", "a:buy_now_not_offered b:ok"}


def bid_and_void() -> Scene:
    auction, fan, staff = make_auction(), make_fan(funds=10_000), make_fan()

    def check(results: Results) -> None:
        assert wallet(fan) == Balance(10_000, 0), "money stayed"

    actors = {"a": lambda: AuctionProcess(auction).do(bid_request(fan, 2_000)), "b": lambda: void(auction, staff)}
    return Scene(actors, check)


def test_a_bid_while_staff_void_the_sale(explored):
    def scene() -> Scene:
        plain = bid_and_void()

        def check(results: Results) -> None:
            plain.check(results)
            assert broken_checks() == []

        return Scene(plain.actors, check)

    assert explored("bid_void", scene) == {"a:ok b:ok", "a:called_off b:ok"}


@pytest.mark.usefixtures("no_pauses")
def test_a_bid_whose_answer_is_lost_is_one_bid():
    auction, fan, key = make_auction(), make_fan(funds=10_000), uuid7()

    with faults.lose_commit_answers(1):
        first = AuctionProcess(auction).do(bid_request(fan, 2_000, key=key))
    again = AuctionProcess(auction).do(bid_request(fan, 2_000, key=key))

    assert again.id == first.id
    assert (Bid.objects.count(), wallet(fan)) == (1, Balance(7_750, 2_250))
    assert_holds(auction)


# Planted bugs. Whatever ends a lot writes its row, so the gates stand behind that; each is taken away where it decides.


@pytest.mark.usefixtures("no_pauses")
def test_a_decision_on_an_old_state_is_refused_by_the_lots_guard():
    """Two that meet on the row are refused by the database; one that reads, waits and writes by the statement's own condition."""
    auction = make_auction()
    one, two = make_fans(2, funds=10_000)
    command = bid_request(one, 2_000)
    terms = in_transaction(lambda: loading.load_terms(auction.sale_id), name="terms", replayable=True)
    old = in_transaction(lambda: loading.load_state(terms, [command]), name="load", replayable=True)
    AuctionProcess(auction).do(bid_request(two, 3_000))

    with pytest.raises((Busy, IntegrityError)):  # and that no two bids of a lot have one number stands behind it
        in_transaction(
            lambda: writing.write_decision(old, decide(old, [command]), gate=0), name="write", replayable=True
        )

    assert (Lot.objects.get().leader_id, Bid.objects.count()) == (two, 1)
    assert_holds(auction)


def test_the_search_finds_a_close_that_does_not_meet_the_bids(monkeypatch):
    monkeypatch.setattr(EnglishRules, "close", lambda self, sale: None)
    with pytest.raises(ScheduleFailed, match="closed over a bid") as failed:
        explore("close_without_lot", bid_and_close)
    assert failed.value.number > 1


def test_the_search_finds_a_void_that_leaves_the_gates_open(monkeypatch):
    """Giving back writes the lot; where it does so only for a lot with bids, the gates are what a bid under way has to meet."""
    give_back = settlement.give_back

    def give_back_what_is_bid(sale: Sale, now: dt.datetime) -> None:
        if Lot.objects.filter(sale_id=sale.id, seq__gt=0).exists():
            give_back(sale, now)

    monkeypatch.setattr(settlement, "give_back", give_back_what_is_bid)
    explore("void_with_gates", bid_and_void)  # the gates alone are enough
    monkeypatch.setattr(gates, "meet_purchases", lambda sale_id: None)
    with pytest.raises(ScheduleFailed, match="money stayed") as failed:
        explore("void_without_gates", bid_and_void)
    assert failed.value.number > 1
