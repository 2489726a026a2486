from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from auctions.dutch import services as dutch
from auctions.english import services as english
from auctions.english.services import minor_steps
from core.money import parse_money
from sales.drafting import SaleDraft
from sales.opening import OpenSaleCommand

KINDS = ("english", "dutch", "sealed")


class Command(OpenSaleCommand):
    help = "Publish an auction from the command line; prints the sale's id."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--kind", choices=KINDS, default="english")
        parser.add_argument(
            "--start", required=True, metavar="PRICE", help="the first bid or price, for instance 10.00"
        )
        parser.add_argument("--reserve", metavar="PRICE", help="below it the lot is not sold; without it there is none")
        parser.add_argument("--buy-now", metavar="PRICE", help="without it the lot cannot be bought at once")
        parser.add_argument(
            "--steps",
            default="0:1",
            metavar="FROM:STEP,…",
            help="bid steps from a price on, for instance 0:0.05,1:0.25",
        )
        parser.add_argument("--window-s", type=int, default=180, help="a bid in so many last seconds moves the end")
        parser.add_argument("--extend-s", type=int, default=180, help="to at least so many seconds after it")
        parser.add_argument(
            "--hard-end-in",
            type=float,
            metavar="S",
            help="no bid moves the end past this; default: an hour past the end",
        )
        parser.add_argument("--floor", default="1.00", metavar="PRICE", help="dutch: it falls no further")
        parser.add_argument("--step", default="1.00", metavar="AMOUNT", help="dutch: by so much")
        parser.add_argument("--interval-s", type=int, default=60, help="dutch: every so many seconds")
        parser.add_argument("--units", type=int, default=1, help="dutch")
        parser.add_argument("--pays", choices=("own", "last"), default="own", help="dutch: which price buyers pay")
        parser.add_argument("--premium-bps", type=int, default=0, help="of the price, on top of it")

    def open_sale(self, draft: SaleDraft, options: dict[str, Any]) -> None:
        def minor(name: str) -> int | None:
            return None if options[name] is None else parse_money(options[name], draft.currency).minor

        if options["kind"] == "sealed":
            raise CommandError("Auctions of the kind sealed cannot be opened yet; english and dutch ones can.")
        if options["kind"] == "dutch":
            dutch.open_dutch(
                draft, start_minor=minor("start"), floor_minor=minor("floor"), step_minor=minor("step"),
                interval_s=options["interval_s"], units_total=options["units"], pays=options["pays"],
                premium_bps=options["premium_bps"],
            )  # fmt: skip
            return
        english.open_english(
            draft, start_minor=minor("start"), reserve_minor=minor("reserve"), buy_now_minor=minor("buy_now"),
            steps=minor_steps(options["steps"], draft.currency), window_s=options["window_s"],
            extension_s=options["extend_s"], overtime_s=_overtime_s(options), premium_bps=options["premium_bps"],
        )  # fmt: skip


def _overtime_s(options: dict[str, Any]) -> int:
    """How long late bids may go on after the planned end. Both times count from now."""
    if options["hard_end_in"] is None:
        return 3_600
    overtime_s = int(options["hard_end_in"] - options["closes_in"])
    if overtime_s < 0:
        raise CommandError("The hard end is not before the planned end.")
    return overtime_s
