from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import services as accounts
from core.errors import Refusal
from core.ids import uuid7
from sellers import services
from sellers.models import Seller


class Command(BaseCommand):
    help = "Open a shop from the command line, or find the one with this handle; prints its id."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--handle", required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument("--owner", help="e-mail of the owner; made when missing (log in by password reset)")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        handle = options["handle"]
        shop = Seller.objects.filter(handle=handle).first()
        if shop is None:
            owner_id = accounts.register_verified(
                email=options["owner"] or f"{handle}@localhost.localdomain", password=None
            )
            try:
                shop = services.open_shop(seller_id=uuid7(), owner_id=owner_id, handle=handle, name=options["name"])
            except Refusal as refusal:
                raise CommandError(str(refusal)) from refusal
        self.stdout.write(json.dumps({"seller_id": str(shop.id)}) if options["json"] else str(shop.id))
