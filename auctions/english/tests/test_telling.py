"""What bidders are told in their list, and what holds an account open."""

from __future__ import annotations

import datetime as dt

import pytest

from accounts import closing
from accounts.models import Notification
from auctions.english import services, telling
from sales import services as sales
from sales import telling as spine
from tests.tools.shop import bid_request, close_on_time, make_auction, make_fans

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]


def titles(fan_id) -> list[str]:
    return list(Notification.objects.filter(user_id=fan_id).order_by("id").values_list("title", flat=True))


def bid(auction, fan_id, most: int) -> None:
    services.place_bid(auction.sale_id, bid_request(fan_id, most))


def test_whoever_loses_the_lead_is_told_and_not_with_every_bid_of_a_fight():
    auction = make_auction()
    one, two = make_fans(2, funds=100_000)

    for most in (2_000, 3_000, 4_000, 5_000, 6_000):
        bid(auction, one if most % 2_000 == 0 else two, most)

    assert titles(one) == ["A painting: you were outbid"]
    assert titles(two) == ["A painting: you were outbid"]


def test_nobody_is_told_for_raising_or_for_a_bid_that_does_not_lead():
    auction = make_auction()
    one, two = make_fans(2, funds=100_000)

    bid(auction, one, 2_000)
    bid(auction, one, 3_000)
    bid(auction, two, 2_500)

    assert (titles(one), titles(two)) == ([], [])


def test_all_bidders_are_told_how_it_ended():
    auction = make_auction()
    one, two = make_fans(2, funds=100_000)
    bid(auction, one, 2_000)
    bid(auction, two, 3_000)
    now = close_on_time(auction.sale_id)
    sales.settle_step(sale_id=auction.sale_id, now=now)

    while spine.tell_step(sale_id=auction.sale_id, now=now):
        pass

    assert titles(one)[-1] == "A painting was sold"
    assert titles(two)[-1] == "A painting is yours"


def test_an_account_that_leads_cannot_be_closed_and_takes_its_bids_along():
    auction = make_auction()
    one, two = make_fans(2, funds=100_000)
    bid(auction, one, 2_000)
    bid(auction, two, 3_000)

    assert "You lead in an auction: wait for its end." in closing.obstacles(two)
    assert "You lead in an auction: wait for its end." not in closing.obstacles(one)
    (mine,) = closing.export(one)["bids"]
    assert (mine["max_minor"], mine["answer"]) == (2_000, "leads")


def test_the_end_is_near_is_said_once():
    auction = make_auction()
    (one,) = make_fans(1, funds=100_000)
    bid(auction, one, 2_000)

    soon = telling.closing_soon_at(auction.sale)
    assert telling.watch(sale_id=auction.sale_id, now=soon - dt.timedelta(seconds=1)) == soon
    for _ in range(2):
        assert telling.watch(sale_id=auction.sale_id, now=soon) is None
        while spine.tell_step(sale_id=auction.sale_id, now=soon):
            pass

    assert titles(one) == ["A painting closes soon"]
