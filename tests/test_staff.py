"""Staff's pages: the first one says what needs a hand, and only theirs have a looser policy."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client

from accounts import services as accounts
from accounts.models import Ban, Notification, SecurityEvent, User
from core import clock, due_work
from core.errors import Busy
from core.ids import uuid7
from core.models import DueWork
from core.transactions import in_transaction
from dropfront import staff_fan, staff_search
from sales import services as sales
from sales.models import Refund, Sale
from sellers.models import Seller
from tests.tools.shop import buy, close_on_time, make_drop, make_fan, make_fans, make_seller

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


# A fan's page


def test_a_fans_page_shows_what_they_have_and_writes_down_who_looked(staff: Client) -> None:
    (fan,) = make_fans(1, funds=50_000)
    drop = make_drop(units_total=5)
    order = buy(drop, fan)

    page = staff.get(f"/staff/fans/{fan}/").content.decode()

    for said in (
        User.objects.get(id=fan).email,
        drop.sale.title,
        f"/staff/purchases/{drop.sale_id}/{order.id}/",
        "€490.00",
    ):
        assert said in page, said
    look = SecurityEvent.objects.get(event="looked_at")
    assert (look.user_id, look.by) == (fan, User.objects.get(email="staff@example.org"))


def test_nobody_sees_a_fan_whose_look_cannot_be_written_down(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    fan = make_fan()

    def away(*args: Any, **facts: Any) -> None:
        raise Busy

    monkeypatch.setattr(staff_fan.audit, "write", away)
    assert staff.get(f"/staff/fans/{fan}/").status_code == 503


def test_a_fan_is_turned_out_and_let_in_again_with_a_reason(staff: Client) -> None:
    fan = make_fan()
    url = f"/staff/fans/{fan}/"

    assert staff.post(url, {"act": "turn_out", "reason": ""}).status_code == 422
    assert User.objects.get(id=fan).is_active
    staff.post(url, {"act": "turn_out", "reason": "Bots"})
    assert Ban.objects.get(user_id=fan).reason == "Bots"
    staff.post(url, {"act": "let_in_again", "reason": "A mistake"})
    assert not Ban.objects.exists()
    events = SecurityEvent.objects.filter(user_id=fan, event__in=["turned_out", "let_in_again"]).order_by("id")
    assert [event.facts["reason"] for event in events] == ["Bots", "A mistake"]
    assert staff.post(url, {"act": "delete", "reason": "x"}).status_code == 403


def test_who_may_only_look_turns_nobody_out() -> None:
    helper, fan = make_fan(), make_fan()
    User.objects.filter(id=helper).update(is_staff=True)
    rights = Permission.objects.filter(codename__in=["view_user", "view_account", "view_sale"])
    User.objects.get(id=helper).user_permissions.set(rights)
    client = Client()
    client.force_login(User.objects.get(id=helper))

    assert client.get(f"/staff/fans/{fan}/").status_code == 200
    assert client.post(f"/staff/fans/{fan}/", {"act": "turn_out", "reason": "Bots"}).status_code == 403
    assert not Ban.objects.exists()


def test_staff_refund_a_purchase_once_and_say_why(staff: Client) -> None:
    (fan,) = make_fans(1, funds=50_000)
    drop = make_drop(units_total=5)
    order = buy(drop, fan)
    close_on_time(drop.sale_id)
    sales.settle_to_the_end(drop.sale_id)
    url = f"/staff/purchases/{drop.sale_id}/{order.id}/"
    form = {"number": "1", "amount": "4.00", "currency": "EUR", "reason": ""}

    assert staff.post(url, form).status_code == 422  # no reason
    assert not Refund.objects.exists()
    for _ in range(2):
        assert staff.post(url, form | {"reason": "It never came"}).status_code == 302

    refund = Refund.objects.get()
    assert (refund.amount_minor, refund.reason) == (400, "It never came")
    events = list(SecurityEvent.objects.filter(event="refund_by_staff", user_id=fan))
    assert [event.facts["reason"] for event in events] == ["It never came"] * 2  # each time somebody asked
    assert (
        Notification.objects.get(user_id=fan, key=f"back:{order.id}:1").title
        == f"{drop.sale.title}: staff refunded you"
    )


# The search


def test_the_search_finds_everything_by_what_people_quote(staff: Client) -> None:
    (fan,) = make_fans(1, funds=50_000)
    drop = make_drop(units_total=5, seller=make_seller(handle="northlight"), title="A blue lamp")
    order = buy(drop, fan)
    sale = Sale.objects.get(id=drop.sale_id)

    def found(asked: str) -> list[str]:
        groups = staff.get("/staff/search/", {"q": asked}).context["groups"]
        return [hit.url for group in groups for hit in group.hits]

    purchase, of_sale = f"/staff/purchases/{sale.id}/{order.id}/", f"/staff/sales/sale/{sale.id}/change/"
    email = User.objects.get(id=fan).email
    assert found(email.upper()) == found(str(fan)) == [f"/staff/fans/{fan}/"]
    assert found(str(order.id))[0] == purchase
    assert found(str(order.transfer_id))[0] == purchase
    assert found(sale.terms_sha256) == found(sale.terms_sha256[:8].upper()) == [of_sale]
    assert found("a blue") == found(str(sale.id)) == [of_sale]
    assert found("north") == found("northlight") == [f"/staff/sellers/seller/{sale.seller_id}/change/"]
    for nothing in (
        "%",
        "_",
        "",
        "\0",
        "x" * 10_000,
        sale.terms_sha256[:7],
        str(uuid7()),
        "nobody@example.org",
        "' OR 1=1",
    ):
        assert found(nothing) == [], nothing


def test_the_search_shows_few_of_many(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staff_search, "SHOWN_MAX", 2)
    for number in range(3):
        make_seller(handle=f"shop-{number}")
    (group,) = staff.get("/staff/search/?q=shop").context["groups"]
    assert len(group.hits) == 2


# Doors


def test_without_a_second_factor_staff_come_to_none_of_it(staff: Client, settings: Any) -> None:
    settings.STAFF_NEED_SECOND_FACTOR = True
    fan, drop = make_fan(), make_drop()

    for path in ("search/?q=a", f"fans/{fan}/", f"purchases/{drop.sale_id}/{uuid7()}/"):
        assert staff.get(f"/staff/{path}")["Location"] == "/accounts/2fa/", path
    staff.post(f"/staff/fans/{fan}/", {"act": "turn_out", "reason": "Bots"})
    assert not Ban.objects.exists()
    assert not SecurityEvent.objects.filter(event="looked_at").exists()


# What services write, nobody edits. Whoever registers a model that may be edited names it here.
EDITABLE = {"accounts.User", "auth.Group", "sellers.Seller"}


def test_no_row_that_services_write_can_be_edited(rf: Any) -> None:
    request = rf.get("/staff/")
    request.user = User.objects.get(
        id=accounts.register_verified(email="root@example.org", password=None, is_staff=True)
    )
    found = set()
    for model, page in admin.site._registry.items():
        may = (
            page.has_add_permission(request),
            page.has_change_permission(request),
            page.has_delete_permission(request),
        )
        names = {action.__name__ for action, *_ in page.get_actions(request).values()}
        if any(may) or page.list_editable or "delete_selected" in names:
            found.add(model._meta.label)
    assert found == EDITABLE
    for label in ("accounts.User", "sellers.Seller"):
        page = admin.site._registry[apps.get_model(label)]
        assert not page.has_delete_permission(request), label


# The first page


def test_the_first_page_lists_who_waits_with_buttons(staff: Client, settings: Any) -> None:
    settings.SELLERS_NEED_APPROVAL = True
    seller = make_seller(handle="northlight")
    in_transaction(lambda: due_work.schedule("sales.tell", uuid7(), due_at=clock.now()), name="test")
    DueWork.objects.filter(kind="sales.tell").update(parked_at=clock.now(), last_error="It broke")
    page = staff.get("/staff/")
    assert {words: count for words, count, _ in page.context["alarms"]}["Shops that wait for an answer"] == 1
    assert "/s/northlight/" in page.content.decode()
    assert "It broke" in page.content.decode()

    act = {"_selected_action": str(seller.id), "action": "approve"}
    assert "Reason" in staff.post("/staff/sellers/seller/?waits=asks", act).content.decode()
    assert Seller.objects.get(id=seller.id).waits_since is not None
    staff.post("/staff/sellers/seller/?waits=asks", act | {"reason": "We know them"})
    assert Seller.objects.get(id=seller.id).waits_since is None

    work = DueWork.objects.get(kind="sales.tell")
    staff.post("/staff/core/duework/?state=parked", {"_selected_action": str(work.id), "action": "set_free"})
    assert DueWork.objects.get(id=work.id).parked_at is None
