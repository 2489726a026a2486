"""Keys to a shop's part of the API, and the log of what was done in it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.test import Client

from accounts import bans
from accounts.models import User
from core import clock
from core.ids import uuid7
from drops import services as drops
from sales.models import Sale, SaleState
from sellers import api_keys, services
from sellers.models import ApiKey, KeyScope, Role, ShopEvent
from tests.tools import shop

pytestmark = pytest.mark.django_db(transaction=True)


class Shop:
    """A shop with a draft, and a key of its owner's."""

    def __init__(self) -> None:
        self.owner_id = shop.make_fan(funds=10_000)
        self.seller = shop.make_seller(handle="northlight", owner_id=self.owner_id)
        self.draft = drops.draft_drop(**shop.drop_terms(seller=self.seller, now=clock.now())).sale

    def key(self, scope: KeyScope = KeyScope.SALES, **said: Any) -> str:
        given = {"name": "A shop system", "expires_at": None, "made_by": self.owner_id, "now": clock.now(), **said}
        return api_keys.make(key_id=uuid7(), seller_id=self.seller.id, scope=scope, **given)

    def ask(
        self, key: str, path: str = "", *, method: str = "get", handle: str = "northlight", body: Any = None
    ) -> Any:
        """By the key alone: a browser without a session, which is asked for CSRF tokens."""
        client = Client(enforce_csrf_checks=True)
        url = f"/api/v1/sellers/{handle}/{path or f'drops/{self.draft.id}'}"
        send = getattr(client, method)
        more = {"data": json.dumps(body or {}), "content_type": "application/json"} if method != "get" else {}
        return send(url, headers={"authorization": f"Bearer {key}"}, **more)


@pytest.fixture
def own() -> Shop:
    return Shop()


def test_a_key_does_what_its_maker_may_in_its_shop(own: Shop) -> None:
    key = own.key()

    assert own.ask(key).json()["title"] == own.draft.title
    assert own.ask(key, f"drops/{own.draft.id}/publish", method="post").status_code == 200

    assert Sale.objects.get(id=own.draft.id).state == SaleState.SCHEDULED
    event = ShopEvent.objects.get(event="sale_published")
    assert (event.by_id, event.key.name) == (own.owner_id, "A shop system")


def test_a_key_lists_the_shops_sales_drafts_too(own: Shop) -> None:
    listed = own.ask(own.key(KeyScope.READ), "sales").json()

    assert [sale["id"] for sale in listed["items"]] == [str(own.draft.id)]


def test_what_is_kept_is_not_the_key(own: Shop) -> None:
    key = own.key()

    kept = json.dumps([str(value) for row in ApiKey.objects.values() for value in row.values()])

    assert key not in kept
    assert key.removeprefix("dfk_") not in kept


def test_a_key_to_read_changes_nothing(own: Shop) -> None:
    key = own.key(KeyScope.READ)

    answer = own.ask(key, f"drops/{own.draft.id}/publish", method="post")

    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert own.ask(key).status_code == 200
    assert Sale.objects.get(id=own.draft.id).state == SaleState.DRAFT


def test_another_shop_is_missing_to_it_though_its_maker_is_at_home_there(own: Shop) -> None:
    key = own.key()
    shop.make_seller(handle="kiln-nine", owner_id=own.owner_id)

    there = own.ask(key, handle="kiln-nine")
    nowhere = own.ask(key, handle="no-such-shop")

    assert (there.status_code, there.content) == (404, nowhere.content)


def test_a_key_is_no_fan_and_no_way_into_pages(own: Shop) -> None:
    key = own.key()
    headers = {"authorization": f"Bearer {key}"}

    assert Client().get("/api/v1/wallet/", headers=headers).status_code in (401, 404)
    assert Client().get("/api/v1/orders", headers=headers).status_code == 401
    assert Client().post(f"/api/v1/sales/{own.draft.id}/buy-token", headers=headers).status_code == 401
    assert Client().get("/sell/northlight/", headers=headers).status_code == 302


@pytest.mark.parametrize("end", ["revoked", "run out", "maker left", "maker looks only", "maker turned out", "made up"])
def test_a_key_ends(own: Shop, end: str) -> None:
    now, method, path = clock.now(), "post", f"drops/{own.draft.id}/publish"
    key = own.key(expires_at=now - dt.timedelta(seconds=1) if end == "run out" else None)
    other = shop.make_fan()
    services.set_member(seller_id=own.seller.id, user_id=other, role=Role.OWNER)
    match end:
        case "revoked":
            api_keys.revoke(seller_id=own.seller.id, key_id=ApiKey.objects.get().id, now=now)
        case "maker left":
            services.remove_member(seller_id=own.seller.id, user_id=own.owner_id)
        case "maker looks only":
            services.set_member(seller_id=own.seller.id, user_id=own.owner_id, role=Role.VIEWER)
        case "maker turned out":
            bans.ban(user_id=own.owner_id, staff_id=shop.make_fan(), reason="Bots", now=now)
        case "made up":
            key = "dfk_" + "a" * 43

    answer = own.ask(key, path, method=method)

    expected = {"maker left": 404, "maker looks only": 403}.get(end, 401)
    assert answer.status_code == expected
    assert Sale.objects.get(id=own.draft.id).state == SaleState.DRAFT


def test_without_a_key_a_session_still_needs_its_csrf_token(own: Shop) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(id=own.owner_id))

    answer = client.post(f"/api/v1/sellers/northlight/drops/{own.draft.id}/publish")

    assert answer.status_code == 403


def test_a_key_is_shown_once_by_the_page_that_made_it(own: Shop) -> None:
    client = Client()
    client.force_login(User.objects.get(id=own.owner_id))
    said = {"key_id": str(uuid7()), "name": "A shop system", "scope": "read", "days": "90"}

    first = client.post("/sell/northlight/keys/", said)
    second = client.post("/sell/northlight/keys/", said)
    later = client.get("/sell/northlight/keys/")

    key = first.context["fresh"]
    assert key in first.content.decode()
    assert own.ask(key).status_code == 200
    assert (second.status_code, ApiKey.objects.count()) == (422, 1)
    assert key not in later.content.decode()
    assert ApiKey.objects.get().used_at is not None


def test_a_use_is_noted_once_an_hour(own: Shop) -> None:
    key = own.key()
    own.ask(key)
    first = ApiKey.objects.get().used_at

    own.ask(key)

    assert ApiKey.objects.get().used_at == first


def test_the_log_says_who_did_what(own: Shop) -> None:
    client = Client()
    owner = User.objects.get(id=own.owner_id)
    client.force_login(owner)
    client.post(f"/sell/northlight/drops/{own.draft.id}/publish/")
    client.post("/sell/northlight/brand/", {"name": "Northlight", "about": "", "hue": "10", "chroma": "5"})

    page = client.get("/sell/northlight/log/").content.decode()
    narrow = client.get("/sell/northlight/log/?event=brand_changed").content.decode()

    assert "published a sale" in page
    assert owner.email in page
    assert own.draft.title in page
    assert own.draft.title not in narrow
    assert list(ShopEvent.objects.order_by("id").values_list("event", flat=True))[-2:] == [
        "sale_published",
        "brand_changed",
    ]


def test_what_does_not_happen_is_not_in_the_log(own: Shop) -> None:
    before = ShopEvent.objects.count()
    client = Client()
    client.force_login(User.objects.get(id=own.owner_id))

    client.post("/sell/northlight/brand/", {"name": " ", "about": "", "hue": "10", "chroma": "5"})
    client.get(f"/sell/northlight/drops/{own.draft.id}/preview/")

    assert ShopEvent.objects.count() == before
