"""The database that the cases are asked of: a PostgreSQL in strict mode, or a live cluster.

Everything happens in a schema that the target makes and drops, so nobody's tables are touched. What stays is strict
mode's own schema `sys`, which it makes for its jobs in every database that it is used in.
"""

from __future__ import annotations

import copy
import os
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Self

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from dsql.base import DatabaseWrapper
from dsql.conformance.cases import Table

ENDPOINTS_VARIABLE = "DSQL_ENDPOINTS"
SCHEMA_PREFIX = "dsql_conformance_"
CONFLICT = "40001"
SETUP_ATTEMPTS = 5  # a new table makes other sessions' catalogs stale, which one more attempt clears
# The cases assert the limits and the timing that are the default, whatever the project's settings say.
_RESET_OPTIONS = ("pool", "row_cap", "size_cap_bytes", "age_cap_s", "slow_builds", "conflicts_at")
# In this order: a table takes its identity sequences along, and what stands below goes with CASCADE.
_OBJECTS_SQL = """
    SELECT 'VIEW', quote_ident(relname) FROM pg_class WHERE relnamespace = %(schema)s::regnamespace AND relkind = 'v'
    UNION ALL
    SELECT 'TABLE', quote_ident(relname) FROM pg_class WHERE relnamespace = %(schema)s::regnamespace AND relkind = 'r'
    UNION ALL
    SELECT 'SEQUENCE', quote_ident(relname) FROM pg_class
    WHERE relnamespace = %(schema)s::regnamespace AND relkind = 'S'
    UNION ALL
    SELECT 'FUNCTION', oid::regprocedure::text FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace
    UNION ALL
    SELECT 'DOMAIN', quote_ident(typname) FROM pg_type
    WHERE typnamespace = %(schema)s::regnamespace AND typtype = 'd'
"""


class Target:
    """Opens connections into a schema of its own. A context manager: the schema goes at the end."""

    def __init__(self, settings_dict: Mapping[str, Any], alias: str = "conformance") -> None:
        self.settings = copy.deepcopy(dict(settings_dict))
        self.alias = alias
        for name in _RESET_OPTIONS:
            self.settings["OPTIONS"].pop(name, None)
        self.is_live = self._wrapper({}).is_live
        self.schema = SCHEMA_PREFIX + secrets.token_hex(4)
        self._connection: psycopg.Connection[Any] | None = None

    @classmethod
    def of_alias(cls, alias: str) -> Self:
        """The database of `alias`, or the cluster that the environment variable DSQL_ENDPOINTS names.

        Several endpoints are separated by commas. DSQL_USER is the role (admin) and DSQL_REGION the Region, where the
        endpoint's name does not tell it.
        """
        wrapper: Any = connections[alias]
        if not isinstance(wrapper, DatabaseWrapper):
            raise ImproperlyConfigured(f"Database {alias!r} has another ENGINE than dsql.")
        settings = copy.deepcopy(wrapper.settings_dict)
        if endpoints := os.environ.get(ENDPOINTS_VARIABLE, "").replace(",", " ").split():
            settings["USER"] = os.environ.get("DSQL_USER", "admin")
            settings["OPTIONS"] = {"endpoints": endpoints, "region": os.environ.get("DSQL_REGION")}
        return cls(settings, alias)

    def __enter__(self) -> Self:
        self._connection = self._open({})
        self._run(f"CREATE SCHEMA {self.schema}")
        self._run(f"SET search_path TO {self.schema}")
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._drop_objects()
            self._run(f"DROP SCHEMA {self.schema}")
        finally:
            self.connection.close()

    @property
    def name(self) -> str:
        """What is asked, in words."""
        return "a live cluster" if self.is_live else "strict mode"

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """The connection that builds and drops."""
        assert self._connection is not None, "the target is not entered"
        return self._connection

    @property
    def server_version(self) -> str:
        return str(self.connection.info.server_version)

    @property
    def leftovers(self) -> list[str]:
        """Schemas of other runs: of some that go on, or of some that were killed. A cluster takes 10 schemas."""
        sql = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s) AND nspname <> %s ORDER BY nspname"
        return [name for (name,) in self.connection.execute(sql, [SCHEMA_PREFIX, self.schema]).fetchall()]

    @property
    def user(self) -> str:
        """The role, quoted for SQL."""
        row = self.connection.execute("SELECT quote_ident(current_user)").fetchone()
        assert row is not None
        return row[0]

    def connect(self, options: Mapping[str, Any]) -> psycopg.Connection[Any]:
        """A new connection in autocommit. `options` are strict mode's; a cluster has none."""
        connection = self._open({} if self.is_live else options)
        connection.execute(f"SET search_path TO {self.schema}")
        return connection

    def connect_with(self, start_options: str) -> psycopg.Connection[Any]:
        """A new connection that asks for `start_options`, such as `-c name=value`."""
        wrapper = self._wrapper({})
        params = wrapper.get_connection_params()
        params["options"] = f"{params.get('options', '')} {start_options}".strip()
        return wrapper.get_new_connection(params)

    def build(self, tables: Iterable[Table], macros: Mapping[str, str]) -> None:
        """Drop what the last case left, and make `tables`."""
        self._drop_objects()
        for table in tables:
            self._run(table.create)
            if table.fill:
                self._run(table.fill.format(**macros))

    def _open(self, options: Mapping[str, Any]) -> psycopg.Connection[Any]:
        wrapper = self._wrapper(options)
        wrapper.ensure_connection()
        return wrapper.connection

    def _wrapper(self, options: Mapping[str, Any]) -> Any:
        settings = copy.deepcopy(self.settings)
        settings["OPTIONS"] |= {"strict": True, **options}
        return DatabaseWrapper(settings, self.alias)

    def _drop_objects(self) -> None:
        cursor = self.connection.cursor()
        cursor.execute(_OBJECTS_SQL, {"schema": self.schema})
        for kind, name in cursor.fetchall():
            self._run(f"DROP {kind} IF EXISTS {name} CASCADE")

    def _run(self, sql: str) -> None:
        for attempt in range(1, SETUP_ATTEMPTS + 1):
            try:
                self.connection.execute(sql)
                return
            except psycopg.Error as error:
                if error.sqlstate != CONFLICT or attempt == SETUP_ATTEMPTS:
                    raise
