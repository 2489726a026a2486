"""What fans find and follow: home narrowed down, cards that keep up, shops, calendars, their things."""

from __future__ import annotations

import datetime as dt
import re
from uuid import UUID

import pytest
from django.core import mail
from django.test import Client
from icalendar import Calendar

from accounts.models import Notification, User
from core import clock, due_work
from core.errors import Conflict, Invalid
from core.ids import uuid7
from drops import services as drops
from live import publisher
from sales import presenters, selectors
from sales.models import Sale
from sales.selectors import Find
from sellers import joining
from sellers import selectors as seller_selectors
from sellers import services as sellers
from sellers.errors import InvitationOver, OtherAddress
from sellers.models import Member, Role
from tests.tools.shop import HOUR, buy, drop_terms, join, make_drop, make_fan, make_rally, make_seller

pytestmark = pytest.mark.django_db(transaction=True)


def client_of(user_id: UUID) -> Client:
    client = Client()
    client.force_login(User.objects.get(id=user_id))
    return client


def titles(find: Find) -> set[str]:
    return {sale.title for sale in selectors.page_of_open(clock.now(), find=find).rows}


def test_sales_are_found_by_word_shop_kind_price_and_time() -> None:
    now = clock.now()
    northlight = make_seller(handle="northlight")
    sellers.set_brand(seller_id=northlight.id, name="Northlight Press", about="", hue=None, chroma=None)
    make_drop(seller=northlight, title="Aurora 100%", price_minor=2_400, now=now, closes_at=now + HOUR / 2)
    make_drop(title="Moon jar", price_minor=14_000, now=now, closes_at=now + 48 * HOUR)
    make_rally(title="Storm lantern", now=now, closes_at=now + 2 * HOUR)

    assert titles(Find()) == {"Aurora 100%", "Moon jar", "Storm lantern"}
    assert titles(Find(q="aurora")) == {"Aurora 100%"}
    assert titles(Find(q="northLIGHT")) == {"Aurora 100%"}
    assert titles(Find(q="100%")) == {"Aurora 100%"}  # a sign of LIKE is only a sign
    assert titles(Find(q="1_0%")) == set()
    assert titles(Find(format="rally")) == {"Storm lantern"}
    assert titles(Find(most=24)) == {"Aurora 100%"}
    assert titles(Find(most=23)) == set()
    assert titles(Find(within=HOUR)) == {"Aurora 100%"}


@pytest.mark.parametrize("query", ["q=%00", "most=x", "within=never", "format=nothing", "most=-1", "q=" + "x" * 500])
def test_home_takes_any_wish(query: str) -> None:
    make_drop()
    assert Client().get(f"/?{query}").status_code == 200


def test_a_card_comes_again_only_when_it_says_something_else() -> None:
    drop = make_drop(units_total=5, now=clock.now())
    page = Client().get("/").content.decode()
    mark = re.search(r'data-card="([^"]+)"', page)
    assert mark
    assert "card" not in Client().get("/live-cards/", {"at": mark[1]}).content.decode()
    buy(drop, make_fan(funds=9_000), at=clock.now())
    assert publisher.flush(10)
    assert '<span class="strong">4</span>' in Client().get("/live-cards/", {"at": mark[1]}).content.decode()
    for wrong in ("", "x", f"{uuid7()}.1.open", "," * 500):
        assert Client().get("/live-cards/", {"at": wrong}).status_code == 200


def test_the_hottest_sale_is_the_one_that_most_happens_in() -> None:
    now = clock.now()
    quiet, busy = make_drop(title="Quiet", now=now), make_drop(title="Busy", units_total=50, now=now)
    for _ in range(3):
        buy(busy, make_fan(funds=9_000), at=clock.now())
    assert publisher.flush(10)
    hottest = presenters.hottest(presenters.cards([quiet.sale, busy.sale], clock.now()))
    assert hottest is not None
    assert hottest.sale.title == "Busy"


def test_who_follows_a_shop_is_told_of_its_new_sales_once() -> None:
    seller, fan, other = make_seller(handle="northlight"), make_fan(), make_fan()
    client = client_of(fan)
    for _ in range(2):
        client.post("/s/northlight/follow/")
    assert seller_selectors.count_followers(seller.id) == 1
    make_drop(seller=seller, title="A new print")
    due_work.run_due()
    assert [note.title for note in Notification.objects.filter(user_id=fan)] == ["A shop announced A new print"]
    assert not Notification.objects.filter(user_id=other).exists()
    client.post("/s/northlight/follow/not/")
    make_drop(seller=seller, title="Another")
    due_work.run_due()
    assert Notification.objects.filter(user_id=fan).count() == 1


def test_followers_hear_of_so_many_sales_a_day() -> None:
    seller, fan = make_seller(handle="northlight"), make_fan()
    client_of(fan).post("/s/northlight/follow/")
    for number in range(8):
        make_drop(seller=seller, title=f"Print {number}")
    for _ in range(8):  # of a kind, so many in a round
        due_work.run_due()
    assert Notification.objects.filter(user_id=fan).count() == 5


def test_a_sale_goes_into_a_calendar() -> None:
    drop = make_drop(title="Moon; jar, \\ RRULE:FREQ=DAILY")
    answer = Client().get(f"/sales/{drop.sale_id}/calendar.ics")
    (event,) = Calendar.from_ical(answer.content).walk("VEVENT")
    assert str(event["summary"]).startswith(drop.sale.title)
    assert (event["dtstart"].dt, event["dtend"].dt) == (drop.sale.opens_at, drop.sale.closes_at)
    assert "rrule" not in event


def test_a_shops_colour_is_two_numbers_and_nothing_else() -> None:
    seller = make_seller(handle="northlight")
    sellers.set_brand(seller_id=seller.id, name="N", about="", hue=725, chroma=99)
    css = Client().get("/s/northlight/theme.css")
    assert css.content.decode() == ":root { --shop-hue: 5; --shop-chroma: 0.14; }\n"
    assert css["Content-Type"].startswith("text/css")


def test_light_or_dark_is_the_browsers_choice() -> None:
    client = Client()
    assert client.post("/appearance/", {"theme": "dark", "next": "/proof/"})["Location"] == "/proof/"
    assert 'data-theme="dark"' in client.get("/").content.decode()
    assert client.post("/appearance/", {"theme": "", "next": "https://elsewhere.example/"})["Location"] == "/"
    assert "data-theme" not in client.get("/").content.decode()


def test_my_things_are_one_list_over_all_kinds_the_newest_first() -> None:
    now, fan = clock.now(), make_fan(funds=90_000)
    first = buy(make_drop(title="First", now=now), fan, at=now)
    join(make_rally(title="Second", now=now), fan, at=now)
    third = buy(make_drop(title="Third", now=now), fan, at=now)
    page = client_of(fan).get("/things/").content.decode()
    places = [page.index(title) for title in ("Third", "Second", "First")]
    assert places == sorted(places)
    only = client_of(fan).get("/orders/").content.decode()
    assert "Second" not in only
    pdf = client_of(fan).get(f"/things/{first.id}/receipt.pdf")
    assert pdf.content.startswith(b"%PDF-")
    assert client_of(make_fan()).get(f"/things/{third.id}/receipt.pdf").status_code == 404


def test_a_proof_finds_a_receipt_without_saying_whose_it_is() -> None:
    now, fan = clock.now(), make_fan(funds=9_000)
    drop = make_drop(now=now)
    order = buy(drop, fan, at=now)
    other = buy(make_drop(now=now), fan, at=now)
    found = Client().get(f"/proof/{drop.sale_id}/", {"receipt": str(order.id)}).content.decode()
    assert "It is in this sale." in found
    assert User.objects.get(id=fan).email not in found
    for wrong in (str(other.id), "x", str(uuid7())):
        page = Client().get(f"/proof/{drop.sale_id}/", {"receipt": wrong}).content.decode()
        assert "No purchase of this sale has that number" in page


def test_the_price_to_begin_with_is_kept_for_finding() -> None:
    assert Sale.objects.get(id=make_drop(price_minor=2_450).sale_id).entry_minor == 2_450
    assert Sale.objects.get(id=make_rally().sale_id).entry_minor == 10_000


# Members


@pytest.fixture
def shop() -> tuple[UUID, UUID]:
    owner = make_fan()
    return make_seller(handle="northlight", owner_id=owner).id, owner


def invite(shop: tuple[UUID, UUID], email: str, **more: object) -> UUID:
    seller_id, owner = shop
    said = {
        "invitation_id": uuid7(),
        "seller_id": seller_id,
        "role": Role.MANAGER,
        "by": owner,
        "now": clock.now(),
    } | more
    return joining.invite(email=email, **said).id  # type: ignore[arg-type]


def test_an_invitation_is_taken_once_and_by_its_own_address(shop: tuple[UUID, UUID]) -> None:
    fan, other = make_fan(), make_fan()
    email = User.objects.get(id=fan).email
    invitation_id = invite(shop, email.upper())
    with pytest.raises(OtherAddress):
        joining.accept(invitation_id=invitation_id, user_id=other, now=clock.now())
    for _ in range(2):
        assert joining.accept(invitation_id=invitation_id, user_id=fan, now=clock.now()).role == Role.MANAGER
    sellers.remove_member(seller_id=shop[0], user_id=fan)
    with pytest.raises(InvitationOver):  # whoever was taken out does not come back by it
        joining.accept(invitation_id=invitation_id, user_id=fan, now=clock.now())
    assert not Member.objects.filter(user_id=fan).exists()


def test_an_invitation_of_who_is_no_owner_any_more_lets_nobody_in(shop: tuple[UUID, UUID]) -> None:
    seller_id, owner = shop
    other_owner, friend = make_fan(), make_fan()
    invitation_id = invite(shop, User.objects.get(id=friend).email, role=Role.OWNER)
    sellers.set_member(seller_id=seller_id, user_id=other_owner, role=Role.OWNER)
    sellers.remove_member(seller_id=seller_id, user_id=owner)
    with pytest.raises(InvitationOver):
        joining.accept(invitation_id=invitation_id, user_id=friend, now=clock.now())
    assert not Member.objects.filter(user_id=friend).exists()


def test_an_invitation_runs_out_and_is_taken_back(shop: tuple[UUID, UUID]) -> None:
    fan = make_fan()
    email = User.objects.get(id=fan).email
    old = invite(shop, email)
    with pytest.raises(InvitationOver):
        joining.accept(invitation_id=old, user_id=fan, now=clock.now() + joining.OPEN_FOR + dt.timedelta(seconds=1))
    newer = invite(shop, email)  # takes the place of the one before
    with pytest.raises(InvitationOver):
        joining.accept(invitation_id=old, user_id=fan, now=clock.now())
    joining.take_back(seller_id=make_seller().id, invitation_id=newer)  # another shop's cannot
    joining.take_back(seller_id=shop[0], invitation_id=newer)
    with pytest.raises(InvitationOver):
        joining.accept(invitation_id=newer, user_id=fan, now=clock.now())


def test_a_member_is_not_invited_again_and_there_are_so_many(
    shop: tuple[UUID, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Invalid, match="member already"):
        invite(shop, User.objects.get(id=shop[1]).email)
    monkeypatch.setattr(joining, "OPEN_MAX", 1)
    invite(shop, "one@example.org")
    with pytest.raises(Conflict):
        invite(shop, "two@example.org")


def test_an_owner_invites_by_page_and_the_mail_leads_to_the_shop(shop: tuple[UUID, UUID]) -> None:
    fan = make_fan()
    email = User.objects.get(id=fan).email
    form = {"invitation_id": str(uuid7()), "email": email, "role": "viewer"}
    assert client_of(shop[1]).post("/sell/northlight/members/", form).status_code == 302
    (letter,) = [one for one in mail.outbox if email in one.to]
    link = re.search(r"http://[^/]+(/sell/join/\S+)", letter.body)
    assert link
    assert client_of(fan).post(link[1]).status_code == 302
    assert Member.objects.get(user_id=fan).role == Role.VIEWER


def test_a_published_sale_counts_for_the_shops_overview(shop: tuple[UUID, UUID]) -> None:
    seller = seller_selectors.get_seller("northlight")
    now = clock.now()
    drop = make_drop(seller=seller, title="On now", units_total=1, now=now)
    buy(drop, make_fan(funds=9_000), at=now)
    drops.draft_drop(**drop_terms(seller=seller, title="Not yet", now=now))
    found = presenters.overview(seller, now)
    assert [row.sale.title for row in found.running] == ["On now"]
    assert {task.words.split(" is ")[0] for task in found.tasks} == {"Not yet", "On now"}
