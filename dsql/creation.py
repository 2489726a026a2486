"""Test databases, on an ordinary PostgreSQL."""

# The stubs leave out the private half of Django's backends, which a backend has to override.
# mypy: disable-error-code="attr-defined, misc"

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql import creation

from dsql.strict import jobs


class DatabaseCreation(creation.DatabaseCreation):
    """CREATE DATABASE runs on Django's maintenance connection, which strict mode does not guard."""

    def _get_database_create_suffix(self, encoding: str | None = None, template: str | None = None) -> str:
        if template:
            return super()._get_database_create_suffix(encoding, template)
        # As on DSQL: bytes decide the order of text, whatever the server was installed with.
        return "WITH ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0"

    def _create_test_db(self, verbosity: int, autoclobber: bool, keepdb: bool = False) -> str:
        if self.connection.is_live:
            raise ImproperlyConfigured("A DSQL cluster has one database; run the tests on PostgreSQL in strict mode.")
        name = super()._create_test_db(verbosity, autoclobber, keepdb)
        jobs.forget(name)  # of a database of this name that was there before
        return name
