"""Test databases on an ordinary PostgreSQL; test schemas where there is only one database, as in a DSQL cluster."""

# The stubs leave out the private half of Django's backends, which a backend has to override.
# mypy: disable-error-code="attr-defined, misc"

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from io import StringIO
from itertools import islice
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import serializers
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import transaction
from django.db.backends.base.creation import TEST_DATABASE_PREFIX
from django.db.backends.postgresql import creation
from django.test.utils import override_settings

from dsql.operations import BATCH_ROWS
from dsql.strict import jobs

SCHEMA_OBJECTS_SQL = """
    SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind IN ('r', 'v') ORDER BY c.relkind DESC, c.relname
"""
SCHEMA_EXISTS_SQL = "SELECT 1 FROM pg_namespace WHERE nspname = %s"


class DatabaseCreation(creation.DatabaseCreation):
    """A database for each run and each parallel worker, or with TEST = {"SCHEMA": True} a schema.

    CREATE DATABASE runs on Django's maintenance connection, which strict mode does not guard. A cluster refuses it, so
    tests there must use schemas, of which it takes 10. A schema has the name that the test database would have:
    TEST["NAME"], or NAME after "test_".
    """

    _schema_before: str | None = None  # what OPTIONS["schema"] said before the tests

    @property
    def uses_schema(self) -> bool:
        return bool(self.connection.settings_dict["TEST"].get("SCHEMA"))

    def test_db_signature(self) -> tuple[Any, ...]:
        options = self.connection.settings_dict["OPTIONS"]
        schema = self._schema_name() if self.uses_schema else None
        return (*super().test_db_signature(), str(options.get("endpoints")), schema)

    def set_as_test_mirror(self, primary_settings_dict: dict[str, Any]) -> None:
        super().set_as_test_mirror(primary_settings_dict)
        if schema := primary_settings_dict["OPTIONS"].get("schema"):
            self._use_schema(schema)

    # -- databases

    def _get_database_create_suffix(self, encoding: str | None = None, template: str | None = None) -> str:
        if template:
            return super()._get_database_create_suffix(encoding, template)
        # As on DSQL: bytes decide the order of text, whatever the server was installed with.
        return "WITH ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0"

    def _get_test_db_name(self) -> str:
        return self.connection.settings_dict["NAME"] if self.uses_schema else super()._get_test_db_name()

    def _create_test_db(self, verbosity: int, autoclobber: bool, keepdb: bool = False) -> str:
        if self.uses_schema:
            self._schema_before = self.connection.settings_dict["OPTIONS"].get("schema")
            self._use_schema(self._schema_name())
            self._create_schema(self._schema_name(), autoclobber=autoclobber, keepdb=keepdb)
            return self._get_test_db_name()
        if self.connection.is_live:
            raise ImproperlyConfigured(
                "A DSQL cluster has one database. Run the tests on PostgreSQL in strict mode, "
                'or in a schema of the cluster with TEST = {"SCHEMA": True}.'
            )
        name = super()._create_test_db(verbosity, autoclobber, keepdb)
        jobs.forget(name)  # of a database of this name that was there before
        return name

    def _clone_test_db(self, suffix: str, verbosity: int, keepdb: bool = False) -> None:
        if self.uses_schema:
            self._clone_schema(suffix, verbosity, keepdb)
            return
        super()._clone_test_db(suffix, verbosity, keepdb)
        jobs.forget(self.get_test_db_clone_settings(suffix)["NAME"])

    def get_test_db_clone_settings(self, suffix: str) -> dict[str, Any]:
        if not self.uses_schema:
            return super().get_test_db_clone_settings(suffix)
        options = self.connection.settings_dict["OPTIONS"]
        return {**self.connection.settings_dict, "OPTIONS": {**options, "schema": f"{options['schema']}_{suffix}"}}

    def destroy_test_db(
        self,
        old_database_name: str | None = None,
        verbosity: int = 1,
        keepdb: bool = False,
        suffix: str | None = None,
    ) -> None:
        """Drop the database; or the schema, and then go back to the schema of the settings."""
        if not self.uses_schema:
            super().destroy_test_db(old_database_name, verbosity, keepdb, suffix)
            return
        source = self.connection.settings_dict if suffix is None else self.get_test_db_clone_settings(suffix)
        schema = source["OPTIONS"]["schema"]
        if verbosity >= 1:
            self.log(f"{'Preserving' if keepdb else 'Destroying'} test schema '{schema}'...")
        if not keepdb:
            self._drop_schema(schema)
        if old_database_name is not None:
            self._use_schema(self._schema_before)

    # -- schemas

    def _schema_name(self) -> str:
        settings_dict = self.connection.settings_dict
        return settings_dict["TEST"]["NAME"] or TEST_DATABASE_PREFIX + settings_dict["NAME"]

    def _use_schema(self, schema: str | None) -> None:
        """Let every connection of this alias, in any thread, work in `schema`."""
        self.connection.close()
        self.connection.close_pool()
        options = self.connection.settings_dict["OPTIONS"]
        options = {name: value for name, value in options.items() if name != "schema"}
        if schema is not None:
            options["schema"] = schema
        settings.DATABASES[self.connection.alias]["OPTIONS"] = options
        self.connection.settings_dict["OPTIONS"] = options

    def _create_schema(self, schema: str, *, autoclobber: bool, keepdb: bool) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(SCHEMA_EXISTS_SQL, [schema])
            exists = cursor.fetchone() is not None
        if exists and keepdb:
            return
        if exists:
            if not autoclobber and input(f"Type 'yes' to delete the test schema '{schema}': ") != "yes":
                raise SystemExit("Tests cancelled.")
            self._drop_schema(schema)
        self._run_ddl(f"CREATE SCHEMA {self._quote_name(schema)}")

    def _drop_schema(self, schema: str) -> None:
        """Drop what is in the schema one by one, so that no statement grows with the number of tables."""
        quoted = self._quote_name(schema)
        with self.connection.cursor() as cursor:
            cursor.execute(SCHEMA_OBJECTS_SQL, [schema])
            objects = cursor.fetchall()
        for kind, name in objects:
            self._run_ddl(f"DROP {kind} IF EXISTS {quoted}.{self._quote_name(name)} CASCADE")
        self._run_ddl(f"DROP SCHEMA IF EXISTS {quoted} CASCADE")

    def _run_ddl(self, sql: str) -> None:
        with self.connection.schema_editor() as editor:  # it repeats what a conflict refuses
            editor.execute(sql, None)

    def _clone_schema(self, suffix: str, verbosity: int, keepdb: bool) -> None:
        """Make a worker's schema by migrating: there is no template to copy."""
        original = self.connection.settings_dict["OPTIONS"]["schema"]
        clone = self.get_test_db_clone_settings(suffix)["OPTIONS"]["schema"]
        self._use_schema(clone)
        try:
            self._create_schema(clone, autoclobber=True, keepdb=keepdb)
            with self._chosen_migrations():
                call_command(
                    "migrate",
                    verbosity=max(verbosity - 1, 0),
                    interactive=False,
                    database=self.connection.alias,
                    run_syncdb=True,
                )
            call_command("createcachetable", database=self.connection.alias, verbosity=0)
        finally:
            self._use_schema(original)

    @contextlib.contextmanager
    def _chosen_migrations(self) -> Iterator[None]:
        if self.connection.settings_dict["TEST"]["MIGRATE"]:
            yield
            return
        with override_settings(MIGRATION_MODULES={config.label: None for config in apps.get_app_configs()}):
            yield

    # -- rows

    def deserialize_db_from_string(self, data: str) -> None:
        """Load what `serialize_db_to_string` made, a batch a transaction: it may be more than one can write."""
        if self.connection.features.supports_foreign_keys:
            super().deserialize_db_from_string(data)  # a row may come before its parent, so all at once
            return
        objects = iter(serializers.deserialize("json", StringIO(data), using=self.connection.alias))
        tables = set()
        while batch := list(islice(objects, BATCH_ROWS)):
            with transaction.atomic(using=self.connection.alias):
                for one in batch:
                    one.save()
                    tables.add(one.object._meta.db_table)
        self.connection.check_constraints(table_names=tables)
