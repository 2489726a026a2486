"""Staff's pages: the first one says what needs a hand, and only theirs have a looser policy."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts import services as accounts
from accounts.models import User
from core import clock, due_work
from core.ids import uuid7
from core.models import DueWork
from core.transactions import in_transaction
from tests.tools.shop import make_drop, make_fan

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff() -> Client:
    user_id = accounts.register_verified(email="staff@example.org", password=None, is_staff=True)
    User.objects.filter(id=user_id).update(is_superuser=True)
    client = Client()
    client.force_login(User.objects.get(id=user_id))
    return client


def test_the_first_page_counts_what_needs_a_hand(staff: Client) -> None:
    make_drop()
    in_transaction(lambda: due_work.schedule("sales.tell", uuid7(), due_at=clock.now()), name="test")
    DueWork.objects.filter(kind="sales.tell").update(parked_at=clock.now())
    page = staff.get("/staff/").context
    assert {words: count for words, count, _ in page["alarms"]}["Parked work"] == 1
    assert {words: count for words, count, _ in page["states"]}["Scheduled"] == 1


def test_only_staffs_pages_may_compile_scripts(staff: Client) -> None:
    def policy(path: str) -> str:
        return staff.get(path)["Content-Security-Policy"]

    assert "'unsafe-eval'" in policy("/staff/")
    for path in ("/", "/proof/", "/account/", "/nowhere/", "/staffs/"):
        assert "unsafe" not in policy(path), path


def test_a_fan_sees_nothing_of_it() -> None:
    client = Client()
    client.force_login(User.objects.get(id=make_fan()))
    assert client.get("/staff/").status_code == 302
