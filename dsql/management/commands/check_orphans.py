"""`manage.py check_orphans`: is there a row whose parent is missing?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DEFAULT_DB_ALIAS

from dsql.orphans import find_orphans, relations


class Command(BaseCommand):
    help = (
        "Report rows that refer to a missing row, for every relation of the installed models. Exit 1 if there are any."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS)
        parser.add_argument("--sql", action="store_true", help="Print the queries and run none.")

    def handle(self, *args: Any, database: str, sql: bool, **options: Any) -> None:
        if sql:
            for relation in relations(database):
                self.stdout.write(f"{relation.sql()};")
            return
        orphans = find_orphans(database)
        for orphan in orphans:
            self.stdout.write(
                f"{orphan.table}.{orphan.column}: {orphan.count} rows without their {orphan.parent_table}"
            )
        if orphans:
            raise SystemExit(1)
        self.stdout.write(f"0 orphans in {sum(1 for _ in relations(database))} relations")
