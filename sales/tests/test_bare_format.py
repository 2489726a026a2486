"""A format that brings no pages of its own has them all the same: the spine's."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import Client

import dropfront.urls  # noqa: F401  # walks the formats once: before there is one more
from core import clock
from core.ids import uuid7
from core.invariants import Check
from core.money import Money
from drops.models import Drop
from sales import formats, prover
from sales.drafting import drafts
from sales.formats import BasePresenter, BaseRules, Count, Format, Sums, Words
from sales.forms import SaleForm
from sales.models import Sale, SaleState
from sales.phases import standing
from sales.terms import TermValue
from tests.tools.shop import make_seller

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = dt.timedelta(hours=1)


class BareRules(BaseRules):
    def terms(self, sale: Sale) -> Mapping[str, TermValue]:
        return {}

    def publish(self, sale: Sale, now: dt.datetime) -> None: ...

    def settle_step(self, sale: Sale, now: dt.datetime, *, limit: int) -> dt.datetime | None: ...

    def unwind_step(self, sale: Sale, now: dt.datetime, *, limit: int) -> dt.datetime | None: ...


BARE = Format(
    name="auction",
    app="drops",  # whose addresses it borrows
    words=Words(
        noun="auction", plural="auctions", things="bids", calling_off="Nobody will pay.", called_off="Nobody pays."
    ),
    count=Count("bids", "SELECT 0 WHERE %(sale_id)s::uuid IS NOT NULL"),
    rules=BareRules(),
    checks=[Check("nothing", "Nothing is sold twice", "SELECT 0, 0 WHERE %(sale_id)s::uuid IS NOT NULL")],
    presenter=BasePresenter(),
    form=SaleForm,
    draft=drafts(Drop, format="auction"),
)


@pytest.fixture
def sale(monkeypatch: pytest.MonkeyPatch) -> Sale:
    monkeypatch.setitem(formats._formats, BARE.name, BARE)
    now = clock.now()
    return Sale.objects.create(
        id=uuid7(), seller=make_seller(), format=BARE.name, title="A lamp", slug="a-lamp", story="", currency="PLAY",
        opens_at=now - HOUR, closes_at=now + HOUR, state=SaleState.LIVE, published_at=now - HOUR,
    )  # fmt: skip


def read(template: str, sale: Sale, **more: Any) -> str:
    context = {"sale": sale, "shop": sale.seller, "now": clock.now(), **standing(sale, clock.now()), **more}
    return words_of(render_to_string(f"sales/{template}.html", context))


def words_of(html: str) -> str:
    html = re.sub(r"(?s)<(head|script|template)\b.*?</\1>|<p[^>]*\shidden\b[^>]*>.*?</p>", " ", html)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


@pytest.mark.tampers  # there are no rows behind it
def test_it_has_a_card_a_room_and_a_proof(client: Client, sale: Sale) -> None:
    prover.prove_now(sale)

    home, room, proof = (
        words_of(client.get(url).content.decode()) for url in ("/", f"/sales/{sale.id}/", f"/proof/{sale.id}/")
    )

    assert "Live A lamp Auction by A shop closes in" in home
    assert "Live Auction A lamp A by A shop" in room
    assert 'data-phases="cancelled" hidden' in client.get(f"/sales/{sale.id}/").content.decode()
    assert "units sold 0 paid by fans 0.00 PLAY" in proof


@pytest.mark.tampers
@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("frozen", "Paused by staff; nothing is sold or bid, holds stay."),
        (SaleState.CLOSED, "Closed; the bids are being settled."),
        (SaleState.CANCELLED, "Called off By the seller. Nobody pays."),
    ],
)
def test_its_room_says_where_it_stands(client: Client, sale: Sale, state: str, said: str) -> None:
    Sale.objects.filter(id=sale.id).update(state=state)

    assert said in words_of(client.get(f"/sales/{sale.id}/").content.decode())


@pytest.mark.tampers
def test_a_frozen_sale_stays_on_the_first_shelf(client: Client, sale: Sale) -> None:
    Sale.objects.filter(id=sale.id).update(state="frozen")

    assert "On sale now Paused A lamp Auction by A shop" in words_of(client.get("/").content.decode())


@pytest.mark.tampers
def test_its_seller_has_pages_too(sale: Sale) -> None:
    sums = Sums(3, None, Money(900, "PLAY"))

    assert "sold 3 revenue, before the fee 9.00 PLAY" in read("console_frame", sale, sums=sums)
    assert "Close early Call off" in read("console_frame", sale, sums=sums, may_edit=True)
    assert "call the auction off and make a new one" in read("draft", sale, may_edit=True, terms_text="format: auction")
    assert "You have no bids yet" in render_to_string("sales/mine.html", {"chosen": BARE})


@pytest.mark.tampers
def test_a_frozen_sale_offers_its_seller_nothing_to_end_it_by(sale: Sale) -> None:
    sale.state = "frozen"

    page = read("console_frame", sale, sums=Sums(0, None, Money(0, "PLAY")), may_edit=True)

    assert "Paused by staff; nothing is sold or bid, holds stay." in page
    assert "Close early" not in page
    assert "Call off" not in page
