from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from core.money import parse_money
from rallies import services
from rallies.models import Basis
from rallies.pricing import PriceTier
from sales.drafting import SaleDraft
from sales.opening import OpenSaleCommand


class Command(OpenSaleCommand):
    help = "Publish a rally from the command line; prints the sale's id."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--tiers", required=True, nargs="+", metavar="COUNT:PRICE", help="for instance 1:100.00 500:80.00"
        )
        parser.add_argument("--basis", choices=Basis.values, default=Basis.JOINERS, help="what the tiers count")
        parser.add_argument("--minimum", type=int, default=1, help="with fewer, nobody pays")
        parser.add_argument("--cap", type=int, help="units there are; without it there is no limit")
        parser.add_argument("--limit", type=int, default=1, help="units one fan may take")

    def open_sale(self, draft: SaleDraft, options: dict[str, Any]) -> None:
        services.open_rally(
            draft, tiers=[_tier(step, draft.currency) for step in options["tiers"]], basis=options["basis"],
            minimum=options["minimum"], cap_units=options["cap"], limit_per_fan=options["limit"],
        )  # fmt: skip


def _tier(step: str, currency: str) -> PriceTier:
    count, _, price = step.partition(":")
    if not count.isdecimal():
        raise CommandError(f"A tier is COUNT:PRICE, for instance 500:80.00, and not {step}.")
    return PriceTier(int(count), parse_money(price, currency).minor)
