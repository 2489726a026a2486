"""A few connections apart from an alias's pool, for long reads: nobody who waits for the pool ever waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from psycopg_pool import PoolTimeout


class ReadingPool:
    """At most `size` connections at a time in this process, each made for its use: long reads are few, and far apart.

    They begin transactions by themselves, and the database refuses every write of them.
    """

    def __init__(
        self, size: int, *, timeout_s: float, statement_deadline_s: float, using: str = DEFAULT_DB_ALIAS
    ) -> None:
        self.using = using
        self.timeout_s = timeout_s
        self.statement_deadline_s = statement_deadline_s
        self._free = threading.BoundedSemaphore(size)

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection of psycopg's. Raises PoolTimeout when all stay in use."""
        if not self._free.acquire(timeout=self.timeout_s):
            raise PoolTimeout(f"couldn't get a reading connection after {self.timeout_s:.2f} sec")
        try:
            with self._dial() as connection:
                connection.read_only = True
                connection.autocommit = False
                yield connection
        finally:
            self._free.release()

    def _dial(self) -> Any:
        wrapper: Any = connections[self.using]
        login = {**wrapper.get_connection_params(), "statement_deadline_s": self.statement_deadline_s}
        connection = wrapper._connection_class.connect(**login, autocommit=True)
        wrapper._configure_connection(connection)
        return connection
