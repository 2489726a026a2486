"""The psycopg connection of this backend: dialled over a route, given up when no answer comes."""

from __future__ import annotations

import os
import random
import select
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self
from weakref import WeakSet

import psycopg
from psycopg.abc import RV, PQGen

from dsql import faults
from dsql.auth import ADMIN_ROLE, tls_options, with_token
from dsql.endpoints import Endpoint, Route
from dsql.strict.connection import StrictConnection

# libpq's limits for the network below a statement. A connect includes TLS and login. Without the others, a peer that
# vanished is noticed after minutes (while sending) or two hours (while waiting).
NETWORK_OPTIONS = {
    "connect_timeout": 3,
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
WAIT_INTERVAL_S = 0.1  # psycopg's own: how soon Ctrl-C is noticed
# DSQL ends a connection after an hour; up to 5 % less at random, so that they do not all end together.
LIFETIME_S = 50 * 60
LIFETIME_JITTER = 0.05


class StatementDeadline(psycopg.OperationalError):
    """No answer came in time, so the connection was given up. At COMMIT, the outcome is unknown."""


class DialedConnection(psycopg.Connection[Any]):
    """Knows its endpoint, and ends itself when an answer does not come within `statement_deadline_s`.

    The deadline is the client's because DSQL refuses statement_timeout and does not act on a cancel request. It counts
    for every wait of the driver: a statement, a COMMIT, each row of a stream or of a COPY. None: wait for ever.
    """

    route: Route | None = None
    endpoint: Endpoint | None = None
    statement_deadline_s: float | None = None
    skip_begin = False  # the statement that is about to be sent brings BEGIN along: see `dsql.beginning`

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.made_at = time.monotonic()
        self._share = random.random()  # its place among those that move back to a nearer endpoint
        with _opened_lock:
            _opened.add(self)

    @classmethod
    def connect(  # type: ignore[override]
        cls,
        conninfo: str = "",
        *,
        route: Route | None = None,
        statement_deadline_s: float | None = None,
        **options: Any,
    ) -> Self:
        """Connect to the nearest endpoint of `route` that answers; without a route, to the host in `options`."""
        # `super()` would not work inside the functions that a route calls.
        dial = super().connect

        def connect(conninfo: str, **options: Any) -> Any:
            faults.before_login()
            return dial(conninfo, **options)

        connection: Self
        if route is None:
            connection = connect(conninfo, **{**NETWORK_OPTIONS, **options})
        else:
            connection = route.connect(lambda endpoint: _dial(connect, endpoint, conninfo, options))
        connection.route = route
        connection.statement_deadline_s = statement_deadline_s
        return connection

    def wait(self, gen: PQGen[RV], interval: float = WAIT_INTERVAL_S, timeout: float | None = None) -> RV:
        if timeout is not None or self.statement_deadline_s is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.statement_deadline_s)
        except psycopg.errors._WaitTimeout:
            deadline_s = self.statement_deadline_s
            # Not close(): that may give a pool the connection back, and says goodbye to a peer that does not listen.
            self.pgconn.finish()
        if self.route and self.endpoint:
            self.route.suspect(self.endpoint)
        raise StatementDeadline(f"No answer within {deadline_s:g} s; the connection was given up.")

    def _start_query(self) -> PQGen[None]:
        if not self.skip_begin:
            yield from super()._start_query()

    @contextmanager
    def deadline(self, seconds: float | None) -> Iterator[None]:
        """Another deadline inside the block; None: wait for ever."""
        before, self.statement_deadline_s = self.statement_deadline_s, seconds
        try:
            yield
        finally:
            self.statement_deadline_s = before

    @property
    def is_due_for_replacement(self) -> bool:
        """Whether, when it is free, a new one should take its place: it is old, or a nearer endpoint has come back."""
        return self._is_old or self._is_left_behind

    @property
    def _is_old(self) -> bool:
        return time.monotonic() - self.made_at > LIFETIME_S * (1 - LIFETIME_JITTER * self._share)

    @property
    def _is_left_behind(self) -> bool:
        return (
            self.route is not None
            and self.endpoint is not None
            and self.route.is_left_behind(self.endpoint, self.made_at, self._share)
        )

    def looks_alive(self) -> bool:
        """Whether an idle connection is worth using, seen without asking the server: a few microseconds."""
        if self.closed or (self.route and self.endpoint and self.route.is_set_aside(self.endpoint)):
            return False
        if not _has_input(self.pgconn.socket):
            return True
        try:
            self.pgconn.consume_input()  # a notice, or the end
        except psycopg.OperationalError:
            return False
        return not self.closed


class StrictDialedConnection(DialedConnection, StrictConnection):
    """The same, keeping to DSQL's rules."""


def _dial(connect: Any, endpoint: Endpoint, conninfo: str, options: Mapping[str, Any]) -> Any:
    where = {"host": endpoint.host, "port": endpoint.port}
    if endpoint.region is None:
        connection = connect(conninfo, **{**NETWORK_OPTIONS, **options, **where})
    else:
        role = options.get("user", ADMIN_ROLE)
        options = {**NETWORK_OPTIONS, **tls_options(), **options, **where, "user": role}
        connection = with_token(
            endpoint.host, endpoint.region, role, lambda token: connect(conninfo, **{**options, "password": token})
        )
    connection.endpoint = endpoint
    return connection


def _has_input(socket: int) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(socket, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([socket], [], [], 0)[0])  # Windows


# -- forks: a child must not speak on its parent's connections

_opened: WeakSet[DialedConnection] = WeakSet()
_opened_lock = threading.Lock()


def _cut_inherited() -> None:
    """In a forked child: turn the sockets that it shares with its parent into dead ends.

    The child then cannot end the parent's sessions by closing its copies, nor keep them open after the parent's death.
    """
    _opened_lock.release()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for connection in list(_opened):
        if not connection.closed:
            os.dup2(nowhere, connection.pgconn.socket)
    os.close(nowhere)
    _opened.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_opened_lock.acquire, after_in_parent=_opened_lock.release, after_in_child=_cut_inherited
    )
