"""The psycopg cursors of strict mode: every statement is judged, rewritten where needed, and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import psycopg
from django.db.backends.postgresql import base as postgresql
from psycopg.pq import TransactionStatus

from dsql.strict import jobs, locks
from dsql.strict.connection import CONFLICT_ERRORS
from dsql.strict.refusals import CONFLICT_MESSAGE
from dsql.strict.rules import Verdict, judge

_IDLE = TransactionStatus.IDLE
_INTRANS = TransactionStatus.INTRANS
_INERROR = TransactionStatus.INERROR


if TYPE_CHECKING:
    _Cursor = psycopg.Cursor[Any]
else:
    _Cursor = object


class StrictCursorMixin(_Cursor):
    """Goes in front of a psycopg cursor class, on a StrictConnection."""

    def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Self:
        verdict = judge(_text_of(query, self.connection), params is not None)
        if self.connection.pgconn.transaction_status == _INERROR:
            return super().execute(query, params, **kwargs)  # 25P02 is the server's own answer
        sql = query if verdict.sql is None else verdict.sql
        if verdict.job:
            sql = jobs.with_job(sql, verdict.job)

        def run() -> None:
            super(StrictCursorMixin, self).execute(sql, params, **kwargs)
            if verdict.locks and self.rowcount > 0 and self.connection.pgconn.transaction_status == _INTRANS:
                locks.touch(self.connection, verdict.locks, params)

        self._judged(verdict, run)
        if verdict.ddl_count:
            locks.forget_columns()
        if verdict.job:
            self.nextset()  # the second result is the row with the job's id
        return self

    def executemany(self, query: Any, params_seq: Iterable[Any], **kwargs: Any) -> None:
        verdict = judge(_text_of(query, self.connection), True)
        self._judged(verdict, lambda: super(StrictCursorMixin, self).executemany(query, params_seq, **kwargs))

    @contextmanager
    def copy(self, statement: Any, params: Any = None, **kwargs: Any) -> Iterator[psycopg.Copy]:
        verdict = judge(_text_of(statement, self.connection), params is not None)
        self._judged(verdict, lambda: None)
        with super().copy(statement, params, **kwargs) as copy:
            yield copy

    def stream(self, query: Any, params: Any = None, **kwargs: Any) -> Iterator[Any]:
        self._judged(judge(_text_of(query, self.connection), params is not None), lambda: None)
        return super().stream(query, params, **kwargs)

    def _judged(self, verdict: Verdict, run: Callable[[], Any]) -> None:
        connection: Any = self.connection  # a StrictConnection
        session = connection.session
        is_idle = connection.pgconn.transaction_status == _IDLE
        if is_idle:
            session.begin()
        refusal = session.admit(verdict)
        if refusal is None and verdict.ends_transaction and verdict.commits and not is_idle:
            refusal = session.refuse_commit()
        if refusal:
            connection.refuse(refusal)
        if verdict.uses_jobs:
            jobs.install(connection)
        try:
            if is_idle and connection.autocommit and verdict.writes:
                # The row cap must speak before the statement is committed.
                with connection.transaction():
                    self._counted(verdict, run)
                    if refusal := session.refuse_commit():
                        connection.refuse(refusal)
            else:
                self._counted(verdict, run)
        except CONFLICT_ERRORS as error:
            raise psycopg.errors.SerializationFailure(CONFLICT_MESSAGE) from error

    def _counted(self, verdict: Verdict, run: Callable[[], Any]) -> None:
        connection: Any = self.connection  # a StrictConnection
        # rowcount is exact for a plain statement, because nothing cascades; the probe costs a round trip.
        before = connection.rows_changed() if verdict.hides_writes else 0
        run()
        rows = size_bytes = 0
        if verdict.hides_writes:
            rows = connection.rows_changed() - before
        elif verdict.counts_each:
            rows = sum(result.command_tuples or 0 for result in self._results)
        elif verdict.writes:
            rows = max(self.rowcount, 0)
        if verdict.stores_values:
            size_bytes = _bytes_sent(self)
        if refusal := connection.session.record(verdict, rows, size_bytes):
            connection.refuse(refusal)


class StrictCursor(StrictCursorMixin, postgresql.Cursor):
    pass


class StrictServerBindingCursor(StrictCursorMixin, postgresql.ServerBindingCursor):
    pass


def _text_of(query: Any, connection: Any) -> str:
    if type(query) is str:
        return query
    if isinstance(query, bytes):
        return query.decode()
    return query if isinstance(query, str) else query.as_string(connection)


def _bytes_sent(cursor: Any) -> int:
    sent = cursor._query
    if sent is None:
        return 0
    return len(sent.query) + sum(len(value) for value in sent.params or () if value is not None)
