from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from core.money import parse_money
from drops import services
from sales.drafting import SaleDraft
from sales.opening import OpenSaleCommand


class Command(OpenSaleCommand):
    help = "Publish a drop from the command line; prints the sale's id."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--units", required=True, type=int)
        parser.add_argument("--price", required=True, help="for instance 10.00")
        parser.add_argument("--limit", type=int, help="units one fan may buy; without it there is no limit")
        parser.add_argument("--hold-s", type=int, default=0)
        parser.add_argument("--cancel-s", type=int, default=0)

    def open_sale(self, draft: SaleDraft, options: dict[str, Any]) -> None:
        services.open_drop(
            draft, price_minor=parse_money(options["price"], draft.currency).minor, units_total=options["units"],
            limit_per_fan=options["limit"], hold_s=options["hold_s"], cancel_s=options["cancel_s"],
        )  # fmt: skip
