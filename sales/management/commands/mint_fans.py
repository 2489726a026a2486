from __future__ import annotations

import json
import time
from typing import Any, TextIO
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import clock
from core.money import MoneyError, parse_money
from sales import minting
from sales.models import Sale
from sales.tokens import make_buy_token

TOKENS_VALID_S = 6 * 3_600


class Command(BaseCommand):
    help = "Write verified, funded fans with buy tokens as JSON lines, for load tools. Refused in production."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--count", required=True, type=int)
        parser.add_argument("--funds", required=True, help="for instance 100.00")
        parser.add_argument("--sale", required=True, type=UUID)
        parser.add_argument("--out", required=True, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("Fans are not minted in production: their money would be made of nothing.")
        sale = Sale.objects.filter(id=options["sale"]).first()
        if sale is None:
            raise CommandError(f"There is no sale {options['sale']}.")
        try:
            funds = parse_money(options["funds"], sale.currency)
        except MoneyError as error:
            raise CommandError(str(error)) from error
        clock.measure()
        with open(options["out"], "w") as out:
            for fan_ids in minting.mint_fans(count=options["count"], funds=funds, now=clock.now()):
                self._write(out, sale.id, fan_ids)

    def _write(self, out: TextIO, sale_id: UUID, fan_ids: list[UUID]) -> None:
        now_s = time.time()
        for fan_id in fan_ids:
            token = make_buy_token(
                fan_id=fan_id, sale_id=sale_id, is_verified=True, now_s=now_s, valid_s=TOKENS_VALID_S
            )
            out.write(json.dumps({"fan_id": str(fan_id), "buy_token": token}) + "\n")
