"""The database wrapper: what `ENGINE = "dsql"` loads."""

# The stubs leave out the private half of Django's backends, which a backend has to override.
# mypy: disable-error-code="attr-defined, misc"

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, InternalError, NotSupportedError
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base as postgresql
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from django.db.transaction import TransactionManagementError
from psycopg.pq import TransactionStatus

from dsql import faults, pools
from dsql.auth import DATABASE_NAME
from dsql.client import DatabaseClient
from dsql.creation import DatabaseCreation
from dsql.dialing import DialedConnection, StrictDialedConnection
from dsql.endpoints import Route, read_endpoints, route_to
from dsql.features import DatabaseFeatures
from dsql.introspection import DatabaseIntrospection
from dsql.loading import load_in_zone, utc_adapters, zone_of
from dsql.operations import DatabaseOperations
from dsql.orphans import find_orphans
from dsql.schema import DatabaseSchemaEditor
from dsql.strict.cursor import StrictCursor, StrictServerBindingCursor
from dsql.strict.session import CONFLICT_PLACES
from dsql.together import WAYS
from dsql.transactions import WITHOUT_SAVEPOINTS, CommitState, is_unavailable
from dsql.types import DATA_TYPE_CHECKS, DATA_TYPE_SUFFIXES, DATA_TYPES

# What the backend itself reads from OPTIONS; the rest goes to the driver.
OWN_OPTIONS = (
    "strict",
    "endpoints",
    "live",
    "region",
    "statement_deadline_s",
    "schema",
    "row_cap",
    "size_cap_bytes",
    "age_cap_s",
    "lock_timeout_ms",
    "conflicts_at",
    "together",
    "slow_builds",
    "foreign_keys",
    "pool",
)
LOCK_TIMEOUT_MS = 200
STATEMENT_DEADLINE_S = 60.0
TRANSACTION_AGE_MAX_S = 300  # DSQL's: what waits longer waits in vain


class DatabaseWrapper(postgresql.DatabaseWrapper):
    """A PostgreSQL wrapper that keeps to what DSQL can do.

    The vendor stays "postgresql": Django and third-party apps choose their SQL by it, and DSQL speaks PostgreSQL's.
    With OPTIONS["endpoints"] of DSQL's it talks to DSQL; else to an ordinary PostgreSQL, by default in strict mode.
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
    _connection_pools = pools.pools

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        # Server-side cursors need DECLARE, which DSQL does not have.
        settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = True
        super().__init__(settings_dict, alias)
        options = settings_dict["OPTIONS"]
        endpoints = read_endpoints(options)
        self.is_live = any(endpoint.region for endpoint in endpoints)
        self.route: Route | None = route_to(endpoints)
        # DSQL itself needs no strict mode, and the maintenance connection creates test databases, which it forbids.
        self.is_strict = not self.is_live and alias != NO_DB_ALIAS and options.get("strict", True)
        self.commit_state = CommitState.NONE
        self.commit_hook_error: BaseException | None = None
        self.journal: Any = None  # of the migration that `migrate` is running
        # How several statements travel in one round trip: the way that a cluster is known to take is the default there.
        self.together: str = options.get("together", "pipeline" if self.is_live else "text")
        self.execute_wrappers.append(faults.around_statement)
        _check_options(options, is_live=self.is_live)

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
        if self.timezone is dt.UTC:
            params["context"] = utc_adapters(settings.USE_TZ)
        params["route"] = self.route
        params["statement_deadline_s"] = options.get("statement_deadline_s", STATEMENT_DEADLINE_S)
        if self.is_live:
            # Host, port, password and TLS come from the endpoint that is dialled.
            params = {name: value for name, value in params.items() if name not in ("host", "port", "password")}
            return {**params, "dbname": DATABASE_NAME}
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

    def create_cursor(self, name: str | None = None) -> Any:
        """A new cursor; only the zone of its times is the wrapper's affair. One with a name would be the server's."""
        if name:
            raise NotSupportedError("DSQL has no server-side cursors.")
        cursor = self.connection.cursor()
        if self.timezone != zone_of(self.connection):
            load_in_zone(cursor, self.timezone)
        return cursor

    def chunked_cursor(self) -> Any:
        return self.cursor()  # Django's word for a database that cannot keep the rows

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
        if self.settings_dict.get("CONN_MAX_AGE", 0) != 0:
            raise ImproperlyConfigured("Pooling doesn't support persistent connections.")
        return pools.Pool(
            connection_class=self._connection_class,
            kwargs={**self.get_connection_params(), "autocommit": True},
            configure=self._configure_connection,
            check=pools.ask_server if self.settings_dict["CONN_HEALTH_CHECKS"] else None,
            **pool_options,
        )

    @property
    def _connection_class(self) -> type[DialedConnection]:
        return StrictDialedConnection if self.is_strict else DialedConnection

    @property
    def endpoint(self) -> str | None:
        """The name of the endpoint that the open connection goes to; None without a connection or without endpoints."""
        endpoint = getattr(self.connection, "endpoint", None)
        return endpoint.name if endpoint else None

    def close_if_unusable_or_obsolete(self) -> None:
        """Also closes a connection that is nearly an hour old, or should go to a nearer endpoint. Called between requests."""
        if self.connection is not None and self.connection.is_due_for_replacement:
            self.close()
            return
        super().close_if_unusable_or_obsolete()

    def set_autocommit(self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False) -> None:
        """As in Django, but not worth a connection of its own: every connection begins with autocommit on.

        Django asks for it after a COMMIT that lost its connection, and would dial a server that may just have hung.
        """
        if autocommit and self.connection is None and self.settings_dict["AUTOCOMMIT"]:
            self.validate_no_atomic_block()
            self.autocommit = True
            return
        super().set_autocommit(autocommit, force_begin_transaction_with_broken_autocommit)

    @contextmanager
    def statement_deadline(self, seconds: float | None) -> Iterator[None]:
        """Another OPTIONS["statement_deadline_s"] for the statements in the block; None: wait for ever."""
        self.ensure_connection()
        with self.connection.deadline(seconds):
            yield

    def _configure_timezone(self, connection: psycopg.Connection[Any]) -> bool:
        # Written into the statement: SET takes no parameters, which server-side binding would send.
        name = self.timezone_name
        if not name or connection.info.parameter_status("TimeZone") == name:
            return False
        with connection.cursor() as cursor:
            cursor.execute(psycopg.sql.SQL("SET TIME ZONE {}").format(psycopg.sql.Literal(name)))
        return True

    def _configure_connection(self, connection: psycopg.Connection[Any]) -> Any:
        self._limit(connection)
        needs_commit = super()._configure_connection(connection)
        if schema := self.settings_dict["OPTIONS"].get("schema"):
            connection.execute(f"SET search_path TO {self.ops.quote_name(schema)}")
            needs_commit = True
        return needs_commit

    def _limit(self, connection: psycopg.Connection[Any]) -> None:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        if isinstance(connection, StrictDialedConnection):
            connection.session.configure(self.settings_dict["OPTIONS"])

    # -- savepoints, which DSQL does not have

    def savepoint_rollback(self, sid: Any) -> None:
        """Raises NotSupportedError in a transaction, which is then rolled back as a whole.

        Django does nothing where there are no savepoints, and the rows that were to be taken back would be committed.
        """
        if self.get_autocommit():
            return  # outside a transaction nobody has them
        self.needs_rollback = True
        raise NotSupportedError(
            "DSQL has no savepoints, so a part of a transaction cannot be rolled back; all of it will be. Ask before "
            "you write, or give the part a transaction of its own."
        )

    def validate_no_broken_transaction(self) -> None:
        try:
            super().validate_no_broken_transaction()
        except TransactionManagementError as error:
            raise TransactionManagementError(f"{error} {WITHOUT_SAVEPOINTS}") from error.__cause__

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
            raise InternalError(
                f"A statement of this transaction failed, so it cannot be committed. {WITHOUT_SAVEPOINTS}"
            )
        self.commit_state = CommitState.SENT
        try:
            faults.instead_of_commit(self)
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

        Django calls this without names after every test case, which would read the whole database each time. With
        OPTIONS["foreign_keys"] = "enforce" the database checks by itself, now instead of at COMMIT.
        """
        if self.features.supports_foreign_keys:
            super().check_constraints(table_names)
            return
        if table_names and (orphans := find_orphans(self.alias, set(table_names))):
            raise IntegrityError(f"Rows without their parent: {orphans}")


def _check_options(options: dict[str, Any], *, is_live: bool) -> None:
    if options.get("isolation_level") not in (None, IsolationLevel.REPEATABLE_READ):
        raise ImproperlyConfigured(
            "DSQL knows one isolation level, REPEATABLE READ; remove OPTIONS['isolation_level']."
        )
    if options.get("foreign_keys", "skip") not in ("skip", "enforce"):
        raise ImproperlyConfigured("OPTIONS['foreign_keys'] must be 'skip' or 'enforce'.")
    if options.get("conflicts_at", "commit") not in CONFLICT_PLACES:
        raise ImproperlyConfigured("OPTIONS['conflicts_at'] must be 'commit' or 'statement'.")
    if options.get("together", "text") not in WAYS:
        raise ImproperlyConfigured("OPTIONS['together'] must be 'text' or 'pipeline'.")
    for name in ("options", "assume_role"):
        if options.get(name):
            raise ImproperlyConfigured(f"OPTIONS['{name}'] is refused by DSQL.")
    if is_live and options.get("sslmode", "verify-full") != "verify-full":
        raise ImproperlyConfigured("OPTIONS['sslmode'] must be 'verify-full': a token is a password.")
    deadline_s = options.get("statement_deadline_s", STATEMENT_DEADLINE_S)
    if deadline_s is not None and not 0 < deadline_s <= TRANSACTION_AGE_MAX_S:
        raise ImproperlyConfigured(
            f"OPTIONS['statement_deadline_s'] must be None or up to {TRANSACTION_AGE_MAX_S}, when DSQL ends a transaction."
        )
