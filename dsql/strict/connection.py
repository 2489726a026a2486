"""The psycopg connection of strict mode."""

from __future__ import annotations

from typing import Any, NoReturn

import psycopg
from psycopg.pq import TransactionStatus

from dsql.strict.refusals import CONFLICT_MESSAGE, Refusal
from dsql.strict.session import Session

# What PostgreSQL says, sooner or later, when two transactions want the same row.
CONFLICT_ERRORS = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
)
# Rows changed so far in this transaction, cascades included. Rows of earlier transactions may still be in it,
# so only the difference of two readings means something.
ROWS_CHANGED_SQL = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_xact_user_tables"


class StrictConnection(psycopg.Connection[Any]):
    """Counts what a transaction does and refuses the COMMIT that DSQL would refuse."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.session = Session()

    def commit(self) -> None:
        if self.pgconn.transaction_status == TransactionStatus.INTRANS and (refusal := self.session.refuse_commit()):
            self.refuse(refusal)
        try:
            super().commit()
        except CONFLICT_ERRORS as error:
            raise psycopg.errors.SerializationFailure(CONFLICT_MESSAGE) from error

    def refuse(self, refusal: Refusal) -> NoReturn:
        """Raise `refusal` from the server, which also aborts an open transaction."""
        self.run_unjudged(refusal.raising_sql())
        raise AssertionError("the server did not raise")  # it always does

    def run_unjudged(self, sql: str) -> psycopg.ClientCursor[Any]:
        """Run one of strict mode's own statements."""
        cursor = psycopg.ClientCursor(self)
        cursor.execute(sql)
        return cursor

    def rows_changed(self) -> int:
        row = self.run_unjudged(ROWS_CHANGED_SQL).fetchone()
        assert row is not None
        return row[0]
