"""A user who is turned out: sessions end at once, permissions to buy within seconds, and nothing of theirs is lost."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts import bans, permits, services
from accounts.models import Ban, User
from core import clock
from core.errors import Invalid
from core.ids import uuid7
from drops import hot
from drops.models import Order
from sales.errors import BadBuyToken
from sales.services import issue_buy_token
from sales.tokens import VALID_S
from tests.tools.shop import NOW, buy, make_drop, make_fan, wallet

PASSWORD = "a long password of mine"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_ends() -> Iterator[None]:
    yield
    permits._ends_ms = {}


@pytest.fixture
def staff() -> UUID:
    return make_fan()


def turn_out(fan: UUID, staff: UUID, at: dt.datetime) -> None:
    bans.ban(user_id=fan, staff_id=staff, reason="Bots", now=at)
    permits.refresh(now=at)


def read_purchase(sale_id: UUID, token: str) -> Any:
    headers = [(b"x-buy-token", token.encode()), (b"idempotency-key", str(uuid7()).encode())]
    return hot.PLACE_ORDER.read(sale_id, headers, json.dumps({"quantity": 1}).encode())


def test_a_permission_from_before_the_ban_buys_nothing(staff: UUID) -> None:
    drop, fan = make_drop(), make_fan(funds=5_000)
    token = issue_buy_token(user_id=fan, sale_id=drop.sale_id, now=clock.now())["buy_token"]
    read_purchase(drop.sale_id, token)

    turn_out(fan, staff, clock.now())

    with pytest.raises(BadBuyToken):
        read_purchase(drop.sale_id, token)


def test_whoever_is_let_in_again_buys_again(staff: UUID) -> None:
    drop, fan = make_drop(), make_fan(funds=5_000)
    turn_out(fan, staff, clock.now())

    bans.let_in_again(user_id=fan, staff_id=staff, reason="A mistake", now=clock.now())
    permits.refresh(now=clock.now())

    read_purchase(drop.sale_id, issue_buy_token(user_id=fan, sale_id=drop.sale_id, now=clock.now())["buy_token"])
    assert User.objects.get(id=fan).is_active


def test_no_permission_to_buy_outlives_what_is_remembered_of_ends() -> None:
    assert dt.timedelta(seconds=VALID_S + 10 * permits.REFRESHED_EVERY_S) < permits.REMEMBERED


def log_out(client: Client) -> None:
    client.post("/accounts/logout/")


def change_password(client: Client) -> None:
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    new = "another long password of mine"
    client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})


@pytest.mark.parametrize("act", [log_out, change_password])
def test_what_ends_a_login_ends_its_permissions_to_buy_in_every_process(client: Client, act: Any) -> None:
    fan = services.register_verified(email="fan@example.org", password=PASSWORD)
    drop = make_drop()
    client.force_login(User.objects.get(id=fan))
    before = client.post(f"/api/v1/sales/{drop.sale_id}/buy-token").json()["buy_token"]
    read_purchase(drop.sale_id, before)

    act(client)
    permits.refresh(now=clock.now())

    with pytest.raises(BadBuyToken):
        read_purchase(drop.sale_id, before)
    after = issue_buy_token(user_id=fan, sale_id=drop.sale_id, now=clock.now())["buy_token"]
    read_purchase(drop.sale_id, after)


def test_a_permission_that_is_asked_for_while_the_session_ends_is_none() -> None:
    """The session was read before the log-out, the token made after it."""
    fan, drop = make_fan(), make_drop()
    began = clock.now()
    permits.end_now(user_id=fan, now=clock.now())
    token = issue_buy_token(user_id=fan, sale_id=drop.sale_id, now=began)["buy_token"]
    permits.refresh(now=clock.now())

    with pytest.raises(BadBuyToken):
        read_purchase(drop.sale_id, token)


def test_a_ban_ends_the_session_and_keeps_what_was_bought(client: Client, staff: UUID) -> None:
    drop, fan = make_drop(), make_fan(funds=5_000)
    order = buy(drop, fan)
    client.force_login(User.objects.get(id=fan))
    wallet_page = "/wallet/"
    before = client.get(wallet_page).status_code

    turn_out(fan, staff, NOW)

    assert before == 200
    assert client.get(wallet_page).status_code == 302
    assert Order.objects.get(id=order.id).state == "paid"
    assert wallet(fan).available_minor == 4_000


def test_a_reason_is_asked_for_and_a_repeat_changes_nothing(staff: UUID) -> None:
    fan = make_fan()
    with pytest.raises(Invalid):
        bans.ban(user_id=fan, staff_id=staff, reason=" ", now=NOW)
    assert User.objects.get(id=fan).is_active

    for _ in range(2):
        bans.ban(user_id=fan, staff_id=staff, reason="Bots", now=NOW)

    assert Ban.objects.get(user_id=fan).reason == "Bots"
    assert not User.objects.get(id=fan).is_active


def test_staff_turn_a_user_out_in_the_admin(client: Client) -> None:
    fan = make_fan()
    client.force_login(User.objects.create_superuser("staff@example.org", "secret"))
    asked = client.post("/staff/accounts/user/", {"action": "turn_out", "_selected_action": str(fan)})
    assert "Only staff can read it." in asked.content.decode()
    assert not Ban.objects.exists()

    client.post("/staff/accounts/user/", {"action": "turn_out", "_selected_action": str(fan), "reason": "Bots"})

    assert Ban.objects.filter(user_id=fan).exists()


@pytest.fixture
def helper(client: Client) -> User:
    """Looks after fans, and is no superuser."""
    user = User.objects.create_user("helper@example.org", "secret")
    User.objects.filter(id=user.id).update(is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=["view_user", "change_user"]))
    client.force_login(User.objects.get(id=user.id))
    return user


def test_who_looks_after_fans_gives_nobody_more_power(client: Client, helper: User) -> None:
    fan = make_fan()
    User.objects.filter(id=fan).update(email="fan@example.org", display_name="A fan")

    form = {"email": "new@example.org", "display_name": "A fan", "is_staff": "on", "is_superuser": "on"}
    client.post(f"/staff/accounts/user/{fan}/change/", form)
    client.post(f"/staff/accounts/user/{helper.id}/change/", form | {"email": "mine@example.org"})

    changed = User.objects.get(id=fan)
    assert (changed.email, changed.is_staff, changed.is_superuser) == ("new@example.org", False, False)
    helper.refresh_from_db()
    assert (helper.email, helper.is_superuser) == ("helper@example.org", False)


def test_only_a_superuser_turns_staff_out(client: Client, helper: User) -> None:
    boss = User.objects.create_superuser("boss@example.org", "secret")

    for action in ("turn_out", "let_in_again"):
        chosen = {"action": action, "_selected_action": str(boss.id), "reason": "Mine now"}
        said = client.post("/staff/accounts/user/", chosen, follow=True)
        assert "Only a superuser" in said.content.decode()
    assert User.objects.get(id=boss.id).is_active

    bans.ban(user_id=helper.id, staff_id=boss.id, reason="Enough", now=NOW)
    assert not User.objects.get(id=helper.id).is_active
