"""Django's `createcachetable`, whose SQL DSQL refuses: it builds an index at once, in one transaction with the table."""

from __future__ import annotations

from typing import Any

from django.apps.registry import Apps
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.management.commands import createcachetable
from django.db import connections, models, router

from dsql.base import DatabaseWrapper


class Command(createcachetable.Command):
    def create_table(self, database: str, tablename: str, dry_run: bool) -> None:
        connection: Any = connections[database]
        is_wanted = router.allow_migrate_model(database, BaseDatabaseCache(tablename, {}).cache_model_class)
        is_there = is_wanted and tablename in connection.introspection.table_names()
        if not isinstance(connection, DatabaseWrapper) or not is_wanted or is_there:
            super().create_table(database, tablename, dry_run)  # says so
            return
        with connection.schema_editor(collect_sql=dry_run) as editor:
            editor.create_model(cache_model(tablename))
        if dry_run:
            self.stdout.write("\n".join(editor.collected_sql))
        elif self.verbosity > 1:
            self.stdout.write(f"Cache table '{tablename}' created.")


def cache_model(tablename: str) -> Any:
    """The table of Django's database cache, as a model that no app has."""
    meta = type("Meta", (), {"app_label": "django_cache", "db_table": tablename, "apps": Apps()})
    return type(
        "CacheEntry",
        (models.Model,),
        {
            "__module__": __name__,
            "Meta": meta,
            "cache_key": models.CharField(max_length=255, primary_key=True),
            "value": models.TextField(),
            "expires": models.DateTimeField(db_index=True),
        },
    )
