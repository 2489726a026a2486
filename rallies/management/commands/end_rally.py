from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import clock
from core.errors import Refusal
from rallies import selectors
from rallies.models import Outcome, Rally
from sales import services as sales
from sales.models import Sale


class Command(BaseCommand):
    help = (
        "Close a rally now, before its time, and settle it at once; prints what it came to. A repeat changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sale", required=True, type=UUID)
        parser.add_argument(
            "--json", action="store_true", help="one JSON object on standard output; prices in minor units"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        sale_id = options["sale"]
        rally = Rally.objects.select_related("sale").filter(sale_id=sale_id).first()
        if rally is None:
            raise CommandError(f"There is no rally {sale_id}.")
        clock.measure()
        try:
            sales.close_sale_early(seller_id=rally.sale.seller_id, sale_id=sale_id, now=clock.now())
            sales.settle_to_the_end(sale_id)
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal
        report = _report(sale_id)
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            self.stdout.write(", ".join(f"{name}: {value}" for name, value in report.items()))


def _report(sale_id: UUID) -> dict[str, Any]:
    outcome = Outcome.objects.filter(rally_id=sale_id).first()
    ended = {"joiners": outcome.joiners, "price_minor": outcome.price_minor} if outcome else {}
    return {"state": Sale.objects.get(id=sale_id).state, **ended, **selectors.settlement_totals(sale_id)}
