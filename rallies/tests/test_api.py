"""The JSON API of fans and sellers, by Django's own client: what comes in is checked, refusals come out as JSON."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from accounts import services as accounts
from accounts.models import User
from core import clock
from core.ids import uuid7
from rallies.models import Join, LateJoin, Rally
from sales import services as sales
from sales.models import Sale
from sales.pseudonyms import pseudonym
from tests.tools import shop

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]


class Api:
    """One user's way to the API."""

    def __init__(self, user_id: UUID) -> None:
        self.client = Client(raise_request_exception=False)
        self.client.force_login(User.objects.get(id=user_id))

    def get(self, path: str) -> tuple[int, Any]:
        return self._answer(self.client.get(f"/api/v1{path}"))

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        content = json.dumps({} if body is None else body)
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


def rally_body(**changes: Any) -> dict[str, Any]:
    now = clock.now()
    return {
        "sale_id": str(uuid7()), "title": "A lamp", "limit_per_fan": 2, "minimum": 2, "cap_units": 40, "late_joins": True,
        "tiers": [{"from_count": 1, "price_minor": 10_000}, {"from_count": 2, "price_minor": 8_000}],
        "opens_at": now.isoformat(), "closes_at": (now + shop.HOUR).isoformat(),
    } | changes  # fmt: skip


def eur(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "EUR"}


def settle(rally: Rally) -> None:
    closed_at = shop.close_on_time(rally.sale_id)
    while sales.settle_step(sale_id=rally.sale_id, now=closed_at):
        pass  # ends: each step ends some joins


def test_a_seller_drafts_publishes_watches_removes_closes_and_refunds(owner):
    body = rally_body()
    status, draft = owner.post("/sellers/northlight/rallies", body)
    assert (status, draft["state"], draft["outcome"]) == (201, "draft", None)
    assert draft["tiers"] == [
        {"from_count": 1, "price": eur(10_000)},
        {"from_count": 2, "price": eur(8_000)},
    ]
    assert owner.post("/sellers/northlight/rallies", body) == (201, draft)  # a repeat

    path = f"/sellers/northlight/rallies/{body['sale_id']}"
    assert owner.post(f"{path}/publish")[1]["state"] == "scheduled"
    assert len(owner.post(f"{path}/publish")[1]["terms_sha256"]) == 64
    rally = Rally.objects.get()
    first, second, third = (shop.join(rally, fan_id, at=clock.now()).id for fan_id in shop.make_fans(3, funds=10_000))
    joins = owner.get(f"{path}/joins")[1]["items"]
    assert [join["id"] for join in joins] == [str(third), str(second), str(first)]
    assert joins[0]["fan"] == pseudonym(rally.sale_id, Join.objects.get(id=third).fan_id)
    assert (joins[0]["held"], joins[0]["paid"]) == (eur(10_000), eur(0))
    assert "fan_id" not in joins[0]

    for _ in range(2):
        status, removed = owner.post(f"/sellers/northlight/joins/{third}/remove")
        assert (status, removed["state"], removed["held"]) == (200, "removed", eur(0))
    refund = f"{path}/joins/{first}/refunds"
    assert owner.put(f"{refund}/1", {"amount_minor": 1})[1]["code"] == "cannot_refund"
    assert owner.post(f"{path}/close")[1]["state"] == "closed"
    settle(rally)
    assert owner.get(path)[1]["outcome"] == {"joiners": 2, "units": 2, "price": eur(8_000), "did_run": True}
    for _ in range(2):
        status, refunded = owner.put(f"{refund}/1", {"amount_minor": 3_000, "reason": "A scratch"})
        assert (status, refunded["paid"], refunded["refunded"]) == (200, eur(8_000), eur(3_000))
    assert refunded["refunds"][0]["reason"] == "A scratch"
    assert owner.put(f"{refund}/1", {"amount_minor": 3_001})[1]["code"] == "refund_changed"
    assert owner.put(f"{refund}/3", {"amount_minor": 1})[1]["data"]["next_number"] == 2
    assert owner.put(f"{refund}/2", {"amount_minor": 5_001})[1]["code"] == "cannot_refund"
    assert owner.put(f"{refund}/2", {"amount_minor": 5_000})[1]["refunded"] == eur(8_000)
    status, refusal = owner.post(f"/sellers/northlight/joins/{second}/remove")
    assert (status, refusal["code"]) == (409, "cannot_leave")
    assert owner.post(f"{path}/cancel")[1]["code"] == "wrong_state"


def test_a_fan_sees_leaves_and_is_told_what_became_of_it(seller):
    rally = shop.make_rally(seller=seller, now=clock.now())
    fan_id, other_id = shop.make_fans(2, funds=50_000)
    fan = Api(fan_id)
    path = f"/rallies/{rally.sale_id}"
    assert fan.get(f"{path}/join")[0] == fan.post(f"{path}/leave")[0] == 404
    shop.join(rally, fan_id, 2, only=8_000, at=clock.now())

    status, join = fan.get(f"{path}/join")

    assert (status, join["state"], join["quantity"], join["only_at_or_below"]) == (200, "joined", 2, 8_000)
    assert (join["ceiling"], join["held"], join["paid"], join["saved"]) == (eur(8_000), eur(16_000), None, None)
    assert fan.get("/rallies/joins") == (200, {"items": [join], "next": None})
    for _ in range(2):
        left = fan.post(f"{path}/leave")[1]
        assert (left["state"], left["held"], left["released"]) == ("left", eur(0), eur(16_000))
    shop.join(rally, fan_id, at=clock.now())
    shop.join(rally, other_id, only=8_000, at=clock.now())
    settle(rally)
    paid, released = fan.get(f"{path}/join")[1], Api(other_id).get(f"{path}/join")[1]
    assert (paid["state"], paid["paid"], paid["released"], paid["saved"]) == ("paid", eur(10_000), eur(0), eur(0))
    assert (released["state"], released["paid"], released["released"]) == ("released", None, eur(8_000))
    assert fan.post(f"{path}/leave")[1]["code"] == "cannot_leave"


def test_names_are_for_those_whom_an_invite_joins(seller):
    rally = shop.make_rally(seller=seller, now=clock.now())
    inviter_id, named_id, nameless_id = shop.make_fans(3, funds=10_000)
    accounts.rename(user_id=named_id, display_name="Ada Lovelace")
    code = shop.join(rally, inviter_id, at=clock.now()).invite_code
    for fan_id in (named_id, nameless_id):
        shop.join(rally, fan_id, invite=code, at=clock.now())

    status, brought = Api(inviter_id).get(f"/rallies/{rally.sale_id}/invited")

    assert status == 200
    assert brought == [
        {"name": "Ada", "quantity": 1},
        {"name": pseudonym(rally.sale_id, nameless_id), "quantity": 1},
    ]
    assert Api(named_id).get(f"/rallies/{rally.sale_id}/invited") == (200, [])


def test_a_late_join_is_paid_at_once_and_once(seller):
    two_hours_ago = clock.now() - 2 * shop.HOUR
    rally = shop.make_rally(seller=seller, cap_units=25, late_joins=True, now=two_hours_ago)
    shop.join(rally, shop.make_fan(funds=10_000), at=two_hours_ago)
    late_id = shop.make_fan(funds=50_000)
    late = Api(late_id)
    path, body = f"/rallies/{rally.sale_id}/late-joins", {"id": str(uuid7()), "quantity": 2}
    assert late.post(path, body)[1]["code"] == "no_late_joins"
    settle(rally)

    (status, bought), repeated = late.post(path, body), late.post(path, body)

    assert (status, bought["quantity"], bought["paid"]) == (201, 2, eur(20_000))
    assert repeated == (200, bought)
    assert LateJoin.objects.count() == 1
    assert shop.wallet(late_id).available_minor == 30_000
    assert late.post(path, {"id": str(uuid7()), "quantity": 1})[1]["code"] == "already_joined"


@pytest.mark.parametrize(
    "changes", [{"id": "x"}, {"id": None}, {"quantity": True}, {"quantity": 0}, {"quantity": "1"}, {"fan_id": "x"}]
)
def test_a_late_join_that_is_not_right_is_refused(seller, changes):
    rally = shop.make_rally(seller=seller, cap_units=25, late_joins=True, now=clock.now())
    body = {"id": str(uuid7()), "quantity": 1} | changes

    status, refusal = Api(shop.make_fan()).post(f"/rallies/{rally.sale_id}/late-joins", body)

    assert (status, refusal["code"]) == (422, "invalid")


def tier(from_count: Any, price_minor: Any, **more: Any) -> dict[str, Any]:
    return {"from_count": from_count, "price_minor": price_minor, **more}


BAD_RALLIES = [
    {"tiers": []}, {"tiers": None}, {"tiers": [tier(2, 100)]}, {"tiers": [tier(1, 0)]}, {"tiers": [tier(1, -1)]},
    {"tiers": [tier(1, 100), tier(1, 90)]}, {"tiers": [tier(1, 100), tier(2, 100)]}, {"tiers": [tier(1, 1.5)]},
    {"tiers": [tier(1, True)]}, {"tiers": [tier("1", 100)]}, {"tiers": [tier(1, 10**13)]}, {"tiers": [tier(1, 10**12)]},
    {"tiers": [tier(1, 100, level=0)]}, {"tiers": [tier(1 + at, 100 - at) for at in range(13)]}, {"tiers": {"1": 100}},
    {"tiers": [tier(1, 100), tier(21, 90)]}, {"basis": "money"}, {"minimum": 0}, {"minimum": 41}, {"minimum": "2"},
    {"cap_units": 0}, {"cap_units": 10**9}, {"cap_units": None}, {"limit_per_fan": 0}, {"limit_per_fan": 1_001},
    {"limit_per_fan": None}, {"audience": "friends"}, {"late_joins": 1}, {"seller_invite": "x"},
    {"repeats_left": 53, "repeats_every_days": 1}, {"repeats_left": 1}, {"repeats_every_days": 0},
]  # fmt: skip


def test_a_rally_that_is_not_right_is_refused_and_not_kept(owner):
    for changes in BAD_RALLIES:
        status, refusal = owner.post("/sellers/northlight/rallies", rally_body(**changes))
        assert (status, refusal["code"]) == (422, "invalid"), changes
    assert Sale.objects.count() == 0


def test_a_drop_is_no_rally(owner, seller):
    drop = shop.make_drop(seller=seller, now=clock.now())

    assert owner.get(f"/sellers/northlight/rallies/{drop.sale_id}/joins")[0] == 404
