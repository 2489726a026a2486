"""A bid in the last moment and the closing of its lot, in every order: the end that the bid moves is never passed over."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from auctions.english.settlement import EnglishRules
from auctions.english.state import BidValue
from sales import services as sales
from sales.models import Sale, SaleState
from tests.tools.explorer import Scene, ScheduleFailed, explore
from tests.tools.shop import AuctionProcess, bid_request, make_auction, make_fans
from tests.tools.truth import broken_checks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]

MOMENT = dt.timedelta(milliseconds=1)


def last_bid_beside_the_close() -> Scene:
    auction = make_auction()
    one, two = make_fans(2, funds=100_000)
    end = auction.sale.closes_at
    AuctionProcess(auction).do(bid_request(one, 2_000))
    actors = {
        "b": lambda: AuctionProcess(auction, home=1).do(bid_request(two, 5_000, at=end - MOMENT)),
        "c": lambda: sales.close_sale(sale_id=auction.sale_id, now=end + sales.CLOSE_GRACE),
    }

    def check(results: dict[str, Any]) -> None:
        state, is_in = Sale.objects.get(id=auction.sale_id).state, isinstance(results["b"], BidValue)
        assert (state == SaleState.CLOSED) != is_in, (state, results)
        assert is_in or results["b"].code == "not_open", results
        moved_to = EnglishRules().ends_at(auction.sale)
        assert moved_to == (end - MOMENT + dt.timedelta(seconds=180) if is_in else end)
        assert results["c"] == (moved_to + sales.CLOSE_GRACE if is_in else None)
        assert broken_checks(auction.sale_id) == []

    return Scene(actors, check)


def test_a_bid_in_the_last_moment_and_the_close(explored):
    assert explored("last_bid", last_bid_beside_the_close) == {"b:ok c:ok", "b:not_open c:ok"}


def test_a_close_that_leaves_the_lot_alone_is_found(monkeypatch):
    monkeypatch.setattr(EnglishRules, "close", lambda self, sale: None)

    with pytest.raises(ScheduleFailed):
        explore("last_bid", last_bid_beside_the_close)
