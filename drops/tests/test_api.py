"""The JSON API of fans and sellers, by Django's own client: what comes in is checked, refusals come out as JSON."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from accounts.models import User
from core import clock
from core.ids import uuid7
from drops.models import Drop, Order
from sales import prover
from sales.models import Sale
from tests.tools import shop

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]


class Api:
    """One user's way to the API."""

    def __init__(self, user_id: UUID) -> None:
        self.client = Client(raise_request_exception=False)
        self.client.force_login(User.objects.get(id=user_id))

    def get(self, path: str) -> tuple[int, Any]:
        return self._answer(self.client.get(f"/api/v1{path}"))

    def post(self, path: str, body: Any = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        content = json.dumps({} if body is None else body).encode() if raw is None else raw
        return self._answer(self.client.post(f"/api/v1{path}", content, content_type="application/json"))

    def put(self, path: str, body: Any) -> tuple[int, Any]:
        return self._answer(self.client.put(f"/api/v1{path}", json.dumps(body), content_type="application/json"))

    @staticmethod
    def _answer(response: Any) -> tuple[int, Any]:
        assert response["Content-Type"].startswith("application/json"), response.content[:200]
        return response.status_code, response.json()


@pytest.fixture
def owner_id() -> UUID:
    return shop.make_fan()


@pytest.fixture
def seller(owner_id) -> Any:
    return shop.make_seller(handle="northlight", owner_id=owner_id)


@pytest.fixture
def owner(seller, owner_id) -> Api:
    return Api(owner_id)


def drop_body(**changes: Any) -> dict[str, Any]:
    now = clock.now()
    return {
        "sale_id": str(uuid7()), "title": "A print", "price_minor": 2_400, "units_total": 3, "hold_s": 60, "cancel_s": 60,
        "opens_at": now.isoformat(), "closes_at": (now + shop.HOUR).isoformat(),
    } | changes  # fmt: skip


def test_a_seller_drafts_publishes_closes_and_sees_the_orders(owner):
    body = drop_body()
    status, draft = owner.post("/sellers/northlight/drops", body)
    assert (status, draft["state"], draft["price"]) == (201, "draft", {"minor": 2_400, "currency": "EUR"})
    assert owner.post("/sellers/northlight/drops", body) == (201, draft)  # a repeat

    path = f"/sellers/northlight/drops/{body['sale_id']}"
    assert owner.post(f"{path}/publish")[1]["state"] == "scheduled"
    assert len(owner.post(f"{path}/publish")[1]["terms_sha256"]) == 64
    drop = Drop.objects.get()
    order = shop.buy(drop, shop.make_fan(funds=5_000), at=clock.now())
    assert owner.get(f"{path}/orders")[1]["items"][0]["id"] == str(order.id)
    refund = f"{path}/orders/{order.id}/refunds/1"
    assert owner.put(refund, {"amount_minor": 500})[1]["code"] == "cannot_refund"  # a part, before it is settled
    for _ in range(2):
        assert owner.put(refund, {"amount_minor": 2_400})[1]["state"] == "refunded"
    assert owner.post(f"{path}/close")[1]["state"] == "closed"
    status, refusal = owner.post(f"{path}/cancel")
    assert (status, refusal["code"]) == (409, "wrong_state")


def test_a_fan_confirms_and_gives_back(seller):
    drop = shop.make_drop(seller=seller, hold_s=60, cancel_s=60, now=clock.now())
    fan_id = shop.make_fan(funds=5_000)
    fan = Api(fan_id)
    order = shop.buy(drop, fan_id, hold=True, at=clock.now())

    assert fan.get("/orders")[1]["items"][0]["state"] == "held"
    assert fan.post(f"/orders/{order.id}/confirm")[1]["state"] == "paid"
    assert fan.post(f"/orders/{order.id}/confirm")[1]["state"] == "paid"
    assert fan.post(f"/orders/{order.id}/cancel")[1]["state"] == "refunded"
    assert fan.get(f"/orders/{order.id}")[1]["state"] == "refunded"
    status, refusal = fan.post(f"/orders/{order.id}/confirm")
    assert (status, refusal["code"]) == (409, "not_held")


BAD_DROPS = [
    {"price_minor": 0}, {"price_minor": -1}, {"price_minor": 1.5}, {"price_minor": "2400"}, {"price_minor": True},
    {"price_minor": 10**30}, {"price_minor": None}, {"units_total": 0}, {"units_total": 10**26}, {"units_total": "3"},
    {"limit_per_fan": 0}, {"limit_per_fan": -1}, {"hold_s": -1}, {"hold_s": 3_601}, {"cancel_s": 10**9},
]  # fmt: skip


def test_a_drop_that_is_not_right_is_refused_and_not_kept(owner):
    for changes in BAD_DROPS:
        status, refusal = owner.post("/sellers/northlight/drops", drop_body(**changes))
        assert (status, refusal["code"]) == (422, "invalid"), changes
    assert Sale.objects.count() == 0


def test_awkward_paths_are_missing_and_nothing_breaks(owner):
    for path in (
        "/sellers/a%00b/drops/0194f9a0-0000-7000-8000-000000000001", "/sellers/%F0%9F%98%80/drops/x",
        "/orders/%00", "/orders/0194f9a0-0000-7000-8000-00000000000G",
    ):  # fmt: skip
        response = owner.client.get(f"/api/v1{path}")
        assert response.status_code == 404, path
    assert owner.get("/wallet/%00/statement") == (200, {"items": [], "next": None})


def test_a_wallet_is_topped_up_and_shows_its_statement():
    fan = Api(shop.make_fan())
    top_up = {"id": str(uuid7()), "amount_minor": 2_500}

    status, started = fan.post("/top-ups", top_up)
    assert (status, started["state"]) == (201, "started")
    assert started["checkout_url"] == f"http://testserver/pay/simulated/{top_up['id']}/"
    assert fan.post("/top-ups", top_up) == (status, started)
    assert fan.post("/top-ups", top_up | {"amount_minor": 2_501})[1]["code"] == "top_up_conflict"
    assert fan.get("/wallet") == (200, [])

    fan.client.post(f"/pay/simulated/{top_up['id']}/", {"answer": "pay"})

    assert fan.get("/wallet")[1][0]["available"] == {"minor": 2_500, "currency": "EUR"}
    (line,) = fan.get("/wallet/EUR/statement")[1]["items"]
    assert (line["code"], line["amount_minor"], line["balance_minor"]) == ("top_up", 2_500, 2_500)


def test_top_ups_that_are_not_right_are_refused():
    fan = Api(shop.make_fan())
    for changes, code in (
        ({"amount_minor": 99}, "amount_out_of_range"),
        ({"amount_minor": 100_001}, "amount_out_of_range"),
        ({"amount_minor": 0}, "invalid"),
        ({"amount_minor": 1e3}, "invalid"),
        ({"amount_minor": "1000"}, "invalid"),
        ({"currency": "XXX"}, "invalid"),
        ({"currency": "PLAY2"}, "invalid"),
        ({"currency": "PLAY"}, "invalid"),
        ({"currency": "JPY", "amount_minor": 150_001}, "amount_out_of_range"),
        ({"id": None}, "invalid"),
        ({"user_id": str(uuid7())}, "invalid"),
    ):
        status, refusal = fan.post("/top-ups", {"id": str(uuid7()), "amount_minor": 500} | changes)
        assert (status, refusal["code"]) == (422, code), changes


def test_a_public_sale_shows_its_terms_and_proof(seller):
    drop = shop.make_drop(seller=seller, now=clock.now())
    visitor = Client()

    terms = visitor.get(f"/api/v1/sales/{drop.sale_id}/terms").json()
    unchecked = visitor.get(f"/api/v1/sales/{drop.sale_id}/proof")
    prover.fulfil_wishes()
    proof = visitor.get(f"/api/v1/sales/{drop.sale_id}/proof").json()

    assert terms["sha256"] == drop.sale.terms_sha256
    assert (unchecked.status_code, unchecked.json()["code"], unchecked["Retry-After"]) == (503, "being_checked", "2")
    assert proof["holds"] is True
    assert {check["holds"] for check in proof["checks"]} == {True}
    assert [sale["id"] for sale in visitor.get("/api/v1/sales").json()["items"]] == [str(drop.sale_id)]


def test_a_buy_token_is_for_who_asked(seller):
    from sales.tokens import read_buy_token

    drop = shop.make_drop(seller=seller, now=clock.now())
    fan_id = shop.make_fan()

    status, answer = Api(fan_id).post(f"/sales/{drop.sale_id}/buy-token")

    token = read_buy_token(answer["buy_token"], sale_id=drop.sale_id, now_s=clock.now().timestamp())
    assert (status, token.fan_id, token.is_verified) == (200, fan_id, True)
    assert dt.datetime.fromisoformat(answer["expires_at"]) > clock.now()


def test_a_cookie_alone_changes_nothing():
    """Another site's page can make the browser send the cookie, but not the token."""
    fan_id = shop.make_fan(funds=5_000)
    drop = shop.make_drop(hold_s=60, now=clock.now())
    order = shop.buy(drop, fan_id, hold=True, at=clock.now())
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(id=fan_id))

    response = client.post(f"/api/v1/orders/{order.id}/confirm", b"{}", content_type="application/json")

    assert response.status_code == 403
    assert Order.objects.get().state == "held"
