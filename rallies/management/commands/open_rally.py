from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import clock
from core.errors import Refusal
from core.ids import uuid7
from core.money import MoneyError, parse_money
from rallies import services
from rallies.models import Audience, Basis
from rallies.pricing import Tier
from sellers import selectors as sellers


class Command(BaseCommand):
    help = "Publish a rally from the command line; prints the sale's id."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seller", required=True, metavar="HANDLE")
        parser.add_argument(
            "--tiers", required=True, nargs="+", metavar="COUNT:PRICE", help="for instance 1:100.00 500:80.00"
        )
        parser.add_argument("--basis", choices=Basis.values, default=Basis.JOINERS, help="what the tiers count")
        parser.add_argument("--minimum", type=int, default=1, help="with fewer, nobody pays")
        parser.add_argument("--cap", type=int, help="units there are; without it there is no limit")
        parser.add_argument("--limit", type=int, default=1, help="units one fan may take")
        parser.add_argument("--currency", default="EUR")
        parser.add_argument("--title", default="A rally")
        parser.add_argument("--opens-in", type=float, default=0.0, metavar="S")
        parser.add_argument("--closes-in", type=float, default=3_600.0, metavar="S")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            clock.measure()
            now = clock.now()
            rally = services.open_rally(
                sale_id=uuid7(),
                seller_id=sellers.get_seller(options["seller"]).id,
                title=options["title"],
                story="",
                currency=options["currency"],
                tiers=[_tier(step, options["currency"]) for step in options["tiers"]],
                basis=options["basis"],
                minimum=options["minimum"],
                cap_units=options["cap"],
                limit_per_fan=options["limit"],
                audience=Audience.EVERYONE,
                late_joins=False,
                opens_at=now + dt.timedelta(seconds=options["opens_in"]),
                closes_at=now + dt.timedelta(seconds=options["closes_in"]),
                now=now,
            )
        except (Refusal, MoneyError) as refusal:
            raise CommandError(str(refusal)) from refusal
        sale_id = str(rally.sale_id)
        self.stdout.write(json.dumps({"sale_id": sale_id}) if options["json"] else sale_id)


def _tier(step: str, currency: str) -> Tier:
    count, _, price = step.partition(":")
    if not count.isdecimal():
        raise CommandError(f"A tier is COUNT:PRICE, for instance 500:80.00, and not {step}.")
    return Tier(int(count), parse_money(price, currency).minor)
