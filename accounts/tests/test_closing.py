"""Another address, leaving for good, and what staff read of it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import IntegrityError
from django.test import Client

from accounts import closing, services
from accounts.models import SecurityEvent, User
from core import clock
from core.errors import Refusal
from core.ids import uuid7
from core.money import Money
from payments import services as payments
from sellers import services as sellers
from sellers.models import Member, Role
from tests.tools.shop import NOW, buy, make_drop, make_fan, make_seller

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long password of mine"


def make(email: str) -> User:
    return User.objects.get(id=services.register_verified(email=email, password=PASSWORD))


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("staff@example.org", PASSWORD))
    return client


def change(client: Client, user: User, **fields: str) -> Any:
    inline = {f"emailaddress_set-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    form = {"email": user.email, "display_name": user.display_name, **inline, **fields}
    return client.post(f"/staff/accounts/user/{user.id}/change/", form)


def can_log_in(email: str) -> bool:
    return Client().post("/accounts/login/", {"login": email, "password": PASSWORD}).status_code == 302


def test_staff_change_an_address_and_the_old_one_is_no_way_in(staff: Client) -> None:
    user = make("old@example.org")
    theirs = Client()
    theirs.force_login(user)

    answer = change(staff, user, email="New@Example.org")
    assert answer.status_code == 302, answer.context["adminform"].form.errors

    assert list(EmailAddress.objects.filter(user=user).values_list("email", "verified")) == [("new@example.org", False)]
    assert not can_log_in("old@example.org")
    assert theirs.get("/wallet/").status_code == 302, "their sessions have ended"
    assert {address for sent in mail.outbox for address in sent.to} == {"old@example.org", "new@example.org"}
    assert SecurityEvent.objects.filter(user=user, event="email_changed", by__email="staff@example.org").exists()


@pytest.mark.parametrize("email", ["there@example.org", "THERE@example.org", "no address", "x@closed.invalid"])
def test_an_address_that_cannot_be_is_refused_and_nothing_changes(staff: Client, email: str) -> None:
    make("there@example.org")
    user = make("mine@example.org")

    with pytest.raises(Refusal):
        services.change_email(user_id=user.id, email=email, now=NOW)
    assert User.objects.get(id=user.id).email == "mine@example.org"


def test_an_account_that_staff_make_is_in_small_letters_and_gets_a_way_in(staff: Client) -> None:
    inline = {f"emailaddress_set-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    staff.post("/staff/accounts/user/add/", {"email": "Mixed.Case@Example.org", "display_name": "", **inline})

    assert User.objects.get(email="mixed.case@example.org")
    assert [sent.to for sent in mail.outbox] == [["mixed.case@example.org"]]


def test_the_database_itself_takes_no_capitals() -> None:
    user = make("mine@example.org")
    with pytest.raises(IntegrityError):
        User.objects.filter(id=user.id).update(email="Mine@example.org")


def test_whoever_leaves_is_nobody_and_what_was_bought_stays(client: Client) -> None:
    user = make("leaving@example.org")
    client.force_login(user)
    assert client.get("/account/close/").headers["Location"].startswith("/accounts/reauthenticate/")
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert json.loads(client.get("/account/export/").content)["email"] == "leaving@example.org"

    assert client.post("/account/close/").status_code == 302

    left = User.objects.get(id=user.id)
    assert left.email.endswith("@closed.invalid")
    assert (left.display_name, left.is_active, left.has_usable_password()) == ("", False, False)
    assert not can_log_in("leaving@example.org")
    assert client.get("/wallet/").status_code == 302
    assert SecurityEvent.objects.filter(user=user, event="account_closed").count() == 1
    assert make("leaving@example.org").id != user.id, "the address is free again"


def test_what_stands_in_the_way_is_said(client: Client) -> None:
    fan = make_fan(funds=5_000)
    seller = make_seller(owner_id=fan)
    drop = make_drop(hold_s=600)
    buy(drop, fan)
    buy(drop, fan, hold=True)
    payments.start_top_up(top_up_id=uuid7(), user_id=fan, amount=Money(500, "EUR"), now=clock.now())

    said = " ".join(closing.obstacles(fan))

    assert f"only owner of {seller.name}" in said
    assert "€10.00 of yours is set aside" in said
    assert "€30.00 is in your wallet" in said
    assert "running order" in said
    assert "A payment of yours is under way" in said
    with pytest.raises(closing.CannotClose):
        closing.close_account(user_id=fan, now=clock.now())
    assert User.objects.get(id=fan).is_active


def test_of_two_owners_who_leave_at_once_one_stays(race: Any) -> None:
    one, other = make_fan(), make_fan()
    seller = make_seller(owner_id=one)
    sellers.set_member(seller_id=seller.id, user_id=other, role=Role.OWNER)

    def leave(user_id: UUID) -> Any:
        return lambda: closing.close_account(user_id=user_id, now=clock.now())

    results = race(leave(one), leave(other))

    assert Member.objects.filter(seller=seller, role=Role.OWNER).count() == 1
    assert len([result for result in results if isinstance(result, Refusal)]) == 1


def test_logins_and_failures_are_read_by_staff_and_a_flood_is_one_row_a_minute(staff: Client) -> None:
    user = make("fan@example.org")
    for _ in range(4):
        Client().post("/accounts/login/", {"login": "fan@example.org", "password": "wrong"}, REMOTE_ADDR="192.0.2.7")
    assert can_log_in("fan@example.org")

    events = list(SecurityEvent.objects.filter(user=user).order_by("id").values_list("event", "client"))
    assert events[-1] == ("logged_in", "127.0.0.1")
    assert events[0] == ("login_failed", "192.0.2.7")
    assert len(events) <= 3  # a minute may have begun in between
    assert "login_failed" in staff.get("/staff/accounts/securityevent/").content.decode()
    assert staff.post(f"/staff/accounts/securityevent/{SecurityEvent.objects.first().id}/delete/").status_code == 403
