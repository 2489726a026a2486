"""Show, or drop, the journal of half-done migrations."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

from dsql.journal import Entry, has_table


class Command(BaseCommand):
    help = "Shows what is done of migrations that were killed or failed, and with --forget drops those notes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("app_label", nargs="?", help="Only the migrations of this app.")
        parser.add_argument("migration_name", nargs="?", help="Only this migration.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections))
        parser.add_argument(
            "--forget",
            action="store_true",
            help="Drop the notes, after undoing by hand what they show: migrate will begin that migration anew.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["forget"] and not (options["app_label"] and options["migration_name"]):
            raise CommandError("Name the app and the migration whose journal is to be forgotten.")
        connection = connections[options["database"]]
        entries = Entry.objects.using(connection.alias).order_by("app", "name", "ordinal")
        for column, option in (("app", "app_label"), ("name", "migration_name")):
            if options[option]:
                entries = entries.filter(**{column: options[option]})
        found = list(entries) if has_table(connection) else []
        for entry in found:
            if entry.kind != Entry.Kind.ANSWER:
                direction = "backwards" if entry.backwards else "forwards"
                state = "done" if entry.is_done else "begun"
                self.stdout.write(f"{entry.app}.{entry.name} {direction}: {entry.kind} {state}: {entry.text}")
        if not found:
            self.stdout.write("No migration is half done.")
        elif options["forget"]:
            entries.delete()
            self.stdout.write("Forgotten.")
