"""The site that the visitors meet, and what tests arrange behind the scenes."""

from __future__ import annotations

import re
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import psycopg

from core import mailbox
from tests.e2e.shop import HANDLE, wait_until
from tests.e2e.site import Site

MAIL = "mail"
LINK = re.compile(r"http://\S+/accounts/confirm-email/\S+")

# Fans who can log in and drops that are open, all made at once, because each run of manage.py takes a second or two. What the
# pages for signing up and topping up do is shown in a test of its own.
PREPARE = """
from accounts import services as accounts
from accounts.models import User
from core import clock
from core.ids import uuid7
from core.money import Money
from django.core.management import call_command
from dropfront import demo
from payments import services as payments
from payments.providers import Simulated
from products import services as products
from sellers import api_keys, services as sellers
from sellers.models import KeyScope, Seller
for number in range({fans}):
    fan_id = accounts.register_verified(email=f"fan-{{number}}@example.org", password=demo.PASSWORD, display_name="A fan")
    funds = Money({funds_minor} if number else {poor_minor}, "EUR")
    top_up = payments.start_top_up(top_up_id=uuid7(), user_id=fan_id, amount=funds, now=clock.now())
    payments.complete_top_up(event=Simulated().decided(top_up, is_paid=True), now=clock.now())
shop, own = Seller.objects.get(handle={handle!r}), User.objects.get(email="seller@example.org")
products.add(product_id=uuid7(), seller_id=shop.id, title="A lamp", story="It gives light.", now=clock.now())
api_keys.make(
    key_id=uuid7(), seller_id=shop.id, name="Books", scope=KeyScope.READ, expires_at=None, made_by=own.id, now=clock.now()
)
for fan in (own.id, fan_id):
    sellers.follow(seller_id=shop.id, fan_id=fan, now=clock.now())
sellers.unfollow(seller_id=shop.id, fan_id=fan_id, now=clock.now())
for title in {titles!r}:
    call_command("open_drop", seller={handle!r}, units={units}, price="10.00", title=title)
"""
TITLES = [
    "Night ferry, linocut", "Two cranes, linocut", "Tide table 2027", "Lighthouse, letterpress", "Gull, pocket print",
    "Rope work, a manual", "Harbour at four", "Salt, woodcut", "Fog signal, letterpress",
    "Ice chart", "Buoy, screen print", "Knots, a poster", "Dunes, woodcut", "Pilot boat", "Shells, a set",
]  # fmt: skip
UNITS = 5
FANS = 28
FUNDS_MINOR = 20_000
POOR_MINOR = 400


class World:
    """A running site with its demo sales, and the folder its mail goes to."""

    password = "drop-front-demo"
    fan = "fan@example.org"
    seller = "seller@example.org"
    poor_fan = "fan-0@example.org"  # has four euro

    def __init__(self, site: Site, mail: Path) -> None:
        self.site = site
        self.mail = mail

        printed = site.manage("shell", "-v", "0", "-c", PREPARE.format(
            fans=FANS, funds_minor=FUNDS_MINOR, poor_minor=POOR_MINOR, titles=TITLES, units=UNITS, handle=HANDLE,
        ))  # fmt: skip
        self.drops = iter(printed.split()[-len(TITLES) :])
        self.fans = (f"fan-{number}@example.org" for number in range(1, FANS))

    def next_drop(self) -> str:
        """The id of an open drop of `UNITS` units at 10 euro, no limit per fan, that nobody has bought of."""
        return next(self.drops)

    def open_drop(self, *options: str) -> str:
        """The id of a drop of `UNITS` units that is opened now, at 10 euro if the options say nothing else."""
        terms = ["--seller", HANDLE, "--units", str(UNITS), "--price", "10.00", *options]
        return self.site.manage("open_drop", *terms).split()[-1]

    def open_auction(self, *options: str) -> str:
        """The id of an auction that is opened now: from 10.00 in steps of 1.00, if the options say nothing else."""
        terms = ["--seller", HANDLE, "--start", "10.00", *options]
        return self.site.manage("open_auction", *terms).split()[-1]

    def next_fan(self) -> str:
        """The e-mail address of a verified fan with 200 euro who has bought nothing yet."""
        return next(self.fans)

    def demo_rally(self) -> str:
        """The id of the demo's running rally: 100.00 at first, with some fans in it."""
        return str(self.one_value("SELECT id FROM sales_sale WHERE title LIKE 'Storm lantern%%'"))

    def product(self) -> str:
        """The id of something in the shop's catalogue."""
        return str(self.one_value("SELECT id FROM products_product WHERE title = 'A lamp'"))

    def past_rally(self) -> str:
        """The id of the demo's settled rally, which sells what is left over."""
        return str(self.one_value("SELECT id FROM sales_sale WHERE title LIKE 'Field notebook%%'"))

    def demo_auction(self) -> str:
        """The id of the demo's running auction, with bids and a reserve."""
        return str(self.one_value("SELECT id FROM sales_sale WHERE title LIKE 'Ember%%'"))

    def past_auction(self) -> str:
        """The id of the demo's auction that was sold after late bids."""
        return str(self.one_value("SELECT id FROM sales_sale WHERE title LIKE 'Aurora, the copper%%'"))

    def confirmation_link(self, email: str) -> str:
        """The link in the mail to that address, once it has come."""
        found: list[str] = []

        def look() -> bool:
            for path in mailbox.newest_first(self.mail):
                message = mailbox.read(path)
                if email in message["To"]:
                    found.extend(LINK.findall(mailbox.text_of(message)))
            return bool(found)

        wait_until(look, f"a mail to {email}", within_s=120)
        return found[0]

    def order(self, sale_id: str, buy_token: str) -> None:
        """Buy one unit through the API."""
        request = urllib.request.Request(
            f"{self.site.url}/api/v1/drops/{sale_id}/orders",
            data=b'{"quantity": 1}',
            headers={
                "X-Buy-Token": buy_token,
                "Idempotency-Key": str(uuid.uuid4()),
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 201

    def count_orders(self, sale_id: str) -> int:
        return int(self.one_value("SELECT count(*) FROM drops_order WHERE drop_id = %s", sale_id))

    def terms_hash(self, sale_id: str) -> str:
        return str(self.one_value("SELECT terms_sha256 FROM sales_sale WHERE id = %s", sale_id))

    def one_value(self, sql: str, *params: Any) -> Any:
        with psycopg.connect(self.site.database_url) as connection:
            row = connection.execute(sql, params).fetchone()
        assert row is not None
        return row[0]
