"""Demo data, loaded through the same services that sellers and fans use. Loading it again only adds what has run out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from accounts import services as accounts
from core import clock
from core.ids import uuid7
from core.money import Money
from ledger import selectors as ledger_selectors
from payments import services as payments
from payments.providers import Simulated
from pictures.models import Placed
from sales import showing
from sales.formats import list_formats
from sellers import services as sellers
from sellers.models import Seller
from sellers.theme import CHROMA

PASSWORD = "drop-front-demo"  # noqa: S105  # printed by bin/up; refused in production


@dataclass(frozen=True, slots=True)
class Login:
    role: str
    email: str
    name: str


FAN = Login("fan", "fan@example.org", "Demo fan")
SELLER = Login("seller", "seller@example.org", "Demo seller")
STAFF = Login("staff", "staff@example.org", "Demo staff")
LOGINS = [FAN, SELLER, STAFF]


@dataclass(frozen=True, slots=True)
class Shop:
    name: str
    about: str
    hue: int
    logo: str
    cover: str


SHOPS = {
    "northlight": Shop(
        "Northlight Press", "Small runs of printed things, numbered by hand.", 262, "northlight-logo.png", "studio.jpg"
    ),
    "kiln-nine": Shop(
        "Kiln Nine", "Stoneware, fired once a month, sold until the shelf is empty.", 48, "kiln-logo.png", "kiln.jpg"
    ),
}


def load() -> Iterator[str]:
    """Bring the demo up to date; yields a line for each thing done."""
    users = {login.role: _register(login) for login in LOGINS}
    shops = {handle: _shop(handle, users["seller"]) for handle in SHOPS}
    if not ledger_selectors.wallets_of(users["fan"]):
        _top_up(users["fan"], Money(20_000, "EUR"))
        yield "topped up the demo fan's wallet"
    for format in list_formats():
        if demo := format.module("demo"):
            yield from demo.load(shops)


def _register(login: Login) -> UUID:
    return accounts.register_verified(
        email=login.email, password=PASSWORD, display_name=login.name, is_staff=login.role == "staff"
    )


def _shop(handle: str, owner_id: UUID) -> Seller:
    existing = Seller.objects.filter(handle=handle).first()
    if existing is not None:
        return existing
    shown = SHOPS[handle]
    shop = sellers.open_shop(seller_id=uuid7(), owner_id=owner_id, handle=handle, name=shown.name, about=shown.about)
    sellers.set_brand(seller_id=shop.id, name=shown.name, about=shown.about, hue=shown.hue, chroma=CHROMA)
    showing.show_picture(shop, Placed.Place.LOGO, shop.id, shown.logo, f"The logo of {shown.name}")
    showing.show_picture(shop, Placed.Place.COVER, shop.id, shown.cover, f"Where {shown.name} works")
    return shop


def _top_up(user_id: UUID, amount: Money) -> None:
    top_up = payments.start_top_up(top_up_id=uuid7(), user_id=user_id, amount=amount, now=clock.now())
    payments.complete_top_up(event=Simulated().decided(top_up, is_paid=True), now=clock.now())
