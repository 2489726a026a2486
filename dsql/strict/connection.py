"""The psycopg connection of strict mode."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any, NoReturn, Self

import psycopg
from psycopg.pq import TransactionStatus

from dsql.strict.refusals import CONFLICT_MESSAGE, Refusal, unsupported
from dsql.strict.rules import Verdict, is_settable
from dsql.strict.session import CONFLICT, Session

# What PostgreSQL says, sooner or later, when two transactions want the same row.
CONFLICT_ERRORS = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
)
SAVEPOINT = unsupported("unsupported transaction statement: SAVEPOINT")
_START_OPTION = re.compile(r"(?:-c\s*|--)([\w.-]+)=")
# How the backend makes PostgreSQL behave like DSQL; nobody else's start options get here.
_OWN_START_OPTIONS = frozenset({"default_transaction_isolation", "lock_timeout"})
# Rows changed so far in this transaction, cascades included. Rows of earlier transactions may still be in it,
# so only the difference of two readings means something.
ROWS_CHANGED_SQL = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_xact_user_tables"


class StrictConnection(psycopg.Connection[Any]):
    """Counts what a transaction does and refuses the COMMIT that DSQL would refuse."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.session = Session()
        self._sent: list[tuple[Verdict, psycopg.Cursor[Any]]] = []  # into a pipeline whose answers are not there yet
        self._database_key: tuple[Any, ...] | None = None

    @property
    def database_key(self) -> tuple[Any, ...]:
        """What tells databases apart, for what is remembered about a catalog. Asking the driver takes microseconds."""
        if self._database_key is None:
            self._database_key = (self.info.host, self.info.port, self.info.dbname)
        return self._database_key

    @classmethod
    def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:  # type: ignore[override]
        """Connect as psycopg does, unless a start option (`-c name=value`) asks for what DSQL does not let be set."""
        for name in _START_OPTION.findall(kwargs.get("options") or ""):
            if name not in _OWN_START_OPTIONS and not is_settable(name):
                raise psycopg.OperationalError(f'FATAL:  setting configuration parameter "{name}" not supported')
        return super().connect(conninfo, **kwargs)

    def commit(self) -> None:
        if self.pgconn.transaction_status == TransactionStatus.INTRANS and (refusal := self.session.refuse_commit()):
            self.refuse_commit(refusal)
        try:
            super().commit()
        except CONFLICT_ERRORS as error:
            raise psycopg.errors.SerializationFailure(CONFLICT_MESSAGE) from error
        self.session.committed()

    @contextlib.contextmanager
    def pipeline(self) -> Iterator[psycopg.Pipeline]:
        """What the statements did is known, counted and refused when their answers are there: at the end."""
        try:
            with super().pipeline() as pipeline:
                yield pipeline
            for verdict, cursor in self._sent:
                if verdict.writes and (refusal := self.session.record(verdict, max(cursor.rowcount, 0), 0)):
                    self.refuse(refusal)
        except CONFLICT_ERRORS as error:
            raise psycopg.errors.SerializationFailure(CONFLICT_MESSAGE) from error
        finally:
            self._sent = []

    def count_later(self, verdict: Verdict, cursor: psycopg.Cursor[Any]) -> None:
        self._sent.append((verdict, cursor))

    def rollback(self) -> None:
        self.session.at_commit.clear()
        super().rollback()

    @contextlib.contextmanager
    def transaction(self, savepoint_name: str | None = None, force_rollback: bool = False) -> Iterator[Any]:
        if savepoint_name or self.pgconn.transaction_status != TransactionStatus.IDLE:
            self.refuse(SAVEPOINT)  # the driver would set one, past the cursors
        with super().transaction(savepoint_name, force_rollback) as transaction:
            yield transaction
            if not force_rollback and (refusal := self.session.refuse_commit()):
                self.refuse(refusal)

    def refuse_commit(self, refusal: Refusal) -> NoReturn:
        """Raise `refusal` as the answer to COMMIT: the transaction is over, with nothing of it left."""
        self.rollback()
        raise psycopg.errors.lookup(refusal.sqlstate)(refusal.message)

    def refuse(self, refusal: Refusal) -> NoReturn:
        """Raise `refusal` from the server, which also aborts an open transaction."""
        self.run_unjudged(refusal.raising_sql())
        raise AssertionError("the server did not raise")  # it always does

    def refuse_with(self, error: psycopg.Error) -> NoReturn:
        """Raise `error`, which the server gave earlier in this transaction, and abort the transaction again."""
        if self.pgconn.transaction_status != TransactionStatus.INERROR:
            with contextlib.suppress(psycopg.errors.SerializationFailure):
                self.refuse(CONFLICT)
        raise error

    def run_unjudged(self, sql: str) -> psycopg.ClientCursor[Any]:
        """Run one of strict mode's own statements."""
        cursor = psycopg.ClientCursor(self)
        cursor.execute(sql)
        return cursor

    def rows_changed(self) -> int:
        row = self.run_unjudged(ROWS_CHANGED_SQL).fetchone()
        assert row is not None
        return row[0]
