"""The psycopg cursors of strict mode: every statement is judged, rewritten where needed, and counted."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import postgast
import psycopg
from django.db.backends.postgresql import base as postgresql
from psycopg.pq import TransactionStatus

from dsql.beginning import BeginsTogetherMixin
from dsql.strict import cascades, catalog, jobs, locks, shadows, sizes
from dsql.strict.connection import CONFLICT_ERRORS
from dsql.strict.refusals import CONFLICT_MESSAGE, Refusal
from dsql.strict.rules import SCRIPT, Verdict, judge
from dsql.strict.session import CONFLICT

_IDLE = TransactionStatus.IDLE
_INERROR = TransactionStatus.INERROR

# Of a text of several, only all could be taken back together; there a conflict is raised where it is met.
_SINGLE = frozenset({"insert_stmt", "update_stmt", "delete_stmt", "select_stmt"})
_OPEN_SAVEPOINT = b"SAVEPOINT strict_guard;"
_CLOSE_SAVEPOINT = b"\n;RELEASE strict_guard"
_BACK_TO_SAVEPOINT = "ROLLBACK TO strict_guard; RELEASE strict_guard"
# What a statement says about its values and constraints is as true on copies of its tables.
_TRUE_ON_COPIES = ("22", "23")
_MAY_DOOM = (*CONFLICT_ERRORS, psycopg.errors.UniqueViolation)

if TYPE_CHECKING:
    _Cursor = BeginsTogetherMixin
else:
    _Cursor = object


class _Envelope(NamedTuple):
    """Text around the caller's statement, so that strict mode's own need no round trip of their own.

    `position` is which of all the results is the caller's.
    """

    before: bytes
    after: bytes
    position: int


_GUARD = _Envelope(_OPEN_SAVEPOINT, _CLOSE_SAVEPOINT, 1)


class StrictCursorMixin(_Cursor):
    """Goes in front of `BeginsTogetherMixin` and a psycopg cursor class, on a StrictConnection."""

    _binds_on_client = False
    _envelope: _Envelope | None = None
    _rows_before = 0
    _given: Any = None  # the parameters of the statement that runs
    _tags: Mapping[int, bytes] = {}  # of results that answer another statement than the one that was sent

    def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Self:
        connection: Any = self.connection  # a StrictConnection
        verdict = judge(_text_of(query, connection), params is not None)
        self._tags = {}
        if verdict.kind == SCRIPT and self._can_split(params):
            return self._execute_one_by_one(self._final_text(query, params), **kwargs)
        return self._execute_judged(verdict, query, params, **kwargs)

    def _can_split(self, params: Any) -> bool:
        connection: Any = self.connection
        return not connection._pipeline and (params is None or self._binds_on_client)

    def _execute_one_by_one(self, text: str, **kwargs: Any) -> Self:
        results: list[Any] = []
        for statement in postgast.split(text, method="scanner"):
            self._execute_judged(judge(statement), statement, None, **kwargs)
            results += self._results
        self._set_results(results)
        return self

    def _execute_judged(self, verdict: Verdict, query: Any, params: Any, **kwargs: Any) -> Self:
        connection: Any = self.connection
        status = connection.pgconn.transaction_status
        if status == _INERROR:
            return super().execute(query, params, **kwargs)  # 25P02 is the server's own answer
        self._given = params
        sql = query if verdict.sql is None else verdict.sql
        is_alone = status == _IDLE and connection.autocommit

        def run() -> None:
            super(StrictCursorMixin, self).execute(sql, params, **kwargs)

        if connection.session.slow_build_s is not None and (verdict.uses_jobs or verdict.ddl_count):
            jobs.finish(connection, self._final_text(query, params))
        if verdict.job:
            self._judged(verdict, lambda: self._start_build(verdict.job, self._final_text(sql, params), is_alone))
        elif is_alone:
            self._judged(verdict, run)
        else:
            self._judged(verdict, lambda: self._run_in_block(verdict, run, sql, params))
        if verdict.ddl_count:
            locks.forget_columns()
            cascades.forget()
            catalog.forget()
        return self

    def executemany(self, query: Any, params_seq: Iterable[Any], **kwargs: Any) -> None:
        self._run_apart(query, True, lambda: super(StrictCursorMixin, self).executemany(query, params_seq, **kwargs))

    @contextmanager
    def copy(self, statement: Any, params: Any = None, **kwargs: Any) -> Iterator[psycopg.Copy]:
        self._run_apart(statement, params is not None, lambda: None)
        with super().copy(statement, params, **kwargs) as copy:
            yield copy

    def stream(self, query: Any, params: Any = None, **kwargs: Any) -> Iterator[Any]:
        self._run_apart(query, params is not None, lambda: None)
        return super().stream(query, params, **kwargs)

    def _run_apart(self, query: Any, has_placeholders: bool, run: Callable[[], Any]) -> None:
        """Run what cannot share a text with other statements: a conflict is raised where it is met."""
        connection: Any = self.connection

        def run_unless_doomed() -> None:
            if connection.session.is_doomed:
                connection.refuse(CONFLICT)
            run()

        self._given = None
        self._judged(judge(_text_of(query, connection), has_placeholders), run_unless_doomed)

    # -- judging and counting

    def _judged(self, verdict: Verdict, run: Callable[[], Any]) -> None:
        connection: Any = self.connection  # a StrictConnection
        session = connection.session
        is_idle = connection.pgconn.transaction_status == _IDLE
        if is_idle:
            session.begin()
        refusal = session.admit(verdict)
        if verdict.question and refusal is None:
            refusal = catalog.refuse(connection, verdict.question)
        commits = verdict.commits and not is_idle and refusal is None
        if commits and (late_refusal := session.refuse_commit()):
            connection.refuse_commit(late_refusal)
        if refusal:
            connection.refuse(refusal)
        if verdict.uses_jobs:
            jobs.install(connection)
        try:
            if is_idle and connection.autocommit and verdict.writes:
                # The row cap must speak before the statement is committed.
                with connection.transaction():
                    self._counted(verdict, run)
            else:
                self._counted(verdict, run)
        except CONFLICT_ERRORS as error:
            raise psycopg.errors.SerializationFailure(CONFLICT_MESSAGE) from error
        except psycopg.errors.RestrictViolation as error:
            # A code and words of PostgreSQL 18.
            words = str(error).replace("violates RESTRICT setting of foreign key", "violates foreign key")
            raise psycopg.errors.ForeignKeyViolation(words) from error
        except psycopg.errors.ProgramLimitExceeded as error:
            if sizes.is_key_too_large(error):
                raise psycopg.errors.ProgramLimitExceeded(sizes.KEY_TOO_LARGE.message) from error
            raise
        if commits:
            connection.session.committed()

    def _counted(self, verdict: Verdict, run: Callable[[], Any]) -> None:
        connection: Any = self.connection
        # rowcount is exact for a plain statement where nothing cascades; the probe costs two round trips.
        is_probed = verdict.hides_writes or (verdict.writes and cascades.may_follow(connection, verdict.kind))
        if is_probed:
            self._rows_before = connection.rows_changed()
        run()
        rows = size_bytes = 0
        if connection._pipeline and not is_probed:
            connection.count_later(verdict, self)
        elif is_probed:
            rows = connection.rows_changed() - self._rows_before
        elif verdict.counts_each:
            rows = sum(result.command_tuples or 0 for result in self._results)
        elif verdict.writes:
            rows = max(self.rowcount, 0)
        if verdict.stores_values:
            size_bytes = sizes.written_bytes(self)
        refusal = connection.session.record(verdict, rows, size_bytes) or self._refuse_sizes(verdict, rows)
        if refusal:
            connection.refuse(refusal)

    def _refuse_sizes(self, verdict: Verdict, rows: int) -> Refusal | None:
        sent_bytes = sizes.message_bytes(self)
        if sent_bytes < sizes.CLOSER_LOOK_BYTES:
            return None
        refusal = sizes.refuse_message(sent_bytes)
        if refusal is None and verdict.targets:
            refusal = sizes.refuse_values(
                self.connection, verdict.targets, self._given, rows, takes_arrays=verdict.takes_arrays
            )
        return refusal

    # -- asynchronous jobs

    def _start_build(self, job: Any, sql: str, is_alone: bool) -> None:
        """Run what an asynchronous job does, at once or not yet, and answer the job's id."""
        self._run_or_submit(job, sql, is_alone)
        tag = b"CREATE INDEX" if job.job_type == "INDEX_BUILD" else b"ALTER TABLE"
        self._tags = {**self._tags, id(self.pgresult): tag}
        self._statusmessage = tag

    def _run_or_submit(self, job: Any, sql: str, is_alone: bool) -> None:
        connection: Any = self.connection
        session = connection.session
        if is_alone and session.slow_build_s is not None:
            super().execute(jobs.submit(connection, sql, job, duration_s=session.slow_build_s))
            return
        record = b"\n;" + jobs.job_sql(job).encode()
        self._envelope = (
            _Envelope(b"", record, 1) if is_alone else _Envelope(_OPEN_SAVEPOINT, record + _CLOSE_SAVEPOINT, 2)
        )
        try:
            super().execute(sql)
            return
        except jobs.BUILD_ERRORS as error:
            failure = jobs.details_of(error)
        finally:
            self._envelope = None
        if not is_alone:
            connection.run_unjudged(_BACK_TO_SAVEPOINT)
        if job.job_type == "INDEX_BUILD":
            leave = functools.partial(jobs.leave_invalid_index, connection, sql)
            leave() if is_alone else session.at_commit.append(leave)
        super().execute(jobs.job_sql(job, "failed", failure))

    # -- conflicts, and the traces of row locks

    def _run_in_block(self, verdict: Verdict, run: Callable[[], None], sql: Any, params: Any) -> None:
        """Run a statement of an open transaction so that a conflict shows where DSQL shows it: see `shadows`."""
        connection: Any = self.connection
        session = connection.session
        if session.is_doomed and not verdict.ends_transaction:
            self._assert_can_hide_doom(verdict, sql, params)
        may_doom = verdict.writes and verdict.kind in _SINGLE and session.conflicts_at_commit
        if verdict.locks is None and not may_doom:
            run()
            return
        touches: list[str] = []
        if verdict.locks is not None:
            touches = list(locks.touching_sql(connection, verdict.locks, params))
            if verdict.locks.is_deep:
                self._touch_apart(locks.deep_touching_sql(connection, self._final_text(sql, params)))
                self._rows_before = connection.rows_changed()  # the touched rows are not the caller's
        if not self._binds_on_client or connection._pipeline:
            self._touch_apart(touches)
            run()
            return
        self._envelope = _envelope(touches, with_savepoint=session.conflicts_at_commit)
        try:
            run()
        except _MAY_DOOM as error:
            if not session.conflicts_at_commit:
                raise
            self._go_on_doomed(run, self._final_text(sql, params), error)
        finally:
            self._envelope = None

    def _go_on_doomed(self, run: Callable[[], None], text: str, error: psycopg.Error) -> None:
        """Run the statement `text`, which met `error`, on copies of its tables; COMMIT will raise the conflict.

        A unique key may be taken by a row that this transaction sees, which is no conflict. Then it is taken on the
        copies too, and the error is raised. It is also raised when no copies can be made, as any conflict is.
        """
        connection: Any = self.connection
        self._envelope = None
        connection.run_unjudged(_BACK_TO_SAVEPOINT)
        try:
            shadows.make(connection, text)
        except (shadows.Impossible, psycopg.Error):
            connection.refuse_with(error)
        self._rows_before = connection.rows_changed()  # the copied rows are not the caller's
        try:
            run()
        except psycopg.Error as again:
            if isinstance(error, psycopg.errors.UniqueViolation) and isinstance(again, psycopg.errors.UniqueViolation):
                raise error from None
            if (again.sqlstate or "").startswith(_TRUE_ON_COPIES):
                raise
            raise psycopg.errors.SerializationFailure(CONFLICT_MESSAGE) from again
        connection.session.is_doomed = True

    def _assert_can_hide_doom(self, verdict: Verdict, sql: Any, params: Any) -> None:
        """Raise the conflict now, when this statement could show the tables behind their copies."""
        connection: Any = self.connection
        if self._binds_on_client and not verdict.ddl_count and not connection._pipeline:
            try:
                shadows.check(connection, self._final_text(sql, params))
                return
            except shadows.Impossible:
                pass
        connection.refuse(CONFLICT)

    def _touch_apart(self, touches: Iterable[str]) -> None:
        """Leave the traces in a round trip of their own. Where that fails, the statement itself will say why."""
        connection: Any = self.connection
        for touch in touches:
            try:
                connection.run_unjudged(f"SAVEPOINT strict_guard; {touch}; RELEASE strict_guard")
            except psycopg.Error:
                if connection.pgconn.transaction_status == _INERROR:
                    connection.run_unjudged(_BACK_TO_SAVEPOINT)

    def _final_text(self, sql: Any, params: Any) -> str:
        """The statement with its parameters in it."""
        return psycopg.ClientCursor(self.connection).mogrify(sql, params)

    def _execute_send(self, query: Any, *, force_extended: bool = False, binary: bool | None = None) -> None:
        envelope = self._envelope
        if envelope is None or force_extended or binary or (query.params and not self._binds_on_client):
            super()._execute_send(query, force_extended=force_extended, binary=binary)  # type: ignore[misc]
            return
        # Here the parameters are in the text already: no template is made, parsed or kept for the longer text.
        self._query = query
        self._send_text(envelope.before + query.query + envelope.after)

    def _select_current_result(self, i: int, format: Any = None) -> None:
        super()._select_current_result(i, format)  # type: ignore[misc]
        self._statusmessage = self._tags.get(id(self.pgresult), self._statusmessage)

    def _set_results(self, results: list[Any]) -> None:
        if self._envelope is not None:
            first = bool(self._begin)  # the answer to BEGIN, which goes on to be taken off
            position = self._envelope.position + first
            results = [*results[:first], *results[position : position + 1]]
        super()._set_results(results)  # type: ignore[misc]


class StrictCursor(StrictCursorMixin, BeginsTogetherMixin, postgresql.Cursor):
    _binds_on_client = True


class StrictServerBindingCursor(StrictCursorMixin, BeginsTogetherMixin, postgresql.ServerBindingCursor):
    pass


def _envelope(touches: list[str], *, with_savepoint: bool) -> _Envelope | None:
    if not touches:
        return _GUARD if with_savepoint else None
    after = "".join(f"\n;{touch}" for touch in touches).encode()
    if with_savepoint:
        return _Envelope(_OPEN_SAVEPOINT, after + _CLOSE_SAVEPOINT, 1)
    return _Envelope(b"", after, 0)


def _text_of(query: Any, connection: Any) -> str:
    if type(query) is str:
        return query
    if isinstance(query, bytes):
        return query.decode()
    return query if isinstance(query, str) else query.as_string(connection)
