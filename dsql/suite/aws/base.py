"""AWS's adapter, unchanged but for the way it connects and sets the time zone."""

# The stubs leave out the private half of Django's backends, which a backend has to override.
# mypy: disable-error-code="attr-defined, misc, override"

from __future__ import annotations

from typing import Any

import psycopg
from aurora_dsql_django import base, features, operations
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from django.utils.functional import cached_property

from dsql.strict.connection import StrictConnection
from dsql.strict.cursor import StrictCursor
from dsql.suite.skips import skips


class DatabaseFeatures(features.DatabaseFeatures):
    @cached_property
    def django_test_skips(self) -> dict[str, set[str]]:
        return {**super().django_test_skips, **skips(has_foreign_keys=True)}


class DatabaseOperations(operations.DatabaseOperations):
    def set_time_zone_sql(self) -> str:
        # Django's SELECT set_config(...) is refused by strict mode, and what a cluster says to it for a time zone is
        # not recorded; the adapter would end here at its first connection.
        return "SET TIME ZONE %s"


class DatabaseWrapper(base.DatabaseWrapper):
    """Connects to a local server under strict mode, where the adapter would ask IAM for a token.

    The maintenance connection is not guarded: it makes the test databases, which DSQL refuses.
    """

    features_class = DatabaseFeatures
    ops_class = DatabaseOperations

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        self.isolation_level = IsolationLevel.READ_COMMITTED  # what the adapter believes; the server decides
        if self.alias == NO_DB_ALIAS:
            return psycopg.Connection.connect(**conn_params)
        conn_params = {**conn_params, "cursor_factory": StrictCursor, "options": "-c lock_timeout=200"}
        return StrictConnection.connect(**conn_params)
