"""What pages of an English auction show of its money and offer to its people."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from auctions.english import selectors
from auctions.english.presenters import win_row
from core import clock
from sales import services as sales
from tests.tools.shop import AuctionProcess, bid_request, close_on_time, make_auction, make_fan, make_fans, make_seller

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]


def test_a_winner_paid_the_premium_too_and_the_seller_can_give_the_price_back():
    english = make_auction()
    one, other = make_fans(2, funds=10_000)
    for fan, most in ((one, 2_000), (other, 3_000)):
        AuctionProcess(english).do(bid_request(fan, most))
    now = close_on_time(english.sale_id)
    assert sales.settle_step(sale_id=english.sale_id, now=now) is None
    english.sale.refresh_from_db()
    win = selectors.wins_of([english.sale_id])[english.sale_id]

    row = win_row(win, english.sale)

    assert (row.price.minor, row.paid.minor, row.may_refund.minor) == (2_100, 2_362, 2_100)


def test_a_seller_is_offered_to_end_a_lot_only_as_long_as_nobody_has_bid():
    owner_id = make_fan()
    english = make_auction(seller=make_seller(owner_id=owner_id), now=clock.now())
    client = Client()
    client.force_login(User.objects.get(id=owner_id))
    page = f"/sell/{english.sale.seller.handle}/auctions/{english.sale_id}/"
    assert b"/close/" in client.get(page).content

    AuctionProcess(english).do(bid_request(make_fan(funds=10_000), 2_000, at=clock.now()))

    answer = client.get(page).content
    assert b"/close/" not in answer
    assert b"/cancel/" not in answer
    assert b"it runs to its end" in answer
