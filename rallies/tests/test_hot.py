"""`POST /api/v1/rallies/{sale_id}/joins` over ASGI: what only a rally answers.

What every hot route does, `tests/test_contract.py` asks.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from core import clock
from rallies import services
from rallies.format import RALLY
from rallies.hot import JOIN
from rallies.models import Join
from sales.tokens import make_buy_token
from tests.tools import shop
from tests.tools.contract import Asking, Stage, assert_refused, post_all
from tests.tools.truth import picture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]


@pytest.fixture
def rally() -> Any:
    return shop.make_rally(now=clock.now())


@pytest.fixture
def fan() -> UUID:
    return shop.make_fan(funds=60_000)


@pytest.fixture
def ask(rally: Any, fan: UUID) -> Asking:
    stage = Stage(RALLY)
    stage.fan_id = fan
    return Asking(stage, JOIN, rally.sale)


@pytest.fixture
def nothing_moves(rally: Any, ask: Asking) -> Iterator[None]:
    """Whatever the test asks for, all rows stay as they were."""
    before = picture(rally.sale_id)
    yield
    assert picture(rally.sale_id) == before


def eur(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "EUR"}


def test_the_answer_is_the_join(ask, rally):
    made = ask({"quantity": 2})

    assert made.status_code == 201
    join = Join.objects.get()
    joined_at = made.json()["joined_at"]
    assert dt.datetime.fromisoformat(joined_at) == join.joined_at
    assert made.json() == {
        "id": str(join.id), "sale_id": str(rally.sale_id), "quantity": 2, "state": "joined", "ceiling": eur(10_000),
        "held": eur(20_000), "only_at_or_below": None, "price_now": eur(10_000), "you_would_pay_now": eur(20_000),
        "joiners": 1, "waiting": 0, "invite_code": join.invite_code, "joined_at": joined_at,
        "terms_sha256": rally.sale.terms_sha256,
    }  # fmt: skip


def test_an_empty_object_joins_with_one(ask):
    assert ask(raw=b"{}").json()["quantity"] == 1


def test_a_double_tap_with_another_key_is_the_same_join(ask):
    first, second = ask(), ask()

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert Join.objects.count() == 1


def test_a_limit_holds_only_its_own_tier_and_waits(ask, rally, fan):
    answer = ask({"quantity": 2, "only_at_or_below": 8_500}).json()

    assert (answer["ceiling"], answer["held"], answer["only_at_or_below"]) == (eur(8_000), eur(16_000), 8_500)
    assert (answer["price_now"], answer["you_would_pay_now"]) == (eur(10_000), None)
    assert (answer["joiners"], answer["waiting"]) == (0, 1)
    assert shop.wallet(fan).held_minor == 16_000


def test_the_answer_speaks_of_the_crowd_with_the_join_in_it(ask, rally):
    for other in shop.make_fans(2, funds=10_000):
        shop.join(rally, other, at=clock.now())

    answer = ask({"quantity": 3}).json()

    assert (answer["joiners"], answer["price_now"], answer["you_would_pay_now"]) == (3, eur(8_000), eur(24_000))
    assert answer["held"] == eur(30_000)


def test_whoever_left_may_come_again(ask, rally, fan):
    first = ask()
    services.leave_rally(rally_id=rally.sale_id, fan_id=fan, now=clock.now())

    again = ask({"quantity": 2})

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["id"] == first.json()["id"]
    assert (again.json()["state"], again.json()["held"]) == ("joined", eur(20_000))


def test_a_repeat_after_leaving_says_that_the_fan_is_out(ask, rally, fan):
    key = str(uuid4())
    ask(idempotency_key=key)
    services.leave_rally(rally_id=rally.sale_id, fan_id=fan, now=clock.now())

    answer = ask(idempotency_key=key)

    assert (answer.status_code, answer.json()["state"]) == (200, "left")
    assert (answer.json()["held"], answer.json()["you_would_pay_now"]) == (eur(0), None)


def test_an_invite_names_who_brought_the_fan(ask, rally, fan):
    inviter = shop.make_fan(funds=10_000)
    code = shop.join(rally, inviter, at=clock.now()).invite_code

    ask({"invite": code})

    assert Join.objects.get(fan_id=fan).invited_by_id == inviter


def test_fifty_fans_at_once_are_fifty_and_the_price_has_fallen(rally):
    def request(fan_id: UUID) -> Any:
        token = make_buy_token(fan_id=fan_id, sale_id=rally.sale_id, is_verified=True, now_s=clock.now().timestamp())
        headers = {"x-buy-token": token, "idempotency-key": str(uuid4())}
        return f"/api/v1/rallies/{rally.sale_id}/joins", {"content": b"{}", "headers": headers}

    responses = post_all([request(fan_id) for fan_id in shop.make_fans(50, funds=10_000)])

    assert {response.status_code for response in responses} == {201}
    assert services.lanes[rally.sale_id].crowd.joiners == 50
    assert services.lanes[rally.sale_id].crowd.price_minor == 5_200


# Refused by the rules


@pytest.mark.usefixtures("nothing_moves")
def test_too_many_units(ask):
    assert assert_refused(ask({"quantity": 6}), 422, "too_many_units") == {"limit_per_fan": 5, "quantity": 6}


@pytest.mark.usefixtures("nothing_moves")
def test_price_never_reached(ask):
    asked = {"only_at_or_below": 5_199}
    assert assert_refused(ask(asked), 422, "price_never_reached") == {"lowest_minor": 5_200}


def test_full(ask):
    small = shop.make_rally(cap_units=21, now=clock.now())
    for other in shop.make_fans(4, funds=50_000):
        shop.join(small, other, 5, at=clock.now())
    before = picture(small.sale_id)

    assert assert_refused(ask({"quantity": 2}, sale_id=small.sale_id), 409, "full") == {"units_left": 1, "quantity": 2}
    assert picture(small.sale_id) == before


def test_already_joined_otherwise(ask, rally):
    ask({"quantity": 2, "only_at_or_below": 8_000})
    before = picture(rally.sale_id)

    data = assert_refused(ask({"quantity": 1}), 409, "already_joined")

    assert data == {"quantity": 2, "only_at_or_below_minor": 8_000}
    assert picture(rally.sale_id) == before


def test_removed(ask, rally, fan):
    ask()
    services.remove_fan(rally_id=rally.sale_id, fan_id=fan, now=clock.now())
    before = picture(rally.sale_id)

    assert_refused(ask(), 403, "removed")
    assert picture(rally.sale_id) == before


@pytest.mark.parametrize("invite", ["", "nobody-s-link"])
def test_invite_needed(ask, invite):
    private = shop.make_rally(audience="invited", now=clock.now())
    before = picture(private.sale_id)

    assert_refused(ask({"invite": invite}, sale_id=private.sale_id), 403, "invite_needed")
    assert picture(private.sale_id) == before


def test_the_sellers_link_opens_an_invited_rally(ask):
    private = shop.make_rally(audience="invited", now=clock.now())

    assert ask({"invite": private.seller_invite}, sale_id=private.sale_id).status_code == 201


def test_who_left_shortly_before_the_end_is_out_for_good(ask, rally, fan):
    first = ask()
    services.leave_rally(rally_id=rally.sale_id, fan_id=fan, now=rally.sale.closes_at - dt.timedelta(seconds=1))
    before = picture(rally.sale_id)

    assert first.status_code == 201
    assert_refused(ask(), 409, "left_for_good")
    assert picture(rally.sale_id) == before


# What may be asked


OUT_OF_RANGE = [
    b'{"quantity": 0}', b'{"quantity": -1}', b'{"quantity": 1001}', b'{"only_at_or_below": 0}', b'{"only_at_or_below": -1}',
    b'{"only_at_or_below": 1000000000001}', b'{"invite": "aaaaaaaaaaaaaaaaa"}', b'{"invite": "\xc3\xa9"}',
]  # fmt: skip


@pytest.mark.usefixtures("nothing_moves")
def test_what_no_rally_takes(ask):
    for raw in OUT_OF_RANGE:
        assert_refused(ask(raw=raw), 422, "invalid", raw)
