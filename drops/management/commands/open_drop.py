from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import clock
from core.errors import Refusal
from core.ids import uuid7
from core.money import MoneyError, parse_money
from drops import services
from sellers import selectors as sellers


class Command(BaseCommand):
    help = "Publish a drop from the command line; prints the sale's id."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seller", required=True, metavar="HANDLE")
        parser.add_argument("--units", required=True, type=int)
        parser.add_argument("--price", required=True, help="for instance 10.00")
        parser.add_argument("--currency", default="EUR")
        parser.add_argument("--title", default="A drop")
        parser.add_argument("--limit", type=int, help="units one fan may buy; without it there is no limit")
        parser.add_argument("--hold-s", type=int, default=0)
        parser.add_argument("--cancel-s", type=int, default=0)
        parser.add_argument("--opens-in", type=float, default=0.0, metavar="S")
        parser.add_argument("--closes-in", type=float, default=3_600.0, metavar="S")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            clock.measure()
            now = clock.now()
            drop = services.open_drop(
                sale_id=uuid7(),
                seller_id=sellers.get_seller(options["seller"]).id,
                title=options["title"],
                story="",
                currency=options["currency"],
                price_minor=parse_money(options["price"], options["currency"]).minor,
                units_total=options["units"],
                limit_per_fan=options["limit"],
                hold_s=options["hold_s"],
                cancel_s=options["cancel_s"],
                opens_at=now + dt.timedelta(seconds=options["opens_in"]),
                closes_at=now + dt.timedelta(seconds=options["closes_in"]),
                now=now,
            )
        except (Refusal, MoneyError) as refusal:
            raise CommandError(str(refusal)) from refusal
        sale_id = str(drop.sale_id)
        self.stdout.write(json.dumps({"sale_id": sale_id}) if options["json"] else sale_id)
