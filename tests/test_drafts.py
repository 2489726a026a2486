"""A draft can be changed and copied, whatever its format; times are typed in a zone; a refused form names the field at fault."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import User
from core import clock
from core.ids import uuid7
from sales import drafting
from sales import services as sales
from sales.formats import get_format, list_formats
from sales.forms import moment_in
from sales.models import Sale, SaleState
from tests.tools.shop import auction_terms, drop_terms, dutch_terms, make_fan, make_seller, rally_terms

pytestmark = pytest.mark.django_db(transaction=True)

TERMS = {"drop": drop_terms, "rally": rally_terms, "english": auction_terms, "dutch": dutch_terms}
FORMATS = [format.name for format in list_formats()]


def whole_minute() -> dt.datetime:
    """Browsers ask for no seconds."""
    return clock.now().replace(second=0, microsecond=0)


class Shop:
    def __init__(self, format: str) -> None:
        self.owner = make_fan()
        self.seller = make_seller(handle="northlight", owner_id=self.owner)
        self.format = get_format(format)
        self.client = Client()
        self.client.force_login(User.objects.get(id=self.owner))
        terms = TERMS[format](seller=self.seller, now=whole_minute())
        self.sale: Sale = self.format.draft(**terms).sale

    def url(self, page: str, *args: Any) -> str:
        return self.format.url(page, "northlight", *(args or [self.sale.id]))

    def form(self, page: str = "edit") -> dict[str, str]:
        """What a browser would send: every field of the page as it stands."""
        html = self.client.get(self.url(page)).content.decode().split("</header>", 2)[2]
        return fields_of(html)


def fields_of(html: str) -> dict[str, str]:
    found = {}
    for tag in re.findall(r"<input[^>]*>", html):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        is_mark = attributes.get("type") in ("radio", "checkbox")
        if "name" in attributes and (not is_mark or "checked" in tag):
            found[attributes["name"]] = attributes.get("value", "on" if is_mark else "")
    for name, inside in re.findall(r'<select name="(\w+)".*?>(.*?)</select>', html, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', inside)
        found[name] = chosen[1] if chosen else ""
    for name, text in re.findall(r'<textarea name="(\w+)"[^>]*>\s*(.*?)</textarea>', html, re.DOTALL):
        found[name] = text
    return found


@pytest.fixture(params=FORMATS)
def shop(request: pytest.FixtureRequest) -> Shop:
    return Shop(request.param)


def test_the_form_says_what_the_draft_says_and_sent_unchanged_changes_nothing(shop: Shop) -> None:
    before = sales.draft_text(shop.sale)

    assert shop.client.post(shop.url("edit"), shop.form()).status_code == 302

    assert sales.draft_text(Sale.objects.select_related("seller").get()) == before


def test_a_draft_is_changed(shop: Shop) -> None:
    form = shop.form() | {"title": "Another title", "story": "Told anew."}
    if shop.format.name == "rally":
        form |= {"tier_price_0": "120"}

    assert shop.client.post(shop.url("edit"), form)["Location"] == shop.url("console")

    sale = Sale.objects.select_related("seller").get()
    assert (sale.id, sale.title, sale.story, sale.state) == (
        shop.sale.id,
        "Another title",
        "Told anew.",
        SaleState.DRAFT,
    )
    assert "Another title" in sales.draft_text(sale)
    if shop.format.name == "rally":
        assert "12000 from 1 " in sales.draft_text(sale)
    assert shop.client.post(shop.url("edit"), form).status_code == 422, "it is not the same draft any more"


def test_of_two_editors_at_once_one_is_told(shop: Shop, race: Any) -> None:
    terms = TERMS[shop.format.name](seller=shop.seller, now=clock.now())
    was = drafting.fingerprint(shop.sale)

    def change(title: str) -> Any:
        draft = drafting.replace(terms["draft"], sale_id=shop.sale.id, title=title, replaces=was)
        return lambda: shop.format.draft(**terms | {"draft": draft})

    results = race(change("One"), change("Two"))

    assert [type(result).__name__ for result in results].count("DraftChanged") == 1
    assert Sale.objects.get().title in ("One", "Two")


def test_what_is_published_is_not_changed(shop: Shop) -> None:
    form = shop.form()
    shop.client.post(shop.url("publish"))

    assert shop.client.get(shop.url("edit")).status_code == 409
    assert shop.client.post(shop.url("edit"), form | {"title": "Another"}).status_code == 409
    assert Sale.objects.get().title == shop.sale.title


def test_a_copy_is_a_new_draft_with_the_same_terms_and_asks_for_its_times(shop: Shop) -> None:
    shop.client.post(shop.url("publish"))
    form = shop.form("copy")
    assert form["sale_id"] != str(shop.sale.id)
    assert (form.get("opens_at", ""), form.get("closes_at", "")) == ("", "")
    assert shop.client.post(shop.format.url("new", "northlight"), form).status_code == 422

    later = (clock.now() + dt.timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M")
    shop.client.post(shop.format.url("new", "northlight"), form | {"opens": "now", "closes_at": later})

    made = Sale.objects.exclude(id=shop.sale.id).get()
    assert (made.title, made.state, made.seller_id) == (shop.sale.title, SaleState.DRAFT, shop.seller.id)


def test_the_api_changes_a_draft_and_only_a_draft(shop: Shop) -> None:
    plural = shop.format.words.slug
    url = f"/api/v1/sellers/northlight/{plural}/{shop.sale.id}"
    body = {"sale_id": str(shop.sale.id), "title": "By program", "currency": "EUR", "closes_at": shop.sale.closes_at.isoformat(),
            "opens_at": shop.sale.opens_at.isoformat()}  # fmt: skip
    body |= {
        "drop": {"price_minor": 900, "units_total": 3},
        "rally": {"tiers": [{"from_count": 1, "price_minor": 900}]},
        "english": {"start_minor": 900, "steps": "0:100"},
        "dutch": {"start_minor": 900, "floor_minor": 300, "step_minor": 100},
    }[shop.format.name]

    def put(**more: Any) -> Any:
        return shop.client.put(url, body | more, content_type="application/json")

    assert put().status_code == 200, put().content
    assert Sale.objects.get().title == "By program"
    assert put(sale_id=str(uuid7())).status_code == 422
    shop.client.post(shop.url("publish"))
    assert put(title="Too late").status_code == 409


# Times and zones


@pytest.mark.parametrize(
    ("local", "zone", "utc"),
    [
        ("2026-01-15T18:00", "Europe/Berlin", "2026-01-15T17:00"),
        ("2026-07-15T18:00", "Europe/Berlin", "2026-07-15T16:00"),  # the offset of that day, not of today
        ("2026-07-15T18:00", "Europe/London", "2026-07-15T17:00"),
        ("2026-01-15T18:00", "Asia/Kathmandu", "2026-01-15T12:15"),
    ],
)
def test_a_time_is_what_the_clocks_of_the_zone_show_on_that_day(local: str, zone: str, utc: str) -> None:
    found = moment_in(dt.datetime.fromisoformat(local), zone).astimezone(dt.UTC)
    assert found.isoformat().startswith(utc)


@pytest.mark.parametrize(("local", "word"), [("2026-03-29T02:30", "skip"), ("2026-10-25T02:30", "twice")])
def test_a_time_that_the_clocks_skip_or_show_twice_is_asked_again(local: str, word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        moment_in(dt.datetime.fromisoformat(local), "Europe/Berlin")


def test_times_are_read_in_the_chosen_zone_which_the_next_form_offers(shop: Shop) -> None:
    form = shop.form() | {
        "zone": "Asia/Tokyo",
        "opens": "at",
        "opens_at": "2027-01-10T09:00",
        "closes_at": "2027-01-11T09:00",
    }

    shop.client.post(shop.url("edit"), form)

    assert Sale.objects.get().opens_at == dt.datetime(2027, 1, 10, 0, 0, tzinfo=dt.UTC)
    assert (shop.form()["zone"], shop.form()["opens_at"]) == ("Asia/Tokyo", "2027-01-10T09:00")


# Mistakes


def wrong_values(format: Any) -> list[tuple[str, str]]:
    """For each term that the form asks for, values beyond its bounds, by the field's name."""
    form = format.form(initial={"sale_id": uuid7()})
    found = [("title", ""), ("closes_at", "soon"), ("closes_at", "2020-01-01T00:00"), ("opens_at", "2020-13-01T00:00")]
    for name, column in form.columns.items():
        high = getattr(column, "high", None)
        if high is not None and name in form.fields:
            found += [(name, str(high // getattr(column, "unit", 1) + 1)), (name, "-1"), (name, "x")]
    return found


@pytest.mark.parametrize(
    ("format", "name", "value"), [(format.name, *wrong) for format in list_formats() for wrong in wrong_values(format)]
)
def test_a_mistake_is_shown_at_its_field_and_a_link_leads_there(format: str, name: str, value: str) -> None:
    shop = Shop(format)
    answer = shop.client.post(shop.url("edit"), shop.form() | {"opens": "at", name: value})

    html = answer.content.decode()
    assert answer.status_code == 422
    assert re.search(rf'<(input|select|textarea)[^>]*name="{name}"[^>]*aria-invalid="true"', html), name
    assert re.search(rf'role="alert".*href="#id_{name}"', html, re.DOTALL), name
