"""The proof of a sale: its format's checks and the ledger's, run now, on the rows themselves."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction

from core import clock, invariants
from core.invariants import Check, Finding
from dsql.readings import Reading, read_at_each_endpoint
from ledger.invariants import CHECKS as BOOKS
from sales.formats import get_format
from sales.models import Sale

# Everybody who looks within this time sees the same run: a crowd must not become a load on the write tables.
SHARED_S = 3


@dataclass(frozen=True, slots=True)
class Proof:
    findings: list[Finding]
    ran_at: dt.datetime
    took_ms: int

    @property
    def holds(self) -> bool:
        return all(finding.holds for finding in self.findings)


def prove_sale(sale: Sale, *, books: bool = True) -> Proof:
    """Run the checks of one sale's format, and with `books` the ledger's too, in one read-only snapshot."""
    checks = [*get_format(sale.format).checks, *(BOOKS if books else [])]
    return _run(checks, {"sale_id": sale.id})


def prove_books() -> Proof:
    return _run(BOOKS, {})


@dataclass(frozen=True, slots=True)
class Readings:
    """A sale's count as every endpoint of the database gave it, asked at the same moment."""

    name: str
    sql: str
    readings: list[Reading]

    @property
    def difference(self) -> int | None:
        """How far the answers are apart; None when not all endpoints answered."""
        answers = [reading.answer for reading in self.readings]
        known = [answer for answer in answers if answer is not None]
        return max(known) - min(known) if known and len(known) == len(answers) else None

    @property
    def apart_ms(self) -> float:
        times = [reading.asked_at for reading in self.readings]
        return (max(times) - min(times)).total_seconds() * 1000


def shared_readings(sale: Sale) -> Readings | None:
    """The sale's count through each endpoint, at most once in SHARED_S. None when the database has but one door."""
    return cache.get_or_set(f"readings:{sale.id}", lambda: _read_everywhere(sale), timeout=SHARED_S)  # type: ignore[return-value]


def _read_everywhere(sale: Sale) -> Readings | None:
    count = get_format(sale.format).count
    readings = read_at_each_endpoint(count.sql, {"sale_id": sale.id})
    sql = Check(count.name, "", count.sql).printable({"sale_id": sale.id})
    return Readings(count.name, sql, readings) if len(readings) > 1 else None


def shared_proof(sale: Sale) -> Proof:
    """`prove_sale`, at most once in SHARED_S for everybody together."""
    return cache.get_or_set(f"proof:{sale.id}", lambda: prove_sale(sale), timeout=SHARED_S)  # type: ignore[return-value]


def shared_books() -> Proof:
    return cache.get_or_set("proof:books", prove_books, timeout=SHARED_S)  # type: ignore[return-value]


def _run(checks: list[Check], parameters: dict[str, UUID]) -> Proof:
    ran_at = clock.now()
    with _read_only():
        findings = [invariants.run(check, parameters) for check in checks]
    return Proof(findings, ran_at, int((clock.now() - ran_at).total_seconds() * 1000))


@contextmanager
def _read_only() -> Iterator[None]:
    """One snapshot in which the database itself refuses to write."""
    if connection.in_atomic_block:  # inside a test's or a service's transaction: its snapshot is the one to check
        yield
        return
    connection.ensure_connection()
    connection.connection.read_only = True
    try:
        with transaction.atomic(durable=True):
            yield
    finally:
        if connection.connection is not None:
            connection.connection.read_only = None


def pseudonym(sale_id: UUID, fan_id: UUID) -> str:
    """A fan's name on this sale's proof: always the same there, different in every other sale, and no way back."""
    digest = hmac.new(settings.SECRET_KEY.encode(), b"proof:" + sale_id.bytes + fan_id.bytes, hashlib.sha256)
    return f"Fan {digest.hexdigest()[:8].upper()}"
