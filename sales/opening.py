"""The bases of the commands that publish a sale (`open_drop`, `open_rally`) and that end one (`end_rally`)."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, ClassVar
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import clock
from core.errors import Refusal
from core.ids import uuid7
from core.money import MoneyError
from sales import services as sales
from sales.drafting import SaleDraft
from sales.models import Sale
from sellers import selectors as sellers


class OpenSaleCommand(BaseCommand):
    """Subclass with `open_sale`, and `add_arguments` for the format's own. Prints the sale's id."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seller", required=True, metavar="HANDLE")
        parser.add_argument("--currency", default="EUR")
        parser.add_argument("--title", default="A sale")
        parser.add_argument("--opens-in", type=float, default=0.0, metavar="S")
        parser.add_argument("--closes-in", type=float, default=3_600.0, metavar="S")
        parser.add_argument("--json", action="store_true")

    def open_sale(self, draft: SaleDraft, options: dict[str, Any]) -> None:
        """Draft and publish it."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            clock.measure()
            now = clock.now()
            draft = SaleDraft(
                sale_id=uuid7(), seller_id=sellers.get_seller(options["seller"]).id, title=options["title"], story="",
                currency=options["currency"], opens_at=now + dt.timedelta(seconds=options["opens_in"]),
                closes_at=now + dt.timedelta(seconds=options["closes_in"]), now=now,
            )  # fmt: skip
            self.open_sale(draft, options)
        except (Refusal, MoneyError) as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(json.dumps({"sale_id": str(draft.sale_id)}) if options["json"] else str(draft.sale_id))


class EndSaleCommand(BaseCommand):
    """Subclass with the `format` and what a sale of it `came_to`."""

    format: ClassVar[str]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sale", required=True, type=UUID)
        parser.add_argument(
            "--json", action="store_true", help="one JSON object on standard output; prices in minor units"
        )

    def came_to(self, sale_id: UUID) -> dict[str, Any]:
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        sale = Sale.objects.filter(id=options["sale"], format=self.format).first()
        if sale is None:
            raise CommandError(f"There is no {self.format} {options['sale']}.")
        clock.measure()
        try:
            sales.close_sale_early(seller_id=sale.seller_id, sale_id=sale.id, now=clock.now())
            sales.settle_to_the_end(sale.id)
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal
        sale.refresh_from_db()
        report = {"state": sale.state, **self.came_to(sale.id)}
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            self.stdout.write(", ".join(f"{name}: {value}" for name, value in report.items()))
