"""Ids that come from outside, and the rows they must never be the key of.

A fan may send any id with a top-up, and a receipt prints the id of the hold behind it. If both could meet in the ledger, one euro
paid in under the id that the end of a hold will have would keep that hold, and everybody settled beside it, from ever ending.
"""

from __future__ import annotations

import json
import re
from functools import partial
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core import clock
from core.errors import Busy
from core.ids import named_id
from drops import services as drops
from drops.models import Order, OrderState
from drops.settlement import expire_holds
from ledger.models import HOUSE
from rallies.models import Join, Rally
from rallies.settlement import repeat_rally
from sales import services as sales
from sales.errors import IdTaken
from sales.models import Sale, SaleState
from sales.proof import BOOKS, BOOKS_WHOLE
from tests.tools.shop import (
    HOUR,
    buy,
    close_on_time,
    drop_terms,
    join,
    make_drop,
    make_fan,
    make_fans,
    make_rally,
    make_seller,
    wallet,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]

STEPS = ["resolve", "reverse", "refund", "fee_back", "late_fee", "refund 1", "fee back 1"]
PAID_IN_MINOR = 100
FUNDS_MINOR = 50_000


def client_of(user_id: UUID) -> Client:
    client = Client()
    client.force_login(User.objects.get(id=user_id))
    return client


def occupy(fan_id: UUID, receipt: str) -> int:
    """As somebody who has read the code: top up under every id that may follow the transfer printed on this receipt.

    Returns what was paid in.
    """
    fan = client_of(fan_id)
    printed = re.search(r'Transfer</dt><dd class="hash">([0-9a-f-]{36})<', fan.get(receipt).content.decode())
    assert printed, receipt
    ids = follow_ups(UUID(printed[1]))
    for id in ids:
        body = json.dumps({"id": str(id), "amount_minor": PAID_IN_MINOR})
        answer = fan.post("/api/v1/top-ups", body, content_type="application/json")
        assert answer.status_code == 201, answer.content
        assert fan.post(answer.json()["checkout_url"], {"answer": "pay"}).status_code == 302
    return PAID_IN_MINOR * len(ids)


def follow_ups(transfer_id: UUID) -> set[UUID]:
    """The ids that the next two steps after a transfer may have, and the transfer's own."""
    ids = {transfer_id}
    for _ in range(2):
        ids |= {named_id(step, first) for first in ids for step in STEPS}
    return ids


def occupied_join(rally: Rally, fan_id: UUID) -> int:
    mine = join(rally, fan_id, at=clock.now())
    return occupy(fan_id, reverse("rallies:receipt", args=[mine.id]))


def test_a_rally_is_settled_and_refunded_over_ids_that_a_fan_occupied():
    seller = make_seller(owner_id=(owner_id := make_fan()))
    rally = make_rally(seller=seller, now=clock.now())
    fan, other = make_fans(2, funds=FUNDS_MINOR)
    join(rally, other, at=clock.now())
    paid_in = occupied_join(rally, fan)

    closed_at = close_on_time(rally.sale_id)
    while sales.settle_step(sale_id=rally.sale_id, now=closed_at):
        pass
    assert wallet(other).available_minor == FUNDS_MINOR - 10_000
    assert wallet(fan).available_minor == FUNDS_MINOR - 10_000 + paid_in
    mine = Join.objects.get(fan_id=fan)
    refund = f"/api/v1/sellers/{seller.handle}/rallies/{rally.sale_id}/joins/{mine.id}/refunds/1"
    answer = client_of(owner_id).put(refund, {"amount_minor": 10_000}, content_type="application/json")
    assert answer.status_code == 200, answer.content

    assert wallet(fan).available_minor == FUNDS_MINOR + paid_in


def test_a_rally_that_is_called_off_frees_every_hold_over_ids_that_a_fan_occupied():
    seller = make_seller()
    rally = make_rally(seller=seller, now=clock.now())
    fan, other = make_fans(2, funds=FUNDS_MINOR)
    join(rally, other, at=clock.now())
    paid_in = occupied_join(rally, fan)

    sales.cancel_sale(seller_id=seller.id, sale_id=rally.sale_id, now=clock.now())
    while sales.unwind_step(sale_id=rally.sale_id, now=clock.now()):
        pass

    assert (wallet(fan).available_minor, wallet(other).available_minor) == (FUNDS_MINOR + paid_in, FUNDS_MINOR)


def test_holds_of_a_drop_run_out_over_ids_that_a_fan_occupied():
    drop = make_drop(hold_s=60, now=clock.now())
    fan, other = make_fans(2, funds=FUNDS_MINOR)
    mine, _ = (buy(drop, fan_id, hold=True, at=clock.now()) for fan_id in (fan, other))
    paid_in = occupy(fan, reverse("drops:order", args=[mine.id]))

    expire_holds(drop_id=drop.sale_id, now=clock.now() + HOUR / 2)

    assert set(Order.objects.values_list("state", flat=True)) == {OrderState.EXPIRED}
    assert (wallet(fan).available_minor, wallet(other).available_minor) == (FUNDS_MINOR + paid_in, FUNDS_MINOR)


def test_a_drop_that_is_called_off_pays_everybody_back_over_ids_that_a_fan_occupied():
    seller = make_seller()
    drop = make_drop(seller=seller, hold_s=60, now=clock.now())
    fan, other = make_fans(2, funds=FUNDS_MINOR)
    mine, held = buy(drop, fan, at=clock.now()), buy(drop, fan, hold=True, at=clock.now())
    buy(drop, other, at=clock.now())
    paid_in = sum(occupy(fan, reverse("drops:order", args=[order.id])) for order in (mine, held))

    sales.cancel_sale(seller_id=seller.id, sale_id=drop.sale_id, now=clock.now())
    while sales.unwind_step(sale_id=drop.sale_id, now=clock.now()):
        pass

    assert (wallet(fan).available_minor, wallet(other).available_minor) == (FUNDS_MINOR + paid_in, FUNDS_MINOR)


def test_a_confirmed_hold_is_given_back_over_ids_that_a_fan_occupied():
    drop = make_drop(hold_s=60, cancel_s=600, now=clock.now())
    (fan,) = make_fans(1, funds=FUNDS_MINOR)
    mine = buy(drop, fan, hold=True, at=clock.now())
    paid_in = occupy(fan, reverse("drops:order", args=[mine.id]))

    for verb in ("confirm", "cancel"):
        answer = client_of(fan).post(f"/api/v1/orders/{mine.id}/{verb}")
        assert answer.status_code == 200, answer.content

    assert wallet(fan).available_minor == FUNDS_MINOR + paid_in


def test_the_next_rally_of_a_series_comes_whatever_ids_another_shop_has_drafted():
    now = clock.now()
    rally = make_rally(now=now, repeats_every_days=7, repeats_left=1)
    drops.draft_drop(**drop_terms(sale_id=named_id("next", rally.sale_id), now=now))

    first, again = (repeat_rally(rally_id=rally.sale_id, now=now + HOUR) for _ in range(2))

    assert first is not None
    assert again is not None
    assert first.sale_id == again.sale_id
    assert Sale.objects.get(id=first.sale_id).state == SaleState.SCHEDULED
    assert Rally.objects.count() == 2


def test_workers_that_race_make_one_next_rally(race):
    now = clock.now()
    rally = make_rally(now=now, repeats_every_days=7, repeats_left=1)

    raced = race(*[partial(repeat_rally, rally_id=rally.sale_id, now=now + HOUR)] * 4)
    # Whoever was told Busy comes again, as a worker does.
    made = [each for each in raced if not isinstance(each, Busy)] or [
        repeat_rally(rally_id=rally.sale_id, now=now + HOUR)
    ]

    rally.refresh_from_db()
    assert {following.sale_id for following in made} == {rally.next_id}
    assert Rally.objects.count() == 2


@pytest.mark.parametrize("taken", [BOOKS, BOOKS_WHOLE, HOUSE])
def test_no_sale_has_an_id_that_the_program_itself_goes_by(taken):
    """With the books' id its page of proof would show theirs, and nobody would ever check the sale."""
    with pytest.raises(IdTaken):
        drops.open_drop(**drop_terms(sale_id=taken))
