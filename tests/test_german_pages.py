"""What a stranger and a fan read in German holds no English, but for what people wrote themselves."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.core import mail
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import translation

from accounts.models import User
from core import clock
from core.ids import uuid7
from dropfront import views
from drops.models import Drop
from live import publisher
from rallies.models import Rally
from sales import prover
from sales import services as sales
from sales.models import Sale
from tests.tools import shop

pytestmark = pytest.mark.django_db(transaction=True)

GERMAN = {"HTTP_ACCEPT_LANGUAGE": "de-DE,de;q=0.9,en;q=0.5"}
PASSWORD = "ein langes Passwort"
PRICE = "24,00\N{NO-BREAK SPACE}€"
# Words without which hardly anything is said in English, and which no German has; and those that stand alone on buttons and badges.
ENGLISH = re.compile(
    r"\b(the|of|and|you|your|is|are|has|have|been|this|that|it|its|to|for|from|with|by|not|nothing|no|each|every|everybody|"
    r"left|sold|joined|paid|held|settled|closed|called|opens|closes|ends|ended|paused|announced|order|orders|join|joins|"
    r"buy|hold|leave|give|back|confirm|units?|price|amount|currency|receipt|proof|follow|following|wallet|save|log|password|"
    r"rally|rallies|sale|sales|account|news|search|more|older|newest|first|minutes?|hours?|days?)\b",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?s)<(script|style|pre|code|svg|bdi)\b.*?</\1>")
_LINK = re.compile(r"https?://\S+")
_SAID = re.compile(r'\b(?:aria-label|placeholder|alt|title|data-name)="([^"]*)"')
_ABOUT = re.compile(r'<meta name="description" content="([^"]*)"')


@pytest.fixture(autouse=True)
def _language_of_the_next_test() -> Iterator[None]:
    """A request leaves its language behind in the thread."""
    with translation.override(translation.get_language()):
        yield


def said_on(page: str) -> str:
    """All that is read on it, aloud or later too: attributes, what is hidden, and what scripts make copies of."""
    body = _CODE.sub(" ", page)
    parts = [*re.sub(r"<[^>]+>", " ", body).split(), *_SAID.findall(body), *_ABOUT.findall(body)]
    return _LINK.sub(" ", html.unescape(" ".join(parts)))


def english_on(page: str) -> list[str]:
    """Each English word with what stands around it."""
    text = said_on(page)
    return [text[max(0, found.start() - 30) : found.end() + 30] for found in ENGLISH.finditer(text)]


def check(client: Client, paths: Iterable[str]) -> None:
    found = {}
    for path in paths:
        page = client.get(path, follow=True).content.decode()
        assert re.search(r'<html[^>]* lang="de"', page), path
        found[path] = english_on(page)
    assert {path: words for path, words in found.items() if words} == {}


class World:
    """Sales in all places that they stand in, and a fan who has something in each."""

    def __init__(self) -> None:
        now = clock.now()
        self.seller = shop.make_seller(handle="lampenladen")
        self.fan = shop.make_fan(funds=100_000)
        terms: dict[str, Any] = {
            "seller": self.seller,
            "price_minor": 2_400,
            "hold_s": 600,
            "cancel_s": 600,
            "now": now,
        }
        self.drop = shop.make_drop(title="Lampe", **terms)
        later = {"opens_at": now + shop.HOUR, "closes_at": now + 2 * shop.HOUR}
        self.coming = shop.make_drop(title="Vase", **terms | later)
        self.rally = shop.make_rally(title="Tasse", seller=self.seller, now=now)
        self.settled = [
            shop.make_drop(title="Krug", **terms),
            shop.make_rally(title="Teller", seller=self.seller, late_joins=True, cap_units=100, now=now),
        ]
        bought = [(self.drop, False), (self.drop, True), (self.settled[0], False)]
        self.orders = [shop.buy(drop, self.fan, hold=hold, at=clock.now()).id for drop, hold in bought]
        self.joins = [shop.join(rally, self.fan, at=clock.now()).id for rally in (self.rally, self.settled[1])]
        for row in self.settled:
            settle(row)
        self.late = shop.join_late(self.settled[1], self.fan, at=clock.now()).id
        assert publisher.flush(10)

    def sales(self) -> list[Drop | Rally]:
        return [self.drop, self.coming, self.rally, *self.settled]

    def public_paths(self) -> list[str]:
        front = reverse("sales:storefront", args=[self.seller.handle])
        return [
            "/", "/?q=zzz", "/?format=drop&within=day", reverse("sales:proof_list"), "/nichts/",
            *(f"{front}?tab={tab}" for tab in ("now", "next", "past", "about")),
            *(reverse(f"sales:{page}", args=[row.sale_id]) for row in self.sales() for page in ("room", "terms", "proof")),
            f"{reverse('sales:proof', args=[self.settled[0].sale_id])}?receipt={self.orders[2]}",
        ]  # fmt: skip

    def fan_paths(self) -> list[str]:
        return [
            reverse("sales:things"), reverse("drops:orders"), reverse("rallies:joins"), reverse("ledger:wallet"),
            reverse("payments:start"), reverse("accounts:profile"), reverse("accounts:notifications"), reverse("accounts:close"),
            *(reverse("drops:order", args=[order]) for order in self.orders),
            *(reverse("rallies:receipt", args=[join]) for join in self.joins),
            reverse("rallies:late_receipt", args=[self.late]),
            *(f"/accounts/{page}/" for page in ("email", "password/change", "2fa", "sessions", "logout")),
        ]  # fmt: skip


def settle(row: Drop | Rally) -> None:
    now = clock.now()
    sales.close_sale_early(seller_id=row.sale.seller_id, sale_id=row.sale_id, now=now)
    while next_at := sales.settle_step(sale_id=row.sale_id, now=now):
        now = max(now, next_at)  # ends: each step pays some, or says when some can no longer be given back
    prover.prove_now(Sale.objects.select_related("seller").get(id=row.sale_id))


def logged_in(user_id: UUID) -> Client:
    client = Client(**GERMAN)
    client.force_login(User.objects.get(id=user_id))
    return client


def test_a_stranger_reads_german() -> None:
    check(Client(**GERMAN), World().public_paths())


def test_a_fan_reads_german() -> None:
    world = World()

    check(logged_in(world.fan), [*world.public_paths(), *world.fan_paths()])


def test_amounts_stand_as_germans_write_them() -> None:
    world = World()
    client = logged_in(world.fan)

    for path in ("/", reverse("sales:room", args=[world.drop.sale_id]), reverse("drops:order", args=[world.orders[0]])):
        page = html.unescape(client.get(path).content.decode())
        assert PRICE in page, path
        assert "€24" not in page, path


def test_a_refusal_is_said_in_german() -> None:
    world = World()
    answer = logged_in(world.fan).post(
        reverse("drops:buy", args=[world.drop.sale_id]), {"key": str(uuid7()), "quantity": 99}
    )

    assert answer.status_code >= 400
    assert english_on(answer.content.decode()) == []


def test_signing_up_and_in_is_german_on_pages_and_in_mails() -> None:
    """Which are allauth's, with our words in some."""
    client = Client(**GERMAN)
    new = {"email": "neu@example.org", "password1": PASSWORD, "password2": PASSWORD}
    check(
        client, [f"/accounts/{page}/" for page in ("signup", "login", "password/reset", "login/code", "confirm-email")]
    )
    answers = [
        client.post("/accounts/signup/", new | {"email": "x", "password2": "kurz"}),
        client.post("/accounts/login/", {"login": "wer@example.org", "password": "falsch"}),
        client.post("/accounts/signup/", new, follow=True),
    ]
    confirm = linked(mail.outbox[-1])
    answers += [client.get(confirm), client.post(confirm, follow=True)]
    stranger = Client(**GERMAN)
    answers += [
        stranger.get(confirm),
        stranger.post("/accounts/signup/", new, follow=True),
        stranger.post("/accounts/login/code/", {"email": new["email"]}, follow=True),
        stranger.post("/accounts/login/code/confirm/", {"code": "falsch"}, follow=True),
        stranger.post("/accounts/password/reset/", {"email": "wer@example.org"}, follow=True),
        stranger.post("/accounts/password/reset/", {"email": new["email"]}, follow=True),
    ]
    answers += [asking := stranger.get(linked(mail.outbox[-1]), follow=True)]
    chosen = {"password1": PASSWORD + "!", "password2": PASSWORD + "!"}
    answers += [stranger.post(asking.redirect_chain[-1][0], chosen, follow=True)]

    pages = [answer.content.decode() for answer in answers]
    letters = [f"{letter.subject} {letter.body} {letter.alternatives[0][0]}" for letter in mail.outbox]  # type: ignore[attr-defined]
    assert len(letters) >= 5
    assert [found for text in (*pages, *letters) if (found := english_on(text))] == []
    assert [
        said for text in (*pages, *letters) for said in re.findall(r"\b(?:Sie|Ihr\w*|Ihnen)\b", said_on(text))
    ] == []
    assert all('<html lang="de">' in letter for letter in letters)


def linked(letter: Any) -> str:
    """The path of the link in a mail."""
    return "/" + re.search(r"https?://\S+", letter.body)[0].split("/", 3)[3]  # type: ignore[index]


def test_a_page_of_last_resort_is_in_the_language_that_it_says() -> None:
    with translation.override("de"):
        page = views.server_error(RequestFactory().get("/")).content.decode()

    assert re.search(r'<html[^>]* lang="de"', page)
    assert english_on(page) == []
