"""The database wrapper: what `ENGINE = "dsql"` loads."""

# The stubs leave out the private half of Django's backends, which a backend has to override.
# mypy: disable-error-code="attr-defined, misc"

from __future__ import annotations

from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, InternalError
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base as postgresql
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from psycopg.pq import TransactionStatus

from dsql import faults
from dsql.auth import DATABASE_NAME, EndpointConnection
from dsql.client import DatabaseClient
from dsql.creation import DatabaseCreation
from dsql.features import DatabaseFeatures
from dsql.introspection import DatabaseIntrospection
from dsql.operations import DatabaseOperations
from dsql.orphans import find_orphans
from dsql.schema import DatabaseSchemaEditor
from dsql.strict.connection import StrictConnection
from dsql.strict.cursor import StrictCursor, StrictServerBindingCursor
from dsql.strict.session import Caps
from dsql.transactions import CommitState, is_unavailable
from dsql.types import DATA_TYPE_CHECKS, DATA_TYPE_SUFFIXES, DATA_TYPES

# What the backend itself reads from OPTIONS; the rest goes to the driver.
OWN_OPTIONS = (
    "strict",
    "endpoints",
    "region",
    "row_cap",
    "size_cap_bytes",
    "age_cap_s",
    "lock_timeout_ms",
    "foreign_keys",
    "pool",
)
POOL_LIFETIME_S = 50 * 60  # DSQL ends a connection after an hour
LOCK_TIMEOUT_MS = 200


class DatabaseWrapper(postgresql.DatabaseWrapper):
    """A PostgreSQL wrapper that keeps to what DSQL can do.

    The vendor stays "postgresql": Django and third-party apps choose their SQL by it, and DSQL speaks PostgreSQL's.
    With OPTIONS["endpoints"] it talks to DSQL; without, to an ordinary PostgreSQL, by default in strict mode.
    """

    display_name = "Aurora DSQL"
    data_types = {**postgresql.DatabaseWrapper.data_types, **DATA_TYPES}
    data_types_suffix = DATA_TYPE_SUFFIXES
    data_type_check_constraints = {
        **postgresql.DatabaseWrapper.data_type_check_constraints,
        **DATA_TYPE_CHECKS,
    }
    SchemaEditorClass = DatabaseSchemaEditor
    client_class = DatabaseClient
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures
    introspection_class = DatabaseIntrospection
    ops_class = DatabaseOperations
    _connection_pools: dict[str, Any] = {}

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        # Server-side cursors need DECLARE, which DSQL does not have.
        settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = True
        super().__init__(settings_dict, alias)
        options = settings_dict["OPTIONS"]
        self.is_live = bool(options.get("endpoints"))
        # DSQL itself needs no strict mode, and the maintenance connection creates test databases, which it forbids.
        self.is_strict = not self.is_live and alias != NO_DB_ALIAS and options.get("strict", True)
        self.commit_state = CommitState.NONE
        self.commit_hook_error: BaseException | None = None
        self.execute_wrappers.append(faults.around_statement)
        _check_options(options)

    @property
    def speaks_dsql(self) -> bool:
        """Whether the other side knows ASYNC and its jobs."""
        return self.is_live or self.is_strict

    # -- connecting

    def get_connection_params(self) -> dict[str, Any]:
        options = self.settings_dict["OPTIONS"]
        params = super().get_connection_params()
        for name in OWN_OPTIONS:
            params.pop(name, None)
        if self.is_live:
            # Host, port, password and TLS come from the endpoint that is dialled.
            params = {name: value for name, value in params.items() if name not in ("host", "port", "password")}
            return {
                **params,
                "dbname": DATABASE_NAME,
                "endpoints": options["endpoints"],
                "region": options.get("region"),
            }
        start_options = {"default_transaction_isolation": r"repeatable\ read", "timezone": "UTC"}
        if self.is_strict:
            binds_on_server = options.get("server_side_binding") is True
            params["cursor_factory"] = StrictServerBindingCursor if binds_on_server else StrictCursor
            # PostgreSQL waits for a lock where DSQL refuses at once; a short wait stands in for that. Given at
            # the start of the connection because SET lock_timeout is refused.
            start_options["lock_timeout"] = str(options.get("lock_timeout_ms", LOCK_TIMEOUT_MS))
        params["options"] = " ".join(f"-c {name}={value}" for name, value in start_options.items())
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        self.isolation_level = IsolationLevel.REPEATABLE_READ
        if self.pool:
            self.pool.open()
            return self.pool.getconn()
        connection = self._connection_class.connect(**conn_params)
        self._limit(connection)
        return connection

    @property
    def pool(self) -> Any:
        """The process's connection pool for this alias, or None without OPTIONS["pool"]."""
        pool_options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not pool_options:
            return None
        if self.alias not in self._connection_pools:
            # setdefault: of two threads that come here at once, one pool stays.
            self._connection_pools.setdefault(self.alias, self._make_pool({} if pool_options is True else pool_options))
        return self._connection_pools[self.alias]

    def _make_pool(self, pool_options: dict[str, Any]) -> Any:
        from psycopg_pool import ConnectionPool

        if self.settings_dict.get("CONN_MAX_AGE", 0) != 0:
            raise ImproperlyConfigured("Pooling doesn't support persistent connections.")
        return ConnectionPool(
            open=False,  # opened by the first connection, not by importing the settings
            connection_class=self._connection_class,
            kwargs={**self.get_connection_params(), "autocommit": True},
            configure=self._configure_connection,
            check=ConnectionPool.check_connection if self.settings_dict["CONN_HEALTH_CHECKS"] else None,
            **{"max_lifetime": POOL_LIFETIME_S, **pool_options},
        )

    @property
    def _connection_class(self) -> type[psycopg.Connection[Any]]:
        if self.is_live:
            return EndpointConnection
        return StrictConnection if self.is_strict else psycopg.Connection

    def _configure_connection(self, connection: psycopg.Connection[Any]) -> Any:
        self._limit(connection)
        return super()._configure_connection(connection)

    def _limit(self, connection: psycopg.Connection[Any]) -> None:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        if isinstance(connection, StrictConnection):
            connection.session.caps = Caps.from_options(self.settings_dict["OPTIONS"])

    # -- committing

    def begin_attempt(self) -> None:
        """Forget what is known about earlier transactions of this connection."""
        self.commit_state = CommitState.NONE
        self.commit_hook_error = None

    def _commit(self) -> None:
        if self.connection is None:
            return
        faults.at_commit(self)
        if self.connection.info.transaction_status is TransactionStatus.INERROR:
            # The server would answer COMMIT with a quiet ROLLBACK, and the caller would think its rows are safe.
            raise InternalError("A statement of this transaction failed, so it cannot be committed.")
        self.commit_state = CommitState.SENT
        try:
            super()._commit()
            faults.after_commit(self)
        except Exception as error:
            # Whatever was raised: with the connection alive the server did answer, and the answer was no. Except
            # for "server unavailable", which tells of a commit that may have happened.
            if not self.connection.closed and not is_unavailable(error):
                self.commit_state = CommitState.ANSWERED
            raise
        self.commit_state = CommitState.ANSWERED

    def run_and_clear_commit_hooks(self) -> None:
        try:
            super().run_and_clear_commit_hooks()
        except Exception as error:
            # Remembered and passed on: a failing hook must not look like a failing transaction.
            self.commit_hook_error = error
            raise

    # -- integrity

    def check_constraints(self, table_names: Any = None) -> None:
        """Raise IntegrityError for rows of `table_names` that lost their parent; without names, check nothing.

        Django calls this without names after every test case, which would read the whole database each time.
        """
        if table_names and (orphans := find_orphans(self.alias, set(table_names))):
            raise IntegrityError(f"Rows without their parent: {orphans}")


def _check_options(options: dict[str, Any]) -> None:
    if options.get("isolation_level") not in (None, IsolationLevel.REPEATABLE_READ):
        raise ImproperlyConfigured(
            "DSQL knows one isolation level, REPEATABLE READ; remove OPTIONS['isolation_level']."
        )
    if options.get("foreign_keys", "skip") != "skip":
        raise ImproperlyConfigured("OPTIONS['foreign_keys'] must be 'skip': constraints between tables are not made.")
    for name in ("options", "assume_role"):
        if options.get(name):
            raise ImproperlyConfigured(f"OPTIONS['{name}'] is refused by DSQL.")
