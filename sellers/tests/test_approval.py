"""New shops draft, and publish once staff have approved them."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import Notification, SecurityEvent, User
from core import clock
from core.ids import uuid7
from dropfront import safety
from drops import services as drops
from sales import levers
from sales import services as sales
from sales.models import Sale, SaleState
from sellers import approval
from sellers import services as sellers
from sellers.errors import NotWaiting, ShopWaits
from sellers.models import Seller, ShopEvent
from tests.tools.shop import NOW, drop_terms, make_drop, make_fan, make_seller

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _approval_is_needed(settings: Any) -> None:
    settings.SELLERS_NEED_APPROVAL = True


@pytest.fixture
def owner() -> UUID:
    return make_fan()


@pytest.fixture
def shop(owner: UUID) -> Seller:
    return make_seller(handle="northlight", owner_id=owner)


def logged_in(user_id: UUID) -> Client:
    client = Client()
    client.force_login(User.objects.get(id=user_id))
    return client


def drafted(shop: Seller) -> UUID:
    return drops.draft_drop(**drop_terms(seller=shop, now=clock.now())).sale_id


def given(shop: Seller, **more: Any) -> dict[str, Any]:
    return {"seller_id": shop.id, "staff_id": make_fan(), "reason": "We know them", "now": NOW} | more


def state_of(sale_id: UUID) -> str:
    return Sale.objects.get(id=sale_id).state


def test_a_shop_that_waits_drafts_and_does_not_publish(shop: Seller) -> None:
    sale_id = drafted(shop)

    with pytest.raises(ShopWaits):
        sales.publish_sale(seller_id=shop.id, sale_id=sale_id, now=clock.now())
    with pytest.raises(ShopWaits):
        make_drop(seller=shop)  # drafts and publishes at once

    assert list(Sale.objects.values_list("id", "state")) == [(sale_id, SaleState.DRAFT)]


def test_its_page_refuses_too_and_says_the_way_on(shop: Seller, owner: UUID) -> None:
    sale_id, client = drafted(shop), logged_in(owner)

    answer = client.post(f"/sell/northlight/drops/{sale_id}/publish/")

    assert answer.status_code == 409
    assert 'href="/sell/northlight/"' in answer.content.decode()
    assert state_of(sale_id) == SaleState.DRAFT
    page = client.get(f"/sell/northlight/drops/{sale_id}/").content.decode()
    assert "This shop waits for staff" in page
    assert ">Publish</button>" not in page


def test_its_api_refuses_too(shop: Seller, owner: UUID) -> None:
    sale_id = drafted(shop)

    answer = logged_in(owner).post(
        f"/api/v1/sellers/northlight/drops/{sale_id}/publish", content_type="application/json"
    )

    assert (answer.status_code, json.loads(answer.content)["code"]) == (409, "shop_waits")
    assert state_of(sale_id) == SaleState.DRAFT


def test_the_command_refuses_too(shop: Seller) -> None:
    with pytest.raises((CommandError, ShopWaits), match="new shop"):
        call_command("open_drop", seller="northlight", units=3, price="10.00")
    assert not Sale.objects.exists()


def test_a_draft_of_a_shop_that_waits_can_be_looked_at_and_is_still_one(shop: Seller, owner: UUID) -> None:
    sale_id = drafted(shop)

    assert logged_in(owner).get(f"/sell/northlight/drops/{sale_id}/preview/").status_code == 200
    assert state_of(sale_id) == SaleState.DRAFT


def test_an_approved_shop_publishes_and_its_owner_is_told_by_mail_too(shop: Seller, owner: UUID) -> None:
    staff = make_fan()

    for _ in range(2):  # a repeat tells nobody anew
        approval.approve(**given(shop, staff_id=staff))

    assert make_drop(seller=shop).sale.state == SaleState.SCHEDULED
    assert list(approval.list_waiting()) == []
    news = Notification.objects.get(user_id=owner)
    assert (news.title, news.text, news.path) == (
        "A shop can publish now", "Staff say: We know them", "/sell/northlight/",
    )  # fmt: skip
    assert news.mail_due_at == NOW
    event = SecurityEvent.objects.get(event="shop_approved")
    assert (event.by_id, event.facts) == (staff, {"seller": str(shop.id), "reason": "We know them"})


def test_who_was_told_no_reads_why_and_asks_again(shop: Seller, owner: UUID) -> None:
    approval.refuse(**given(shop, reason="No imprint"))
    sale_id, client = drafted(shop), logged_in(owner)

    with pytest.raises(ShopWaits, match="ask again"):
        sales.publish_sale(seller_id=shop.id, sale_id=sale_id, now=clock.now())
    assert "No imprint" in client.get("/sell/northlight/").content.decode()
    assert list(approval.list_waiting()) == []
    assert Notification.objects.get(user_id=owner).text.endswith("No imprint")

    for _ in range(2):
        client.post("/sell/northlight/ask/")
    assert list(approval.list_waiting()) == [shop]
    assert ShopEvent.objects.filter(event="asked_again").count() == 1


def test_an_approved_shop_is_not_refused_afterwards(shop: Seller) -> None:
    approval.approve(**given(shop))

    with pytest.raises(NotWaiting):
        approval.refuse(**given(shop))
    assert Seller.objects.get(id=shop.id).refused_because is None
    assert not SecurityEvent.objects.filter(event="shop_refused").exists()


def test_staff_who_approve_and_switch_off_at_once_leave_one_state(shop: Seller, race: Any) -> None:
    for turn in range(3):
        Seller.objects.filter(id=shop.id).update(waits_since=NOW, is_active=True)
        now = NOW + turn * MINUTE
        outcomes = race(
            lambda now=now: approval.approve(**given(shop, now=now)),
            lambda now=now: levers.switch_shop_off(**given(shop, reason="A doubt", now=now)),
        )
        assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
        row = Seller.objects.get(id=shop.id)
        assert (row.waits_since, row.refused_because, row.is_active) == (None, None, False)


def test_staff_who_approve_and_refuse_at_once_leave_the_approval(shop: Seller, race: Any) -> None:
    race(lambda: approval.approve(**given(shop)), lambda: approval.refuse(**given(shop, reason="A doubt")))

    row = Seller.objects.get(id=shop.id)
    assert (row.waits_since, row.refused_because) == (None, None)


def test_a_shop_opened_where_nobody_must_approve_publishes_at_once(settings: Any) -> None:
    settings.SELLERS_NEED_APPROVAL = False
    seller_id = uuid7()
    first = sellers.open_shop(seller_id=seller_id, owner_id=make_fan(), handle="kiln-nine", name="Kiln Nine")

    assert make_drop(seller=first).sale.state == SaleState.SCHEDULED


@pytest.mark.parametrize(
    ("said", "unsaid", "is_on"),
    [
        (None, True, True),
        ("", True, True),
        (" ", True, True),
        ("0", True, False),
        ("no", False, True),
        (None, False, False),
    ],
)
def test_only_a_nought_takes_the_guard_away(said: str | None, unsaid: bool, is_on: bool) -> None:
    assert safety.is_on(said, unsaid=unsaid) is is_on


def test_the_storefront_of_a_shop_that_is_switched_off_says_so(owner: UUID, settings: Any) -> None:
    settings.SELLERS_NEED_APPROVAL, settings.SUPPORT_EMAIL = False, "help@shop.example"
    seller = make_seller(handle="kiln-nine", owner_id=owner)
    levers.switch_shop_off(**given(seller, reason="A doubt"))

    answer = Client().get("/s/kiln-nine/")

    assert answer.status_code == 404
    assert "Switched off for now" in answer.content.decode()
    assert "mailto:help@shop.example" in answer.content.decode()
    assert "This shop does not exist" in Client().get("/s/nobody/").content.decode()
    assert "Staff have switched this shop off" in logged_in(owner).get("/sell/kiln-nine/").content.decode()
    assert Notification.objects.get(user_id=owner).mail_due_at == NOW
