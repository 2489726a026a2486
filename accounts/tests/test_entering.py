"""Signing up, logging in, and two requests of one session."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.test import Client

from accounts import forms, services
from accounts.models import User
from accounts.sessions import SessionStore

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long password of mine"
NEW = {"email": "new@example.org", "password1": PASSWORD, "password2": PASSWORD}


@pytest.fixture
def user() -> User:
    return User.objects.get(id=services.register_verified(email="there@example.org", password=PASSWORD))


def log_in(client: Client, password: str, email: str = "there@example.org", **where: Any) -> Any:
    return client.post("/accounts/login/", {"login": email, "password": password}, **where)


def is_in(answer: Any) -> bool:
    return bool(answer.status_code == 302)


def test_signing_up_twice_at_once_makes_one_account_and_says_the_same(race: Any) -> None:
    def sign_up() -> Any:
        return Client(raise_request_exception=False).post("/accounts/signup/", NEW)

    answers = race(sign_up, sign_up, sign_up)

    assert {(answer.status_code, answer.headers.get("Location")) for answer in answers} == {
        (302, "/accounts/confirm-email/")
    }
    assert User.objects.filter(email="new@example.org").count() == 1


def test_adding_an_address_twice_at_once_adds_one(user: User, race: Any) -> None:
    client = Client(raise_request_exception=False)
    assert is_in(log_in(client, PASSWORD))
    assert is_in(client.post("/accounts/reauthenticate/", {"password": PASSWORD}))

    def add() -> Any:
        second = Client(raise_request_exception=False)
        second.cookies = client.cookies
        return second.post("/accounts/email/", {"action_add": "", "email": "more@example.org"})

    answers = race(add, add)

    assert {answer.status_code for answer in answers} <= {302, 200}  # added, or the page that says it is there already
    assert EmailAddress.objects.filter(email="more@example.org").count() == 1


@pytest.mark.parametrize("email", ["there@example.org", "new@example.org"])
def test_signing_up_takes_as_long_for_who_is_there_as_for_who_is_not(user: User, email: str, monkeypatch: Any) -> None:
    from django.contrib.auth import base_user

    hashed = []

    def count(password: str, *args: Any, **options: Any) -> str:
        hashed.append(password)
        return "!"

    monkeypatch.setattr(base_user, "make_password", count)
    monkeypatch.setattr(forms, "make_password", count)

    assert is_in(Client().post("/accounts/signup/", NEW | {"email": email}))
    assert hashed.count(PASSWORD) == 1


def test_wrong_passwords_lock_their_sender_out_and_not_the_fan(user: User) -> None:
    attacker, fan = Client(), Client()
    for port in range(forms_failures := 5):
        assert not is_in(
            log_in(attacker, f"wrong {port}", HTTP_HOST=f"localhost:{2_000 + port}", REMOTE_ADDR="6.6.6.6")
        )
    assert forms_failures == 5

    locked = log_in(attacker, PASSWORD, HTTP_HOST="localhost:3000", REMOTE_ADDR="6.6.6.6")
    assert "Too many failed login attempts" in locked.content.decode()
    assert is_in(log_in(fan, PASSWORD, REMOTE_ADDR="1.2.3.4"))


def test_another_address_wants_the_password_again_and_the_old_one_hears_of_it(user: User) -> None:
    client = Client()
    client.force_login(user)  # a session, and no password given in it

    added = client.post("/accounts/email/", {"action_add": "", "email": "thief@example.org"})

    assert added.headers["Location"].startswith("/accounts/reauthenticate/")
    assert not EmailAddress.objects.filter(email="thief@example.org").exists()
    assert is_in(client.post(added.headers["Location"], {"password": PASSWORD}))
    EmailAddress.objects.create(user=user, email="mine@example.org", verified=True, primary=False)
    client.post("/accounts/email/", {"action_primary": "", "email": "mine@example.org"})
    assert User.objects.get(id=user.id).email == "mine@example.org"
    assert client.get("/wallet/").status_code == 200, "who changed it stays logged in"
    assert any("there@example.org" in sent.to for sent in mail.outbox)
    assert all(sent.subject.startswith("Dropfront: ") for sent in mail.outbox)


@pytest.fixture
def staff(user: User) -> User:
    User.objects.filter(id=user.id).update(is_staff=True, is_superuser=True)
    return User.objects.get(id=user.id)


def test_staff_of_a_production_site_need_a_second_factor(staff: User, settings: Any) -> None:
    settings.STAFF_NEED_SECOND_FACTOR = True
    client = Client()
    client.force_login(staff)

    assert client.get("/staff/").headers["Location"] == "/accounts/2fa/"
    assert client.get("/").status_code == 200
    assert is_in(client.post("/accounts/reauthenticate/", {"password": PASSWORD}))
    secret = client.get("/accounts/2fa/totp/activate/").context["form"].secret
    assert is_in(client.post("/accounts/2fa/totp/activate/", {"code": totp(secret)}))
    assert client.get("/staff/").status_code == 200
    assert any("there@example.org" in sent.to for sent in mail.outbox), "who owns the address hears of it"

    # From now on a password alone leads to the question for the second factor, and not in.
    other = Client()
    assert log_in(other, PASSWORD).headers["Location"] == "/accounts/2fa/authenticate/"
    assert other.get("/wallet/").status_code == 302
    codes = Authenticator.objects.get(user=staff, type="recovery_codes").wrap().get_unused_codes()
    assert is_in(other.post("/accounts/2fa/authenticate/", {"code": codes[0]}))
    assert other.get("/wallet/").status_code == 200


def test_a_code_by_mail_is_no_way_around_the_second_factor(user: User) -> None:
    Authenticator.objects.create(user=user, type="totp", data={"secret": auth.generate_totp_secret()})
    client = Client()
    client.post("/accounts/login/code/", {"email": user.email})

    assert client.post("/accounts/login/code/confirm/", {"code": code_in_mail()}).headers["Location"] == (
        "/accounts/2fa/authenticate/"
    )
    assert client.get("/wallet/").status_code == 302


def code_in_mail() -> str:
    found = re.search(r"^[A-Z0-9-]{6,}$", str(mail.outbox[-1].body), re.MULTILINE)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("email", ["abc@closed.invalid", "ABC@Closed.invalid"])
def test_nobody_signs_up_with_the_address_of_a_closed_account(email: str) -> None:
    assert Client().post("/accounts/signup/", NEW | {"email": email}).status_code == 200
    assert not User.objects.filter(email=email.lower()).exists()


def totp(secret: str) -> str:
    counter = next(iter(auth.yield_hotp_counters_from_time()))
    return str(auth.format_hotp_value(auth.hotp_value(secret, counter)))


def test_a_code_by_mail_logs_in_and_confirms_the_address() -> None:
    Client().post("/accounts/signup/", NEW)
    client = Client()
    client.post("/accounts/login/code/", {"email": NEW["email"]})

    assert is_in(client.post("/accounts/login/code/confirm/", {"code": code_in_mail()}))

    assert EmailAddress.objects.get(email=NEW["email"]).verified
    assert client.get("/wallet/").status_code == 200


def test_a_login_somewhere_else_is_seen_and_ended(user: User) -> None:
    here, elsewhere = Client(), Client()
    assert is_in(log_in(here, PASSWORD))
    assert is_in(log_in(elsewhere, PASSWORD))
    assert here.get("/accounts/sessions/").content.decode().count("127.0.0.1") >= 2

    here.post("/accounts/sessions/")

    assert here.get("/wallet/").status_code == 200
    assert elsewhere.get("/wallet/").status_code == 302


def test_every_letter_is_ours_as_text_and_as_html(user: User) -> None:
    Client().post("/accounts/signup/", NEW)
    Client().post("/accounts/signup/", NEW | {"email": "there@example.org"})
    Client().post("/accounts/password/reset/", {"email": "there@example.org"})
    Client().post("/accounts/login/code/", {"email": "there@example.org"})

    assert len(mail.outbox) == 4
    for letter in mail.outbox:
        assert isinstance(letter, EmailMultiAlternatives)
        ((html, kind),) = letter.alternatives
        assert kind == "text/html"
        assert letter.subject.startswith("Dropfront: ")
        for text in (str(letter.body), str(html)):
            assert "testserver!" not in text
            assert "Thank you for using" not in text
        assert "<script" not in str(html)


def test_a_letter_says_by_whose_clock_its_time_is(user: User) -> None:
    client = Client()
    assert is_in(log_in(client, PASSWORD))
    client.cookies["zone"] = "Asia/Kolkata"
    changed = {"oldpassword": PASSWORD, "password1": PASSWORD + "!", "password2": PASSWORD + "!"}
    assert is_in(client.post("/accounts/reauthenticate/", {"password": PASSWORD}))
    assert is_in(client.post("/accounts/password/change/", changed))

    assert re.search(r"It was done on \d+ \w+ \d+, \d\d:\d\d IST,", str(mail.outbox[-1].body))


def test_two_writers_of_one_session_both_come_through(race: Any) -> None:
    session = SessionStore()
    session["n"] = 0
    session.create()

    def write(number: int) -> None:
        mine = SessionStore(session.session_key)
        mine["n"] = number
        mine.save()

    assert race(*[lambda number=number: write(number) for number in range(6)]) == [None] * 6
    assert SessionStore().decode(Session.objects.get().session_data)["n"] in range(6)
