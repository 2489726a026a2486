"""The proof of a sale: its format's checks, run on the rows themselves; and the proof of the books."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from core import clock, invariants
from core.invariants import Check, Finding
from dsql.apart import ReadingPool
from ledger import invariants as ledger_checks
from ledger import services as ledger
from ledger.models import BooksCheckpoint
from payments import invariants as payments_checks
from sales import invariants as sales_checks
from sales.formats import get_format
from sales.models import Sale

# Subjects of stored runs beside sales: the books' newest transfers, and all of them.
BOOKS = UUID("00000000-0000-7000-8000-0000000000b0")
BOOKS_WHOLE = UUID("00000000-0000-7000-8000-0000000000b1")
EVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# The books are the ledger, where its money came from, and that no sale is left out of its own proof.
BOOKS_CHECKS = [*ledger_checks.WHOLE_CHECKS, *payments_checks.CHECKS, sales_checks.NOTHING_HIDDEN]
BOOKS_NEWS_CHECKS = [*ledger_checks.NEWS_CHECKS, *payments_checks.NEWS_CHECKS, sales_checks.NOTHING_HIDDEN]

# DSQL ends a transaction after 300 s. A check begins in a snapshot of at most this age, and has to answer in the other time.
SNAPSHOT_S = 170
STATEMENT_S = 120
# Connections of their own: however many proofs run, whoever buys gets one from the pool.
_apart = ReadingPool(2, timeout_s=1, statement_deadline_s=STATEMENT_S)


@dataclass(frozen=True, slots=True)
class Proof:
    findings: list[Finding]
    ran_at: dt.datetime
    took_ms: int
    snapshots: int = 1
    since: dt.datetime | None = None  # of the books: only transfers recorded from then on were read; None: all

    @property
    def holds(self) -> bool:
        return all(finding.holds for finding in self.findings)


def prove_sale(sale: Sale, *, books: bool = True) -> Proof:
    """Run the checks of the sale's format, and with `books` those of the books too, now.

    Raises what the database raises, and PoolTimeout when too many proofs run in this process.
    """
    checks = [*get_format(sale.format).checks, *(BOOKS_CHECKS if books else [])]
    ran_at = clock.now()
    with read() as reader:
        findings = reader.run(checks, {"sale_id": sale.id})
    return _proof(findings, ran_at, reader)


def prove_books() -> Proof:
    """Run the checks of the books on every transfer there is."""
    ran_at = clock.now()
    until = ran_at - ledger.SETTLED_AFTER
    with read() as reader:
        findings = reader.run(BOOKS_CHECKS, {})
        collected = reader.number(ledger_checks.COLLECTED, {"since": EVER, "until": until})
    return _checkpointed(_proof(findings, ran_at, reader), until, collected)


def prove_books_since() -> Proof:
    """Run the checks of the books on what was recorded since they last held; on all of it when they never have."""
    checkpoint = BooksCheckpoint.objects.first()
    if checkpoint is None:
        return prove_books()
    ran_at = clock.now()
    since, until = checkpoint.until, max(checkpoint.until, ran_at - ledger.SETTLED_AFTER)
    with read() as reader:
        known = {"since": since, "collected": checkpoint.collected_minor}
        findings = reader.run(BOOKS_NEWS_CHECKS, known)
        collected = checkpoint.collected_minor + reader.number(
            ledger_checks.COLLECTED, {"since": since, "until": until}
        )
    return _checkpointed(_proof(findings, ran_at, reader, since), until, collected)


def _proof(findings: list[Finding], ran_at: dt.datetime, reader: Reader, since: dt.datetime | None = None) -> Proof:
    took_ms = int((clock.now() - ran_at).total_seconds() * 1000)
    return Proof(findings, ran_at, took_ms, reader.snapshots, since)


def _checkpointed(proof: Proof, until: dt.datetime, collected_minor: int) -> Proof:
    if proof.holds and not connection.in_atomic_block:
        ledger.checkpoint_books(until=until, collected_minor=collected_minor)
    return proof


class Reader:
    """Runs checks in one read-only snapshot, or, when they take long, in one after the other."""

    def __init__(self, connection: Any, *, may_renew: bool) -> None:
        self.connection = connection
        self.may_renew = may_renew
        self.snapshots = 1
        self._began_at = time.monotonic()

    def run(self, checks: Sequence[Check], parameters: Mapping[str, Any]) -> list[Finding]:
        return [self._run_one(check, parameters) for check in checks]

    def _run_one(self, check: Check, parameters: Mapping[str, Any]) -> Finding:
        self._renew_if_old()
        with self.connection.cursor() as cursor:
            return invariants.run(check, parameters, cursor)

    def number(self, sql: str, parameters: Mapping[str, Any]) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, dict(parameters))
            return int(cursor.fetchone()[0])

    def _renew_if_old(self) -> None:
        if self.may_renew and time.monotonic() - self._began_at > SNAPSHOT_S:
            self.connection.commit()
            self._began_at = time.monotonic()
            self.snapshots += 1


@contextmanager
def read() -> Iterator[Reader]:
    """A reader apart from the pool; inside a test's or a service's transaction, of that one's own snapshot."""
    if connection.in_atomic_block:
        yield Reader(connection, may_renew=False)
        return
    with _apart.connection() as reading:
        yield Reader(reading, may_renew=True)
