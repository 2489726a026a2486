"""Connection pools: one per alias and process."""

from __future__ import annotations

import atexit
import os
import time
from contextlib import suppress
from typing import Any

from django.db import connections
from psycopg_pool import ConnectionPool, PoolTimeout

from dsql.dialing import LIFETIME_S, DialedConnection

CHECK_DEADLINE_S = 2.0
# A failed connect is not repeated for its own sake: the next caller without a connection makes the next attempt, and
# the route knows which endpoint to ask. The pool's own pauses, of up to minutes, would outlast the outage.
RECONNECT_TIMEOUT_S = 0.0
CLOSE_AT_EXIT_S = 1.0


class Pool(ConnectionPool[DialedConnection]):
    """Gives out connections that look alive, and lets go of those that should be replaced.

    Looking costs no round trip, unlike psycopg_pool's `check`, which also pauses a second after the second dead
    connection in a row: after a server's restart that is every one.
    """

    def __init__(self, **options: Any) -> None:
        # The pool too takes up to 5 % off the lifetime, at random.
        defaults = {"max_lifetime": LIFETIME_S, "reconnect_timeout": RECONNECT_TIMEOUT_S}
        # Opened by the first connection, not by importing the settings.
        super().__init__(open=False, **{**defaults, **options})
        self._pid = os.getpid()

    def __del__(self) -> None:
        # A forked child has none of the threads that the finalizer waits for, and perhaps a lock that nobody releases.
        if getattr(self, "_pid", None) == os.getpid():
            super().__del__()

    def getconn(self, timeout: float | None = None) -> DialedConnection:
        timeout_s = self.timeout if timeout is None else timeout
        give_up_at = time.monotonic() + timeout_s
        while True:
            try:
                connection = super().getconn(max(give_up_at - time.monotonic(), 0.001))
            except PoolTimeout as error:
                raise PoolTimeout(f"couldn't get a connection after {timeout_s:.2f} sec") from error
            if connection.looks_alive():
                return connection
            connection.pgconn.finish()
            self.putconn(connection)  # closed: the pool replaces it

    def putconn(self, conn: DialedConnection) -> None:
        if conn.is_due_for_replacement:
            conn._expire_at = 0.0  # the pool replaces what is past its date
        super().putconn(conn)


def ask_server(connection: DialedConnection) -> None:
    """For CONN_HEALTH_CHECKS: raises unless the server answers soon, on this connection. A round trip."""
    with connection.deadline(CHECK_DEADLINE_S):
        Pool.check_connection(connection)


pools: dict[str, Pool] = {}


def close_all() -> None:
    """Close every pool of this process, politely: the server is told."""
    for alias in tuple(pools):
        with suppress(KeyError):  # of two threads that close, one is first
            pools.pop(alias).close(CLOSE_AT_EXIT_S)


def _forget_in_child() -> None:
    """A forked child starts without its parent's pools and connections; its sockets are cut in `dialing`."""
    pools.clear()
    for wrapper in connections.all(initialized_only=True):
        if isinstance(wrapper.connection, DialedConnection) and not wrapper.in_atomic_block:
            wrapper.connection.pgconn.finish()
            wrapper.connection = None


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
