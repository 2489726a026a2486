"""The site that the visitors meet, and what tests arrange behind the scenes."""

from __future__ import annotations

import json
import re
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import psycopg

from tests.e2e.shop import wait_until
from tests.e2e.site import Site

MAIL = "mail"
LINK = re.compile(r"http://\S+/accounts/confirm-email/\S+")

# Fans who can log in, with money: what the sign-up pages do is shown in a test of its own.
MAKE_FAN = """
from accounts import services as accounts
from core import clock
from core.ids import uuid7
from dropfront import demo
from payments import services as payments
fan_id = accounts.register_verified(email={email!r}, password=demo.PASSWORD, display_name="A fan")
if {funds_minor}:
    payments.credit_wallets([(uuid7(), fan_id, {funds_minor})], currency="EUR", now=clock.now())
"""


class World:
    """A running site with its demo sales, and the folder its mail goes to."""

    password = "drop-front-demo"
    fan = "fan@example.org"
    seller = "seller@example.org"

    def __init__(self, site: Site, mail: Path) -> None:
        self.site = site
        self.mail = mail

    def make_fan(self, *, funds_minor: int = 20_000) -> str:
        """The e-mail address of a new verified fan with so many cents."""
        email = f"fan-{uuid.uuid4().hex[:8]}@example.org"
        self.site.manage(
            "shell", "-v", "0", "-c", MAKE_FAN.format(email=email, funds_minor=funds_minor) + "\nprint('made')"
        )
        return email

    def confirmation_link(self, email: str) -> str:
        """The link in the mail to that address, once it has come."""
        found: list[str] = []

        def look() -> bool:
            for path in self.mail.glob("*.log"):
                text = path.read_text()
                if email in text:
                    found.extend(LINK.findall(text))
            return bool(found)

        wait_until(look, f"a mail to {email}", within_s=10)
        return found[-1]

    def buy_by_api(self, sale_id: str) -> None:
        """Some other fan buys one unit."""
        (fan,) = self.site.mint_fans(sale_id, count=1)
        self.order(sale_id, fan["buy_token"])

    def order(self, sale_id: str, buy_token: str) -> None:
        request = urllib.request.Request(
            f"{self.site.url}/api/v1/drops/{sale_id}/orders",
            data=b'{"quantity": 1}',
            headers={
                "X-Buy-Token": buy_token,
                "Idempotency-Key": str(uuid.uuid4()),
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 201
            json.loads(answer.read())

    def count_orders(self, sale_id: str) -> int:
        return int(self.one_value("SELECT count(*) FROM drops_order WHERE drop_id = %s", sale_id))

    def terms_hash(self, sale_id: str) -> str:
        return str(self.one_value("SELECT terms_sha256 FROM sales_sale WHERE id = %s", sale_id))

    def one_value(self, sql: str, *params: Any) -> Any:
        with psycopg.connect(self.site.database_url) as connection:
            row = connection.execute(sql, params).fetchone()
        assert row is not None
        return row[0]
