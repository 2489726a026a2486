"""`manage.py dsql_forget_receipts --older-than 30`: delete the receipts of operations that nobody will repeat."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from dsql.receipts.forget import forget_receipts


class Command(BaseCommand):
    help = "Delete receipts older than so many days. A repeat of such an operation would be done again, as a new one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", type=float, required=True, metavar="DAYS")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS)

    def handle(self, *args: Any, older_than: float, database: str, **options: Any) -> None:
        if older_than <= 0:
            raise CommandError("--older-than must be more than 0 days.")
        count = forget_receipts(timezone.now() - timedelta(days=older_than), using=database)
        self.stdout.write(f"{count} receipts forgotten")
