"""Django's migrate, with a journal: see `dsql.journal`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import no_translations
from django.core.management.commands import migrate
from django.db import connections
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from dsql.base import DatabaseWrapper
from dsql.journal import Journal, unfinished


class Command(migrate.Command):
    """A migration that was killed or failed goes on where it stopped. Other backends see Django's own command."""

    @no_translations
    def handle(self, *args: Any, **options: Any) -> str | None:
        connection = connections[options["database"]]
        self.journalled = connection if isinstance(connection, DatabaseWrapper) else None
        if self.journalled is None:
            return super().handle(*args, **options)
        if not (options["plan"] or options["check_unapplied"]):
            self._tell_of_unfinished(options["verbosity"])
        try:
            return super().handle(*args, **options)
        finally:
            self.journalled.journal = None

    def migration_progress_callback(self, action: str, migration: Migration | None = None, fake: bool = False) -> None:
        if self.journalled and migration and not fake and action in ("apply_start", "unapply_start"):
            self._open(migration, backwards=action == "unapply_start")
        super().migration_progress_callback(action, migration, fake)
        if self.journalled and self.journalled.journal and action in ("apply_success", "unapply_success"):
            self._close(migration)

    def _tell_of_unfinished(self, verbosity: int) -> None:
        assert self.journalled
        applied = MigrationLoader(self.journalled).applied_migrations
        for app, name, backwards in unfinished(self.journalled, applied):
            if backwards and verbosity >= 1:
                notice = f"{app}.{name} is half unapplied: migrate {app} backwards again to end it."
                self.stdout.write(self.style.NOTICE(notice))

    def _open(self, migration: Migration, *, backwards: bool) -> None:
        journal = Journal(self.journalled, migration, backwards)
        if journal.progress and self.verbosity >= 1:
            self.stdout.write(f"  Resuming {migration} after {journal.progress}")
        assert self.journalled
        self.journalled.journal = journal

    def _close(self, migration: Migration | None) -> None:
        assert self.journalled
        journal, self.journalled.journal = self.journalled.journal, None
        for step in journal.close():
            self.stdout.write(self.style.WARNING(f"  {migration} was changed; this step was done before that: {step}"))
