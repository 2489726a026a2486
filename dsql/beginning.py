"""BEGIN travels with a transaction's first statement, as one text: a round trip less for every transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

if TYPE_CHECKING:
    _Cursor = psycopg.Cursor[Any]
else:
    _Cursor = object

_IDLE = TransactionStatus.IDLE


class BeginsTogetherMixin(_Cursor):
    """In front of a psycopg cursor that binds on the client's side, on a connection with `skip_begin`.

    Only `execute` does it: a COPY or a stream sends its statement by another protocol, which takes one at a time.
    """

    _binds_on_client = False
    _may_join = False
    _begin = b""  # what goes in front of the statement that is being sent

    def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Self:
        self._may_join = self._binds_on_client
        try:
            return super().execute(query, params, **kwargs)
        except psycopg.Error:
            if not (self._begin and self.connection.pgconn.transaction_status == _IDLE):
                raise
            # The server could not even read the text, so BEGIN has not run and nothing would say that this transaction failed.
            self._may_join = False
            return super().execute(query, params, **kwargs)
        finally:
            self._may_join = False

    def _start_query(self, query: Any = None) -> PQGen[None]:
        connection: Any = self._conn
        self._begin = b""
        is_first = connection.pgconn.transaction_status == _IDLE and not connection.autocommit
        if self._may_join and is_first and not connection._pipeline:
            self._begin = connection._get_tx_start_command() + b";"
        connection.skip_begin = bool(self._begin)
        try:
            yield from super()._start_query(query)  # type: ignore[misc]
        finally:
            connection.skip_begin = False

    def _execute_send(self, query: Any, *, force_extended: bool = False, binary: bool | None = None) -> None:
        if not self._begin:
            super()._execute_send(query, force_extended=force_extended, binary=binary)  # type: ignore[misc]
            return
        self._query = query
        self._send_text(query.query)

    def _send_text(self, text: bytes) -> None:
        self._pgconn.send_query(self._begin + text)

    def _set_results(self, results: list[Any]) -> None:
        if self._begin:
            self._begin = b""
            results = results[1:]
        super()._set_results(results)  # type: ignore[misc]
