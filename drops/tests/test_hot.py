"""`POST /api/v1/drops/{sale_id}/orders` over ASGI: what only a drop answers.

What every hot route does, `tests/test_contract.py` asks.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from core import clock
from drops.format import DROP
from drops.hot import PLACE_ORDER
from drops.models import Order
from sales.tokens import make_buy_token
from tests.tools import shop
from tests.tools.contract import Asking, Stage, assert_refused, post_all
from tests.tools.truth import picture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]


@pytest.fixture
def ask() -> Asking:
    """Of 3 units at 10.00, at most 2 for a fan, who has 20.00."""
    stage = Stage(DROP)
    return Asking(stage, PLACE_ORDER, stage.publish())


@pytest.fixture
def nothing_moves(ask: Asking) -> Iterator[None]:
    """Whatever the test asks for, all rows stay as they were."""
    before = picture(ask.sale.id)
    yield
    assert picture(ask.sale.id) == before


def test_the_answer_is_the_order(ask):
    made = ask({"quantity": 2})

    assert made.status_code == 201
    order = Order.objects.get()
    placed_at = made.json()["placed_at"]
    assert dt.datetime.fromisoformat(placed_at) == order.placed_at
    assert made.json() == {
        "id": str(order.id), "sale_id": str(ask.sale.id), "quantity": 2, "unit_price": {"minor": 1_000, "currency": "EUR"},
        "total": {"minor": 2_000, "currency": "EUR"}, "state": "paid", "is_hold": False, "placed_at": placed_at,
        "expires_at": None, "terms_sha256": ask.sale.terms_sha256,
    }  # fmt: skip


def test_an_empty_object_buys_one(ask):
    assert ask(raw=b"{}").json()["quantity"] == 1


def test_fifty_fans_at_once_get_the_three_units(ask):
    def request(fan: UUID) -> tuple[str, dict[str, object]]:
        token = make_buy_token(fan_id=fan, sale_id=ask.sale.id, is_verified=True, now_s=clock.now().timestamp())
        headers = {"x-buy-token": token, "idempotency-key": str(uuid4())}
        return f"/api/v1/drops/{ask.sale.id}/orders", {"content": b"{}", "headers": headers}

    responses = post_all([request(fan) for fan in shop.make_fans(50, funds=1_000)])

    assert sorted(response.status_code for response in responses) == [201] * 3 + [409] * 47
    assert {response.json()["code"] for response in responses if response.status_code == 409} == {"sold_out"}


@pytest.mark.usefixtures("nothing_moves")
def test_sold_out(ask):
    assert assert_refused(ask({"quantity": 4}), 409, "sold_out") == {"units_left": 3, "quantity": 4}


@pytest.mark.usefixtures("nothing_moves")
def test_limit_reached(ask):
    assert assert_refused(ask({"quantity": 3}), 409, "limit_reached") == {"limit_per_fan": 2, "units": 0}


@pytest.mark.usefixtures("nothing_moves")
def test_hold_not_offered(ask):
    assert_refused(ask({"hold": True}), 422, "hold_not_offered")


def test_a_hold_says_until_when(ask):
    other = shop.make_drop(hold_s=60, now=clock.now())

    order = ask({"hold": True}, sale_id=other.sale_id).json()

    placed_at, expires_at = (dt.datetime.fromisoformat(order[name]) for name in ("placed_at", "expires_at"))
    assert (order["state"], order["is_hold"], expires_at - placed_at) == ("held", True, dt.timedelta(seconds=60))


@pytest.mark.usefixtures("nothing_moves")
def test_quantities_that_no_drop_sells(ask):
    for raw in (b'{"quantity": 0}', b'{"quantity": -1}', b'{"quantity": 1001}'):
        assert_refused(ask(raw=raw), 422, "invalid", raw)


def test_a_name_said_twice_buys_what_the_answer_says(ask):
    """RFC 8259 leaves it open which of the two counts. What is sold is what the answer shows, never both."""
    order = ask(raw=b'{"quantity": 1, "quantity": 2}').json()

    assert order["quantity"] == Order.objects.get().quantity == 2
