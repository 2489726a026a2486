"""Nothing is out of reach: every list has a next page, and walking to its end meets each row once."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import openpyxl
import pytest
from django.http import QueryDict
from django.test import Client

from accounts import services as accounts
from accounts.models import User
from accounts.services import Message
from core import clock, paging
from core.transactions import in_transaction
from sales import exports, selectors
from sales.models import Sale
from sellers import services as sellers
from sellers.models import Role
from tests.tools.shop import HOUR, buy, make_drop, make_fan, make_seller

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 5
SIZE = 2
NEXT = re.compile(r'href="([^"]*)" rel="next"')


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGE_ROWS", SIZE)
    monkeypatch.setattr(selectors, "SHELF_ROWS", SIZE)
    monkeypatch.setattr(exports, "ROWS_AT_ONCE", SIZE)


def logged_in(user_id: UUID) -> Client:
    client = Client()
    client.force_login(User.objects.get(id=user_id))
    return client


class Made:
    """A shop with its rows of each kind, and who may see them."""

    def __init__(self) -> None:
        now = clock.now()
        self.owner, self.fan = make_fan(), make_fan(funds=90_000)
        self.seller = make_seller(handle="northlight", owner_id=self.owner)
        many = range(ROWS)
        terms = {"seller": self.seller, "now": now}
        self.open = [make_drop(**terms, title=f"Open {n}").sale_id for n in many]
        later = [now + HOUR * (n + 1) for n in many]
        self.upcoming = [
            make_drop(**terms, title=f"Soon {n}", opens_at=at, closes_at=at + HOUR).sale_id
            for n, at in enumerate(later)
        ]
        self.settled = [make_drop(**terms, title=f"Past {n}").sale_id for n in many]
        Sale.objects.filter(id__in=self.settled).update(state="settled", settled_at=now, closed_at=now)
        self.drop = make_drop(**terms, title="Bought of", units_total=50)
        self.orders = [buy(self.drop, self.fan, at=now).id for _ in many]
        self.titles = [f"You were told {n}" for n in many]
        for n, title in enumerate(self.titles):
            message = Message(self.fan, title, "", "/")
            in_transaction(lambda m=message, k=str(n): accounts.notify([m], key=k, now=now), name="test")


@pytest.fixture
def made() -> Made:
    return Made()


def walk(
    client: Client,
    path: str,
    read: Callable[[str], list[str]],
    *,
    shelf: str = "",
    add: Callable[[], Any] | None = None,
) -> list[str]:
    """What all pages of a list show, from the first to the last; of one `shelf` where a page has several. Something is added
    after the first."""
    found: list[str] = []
    query: str | None = ""
    while query is not None:
        text = client.get(f"{path}{query}").content.decode()
        found += read(text)
        links = [link.replace("&amp;", "&") for link in NEXT.findall(text)]
        moves = [link for link in links if not shelf or cursor(link, shelf) != cursor(query, shelf)]
        path, query = path.partition("?")[0], moves[0] if moves else None
        if add is not None:
            add()
            add = None
    return found


def cursor(query: str, shelf: str) -> str | None:
    return QueryDict(query.lstrip("?")).get(shelf)


def titles(word: str) -> Callable[[str], list[str]]:
    """What stands above a table, such as a shop's overview, is not its list."""
    return lambda text: sorted(set(re.findall(rf"{word} \d", text[max(text.find("<table"), 0) :])))


@pytest.mark.parametrize(
    ("path", "shelf", "word", "who"),
    [
        ("/", "open", "Open", None), ("/s/northlight/", "open", "Open", None), ("/", "upcoming", "Soon", None),
        ("/", "past", "Past", None), ("/proof/", "", "Past", None), ("/sell/northlight/", "", "Open", "owner"),
        ("/sell/northlight/?search=past", "", "Past", "owner"), ("/account/notifications/", "", "told", "fan"),
    ],
)  # fmt: skip
def test_every_page_of_a_list_is_reached_by_its_links(
    made: Made, path: str, shelf: str, word: str, who: str | None
) -> None:
    client = logged_in(getattr(made, who)) if who else Client()

    found = walk(client, path, titles(word), shelf=shelf)

    assert len(found) == len(set(found)) == ROWS


def test_a_fans_and_a_sellers_orders_and_the_statement_are_reached_whatever_is_added(made: Made) -> None:
    fan, owner = logged_in(made.fan), logged_in(made.owner)

    def numbers(text: str) -> list[str]:
        return [
            id for id in dict.fromkeys(re.findall(r"orders/([0-9a-f-]{36})/", text)) if id in set(map(str, made.orders))
        ]

    console = f"/sell/northlight/drops/{made.drop.sale_id}/"
    for client, path in ((fan, "/orders/"), (owner, console)):
        found = walk(client, path, numbers, add=lambda: buy(made.drop, make_fan(funds=2_000), at=clock.now()))
        assert sorted(found) == sorted(map(str, made.orders)), path
    amounts = walk(fan, "/wallet/", lambda text: re.findall(r"Purchase|Added", text.split('id="statement"')[1]))
    assert sorted(amounts) == ["Added", *["Purchase"] * ROWS]


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/api/v1/sales?when=open", None), ("/api/v1/sales?when=upcoming", None), ("/api/v1/sales?when=past", None),
        ("/api/v1/orders", "fan"), ("/api/v1/wallet/EUR/statement", "fan"),
        ("/api/v1/sellers/northlight/drops/{sale_id}/orders", "owner"),
    ],
)  # fmt: skip
def test_every_list_of_the_api_goes_on(made: Made, path: str, who: str | None) -> None:
    client = logged_in(getattr(made, who)) if who else Client()
    path = path.format(sale_id=made.drop.sale_id)
    path, _, query = path.partition("?")
    asked = dict(QueryDict(query).items())
    found, after = [], ""
    while after is not None:
        answer = client.get(path, asked | {"after": after}).json()
        found += [item["id"] for item in answer["items"]]
        after = answer["next"]

    assert len(found) == len(set(found)) >= ROWS
    assert client.get(path, asked | {"after": "nonsense"}).status_code == 422


def test_a_purchase_is_found_by_its_number_over_all_of_a_shops_sales_and_no_other_shops(made: Made) -> None:
    number = str(made.orders[0])
    found = logged_in(made.owner).get("/sell/northlight/", {"search": number})
    stranger = make_fan()
    make_seller(handle="kiln-nine", owner_id=stranger)

    assert found.headers["Location"].endswith(f"/{number}/")
    assert logged_in(stranger).get("/sell/kiln-nine/", {"search": number}).status_code == 200


async def _all(answer: Any) -> bytes:
    return b"".join([part async for part in answer.streaming_content])


@pytest.fixture
def bought(made: Made) -> str:
    User.objects.filter(id=made.fan).update(email="=cmd@example.org")
    return f"/sell/northlight/drops/{made.drop.sale_id}/export/orders"


def test_all_orders_come_as_csv_whose_cells_are_no_formulas(made: Made, bought: str) -> None:
    from asgiref.sync import async_to_sync

    text = async_to_sync(_all)(logged_in(made.owner).get(f"{bought}/csv/")).decode("utf-8-sig")

    lines = list(csv.DictReader(io.StringIO(text)))
    assert sorted(line["number"] for line in lines) == sorted(map(str, made.orders))
    assert {line["e-mail"] for line in lines} == {"'=cmd@example.org"}
    assert {line["unit price"] for line in lines} == {"10.00"}
    assert all(dt.datetime.fromisoformat(line["placed (UTC)"]) for line in lines)


def test_a_file_says_the_same_in_every_language(made: Made, bought: str) -> None:
    from asgiref.sync import async_to_sync

    owner = logged_in(made.owner)
    english, german = (
        async_to_sync(_all)(owner.get(f"{bought}/csv/", headers={"accept-language": language}))
        for language in ("en", "de")
    )

    assert german == english


def test_they_come_as_a_spreadsheet_with_numbers(made: Made, bought: str) -> None:
    from asgiref.sync import async_to_sync

    body = async_to_sync(_all)(logged_in(made.owner).get(f"{bought}/xlsx/"))

    head, *rows = openpyxl.load_workbook(io.BytesIO(body)).active.iter_rows(values_only=True)
    lines = [dict(zip(head, row, strict=True)) for row in rows]
    assert sorted(line["number"] for line in lines) == sorted(map(str, made.orders))
    assert {(line["unit price"], line["e-mail"]) for line in lines} == {(10.0, "=cmd@example.org")}
    assert isinstance(lines[0]["placed (UTC)"], dt.datetime)


def test_whoever_may_only_look_gets_no_addresses(made: Made, bought: str) -> None:
    from asgiref.sync import async_to_sync

    viewer = make_fan()
    sellers.set_member(seller_id=made.seller.id, user_id=viewer, role=Role.VIEWER)

    assert b"example.org" not in async_to_sync(_all)(logged_in(viewer).get(f"{bought}/csv/"))
    assert logged_in(made.owner).get(f"{bought}/pdf/").status_code == 404
    assert logged_in(made.owner).get(bought.replace("orders", "joins") + "/csv/").status_code == 404
