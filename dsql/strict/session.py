"""What strict mode remembers about the transaction that a connection is in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from dsql.strict.refusals import CONFLICT_MESSAGE, FEATURE_NOT_SUPPORTED, LIMIT_EXCEEDED, Refusal
from dsql.strict.rules import Verdict

MULTIPLE_DDL = Refusal(FEATURE_NOT_SUPPORTED, "multiple ddl statements not supported in a transaction")
DDL_AND_DML = Refusal(FEATURE_NOT_SUPPORTED, "ddl and dml are not supported in the same transaction")
CONFLICT = Refusal("40001", CONFLICT_MESSAGE)
CONFLICT_PLACES = ("commit", "statement")
SLOW_BUILD_S = 1.0


@dataclass(frozen=True)
class Caps:
    """What one transaction may change (rows, bytes) and how long it may take (seconds)."""

    rows: int = 3_000
    size_bytes: int = 10 * 1024 * 1024
    age_s: float = 300

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        return cls(
            rows=options.get("row_cap", cls.rows),
            size_bytes=options.get("size_cap_bytes", cls.size_bytes),
            age_s=options.get("age_cap_s", cls.age_s),
        )

    @property
    def too_many_rows(self) -> Refusal:
        return Refusal(LIMIT_EXCEEDED, "transaction row limit exceeded")

    @property
    def too_large(self) -> Refusal:
        return Refusal(LIMIT_EXCEEDED, "transaction size limit 10mb exceeded")

    @property
    def too_old(self) -> Refusal:
        return Refusal(LIMIT_EXCEEDED, f"transaction age limit of {self.age_s:g}s exceeded")


class Session:
    """The state of one connection. The server itself keeps the "aborted" state (25P02)."""

    def __init__(self, caps: Caps | None = None) -> None:
        self.caps = caps or Caps()
        self.conflicts_at_commit = True
        self.slow_build_s: float | None = None  # how long asynchronous jobs take; None: they run at once
        self.begin()

    def configure(self, options: Mapping[str, Any]) -> None:
        """Take what a wrapper's OPTIONS say about strict mode."""
        self.caps = Caps.from_options(options)
        self.conflicts_at_commit = options.get("conflicts_at", "commit") == "commit"
        slow = options.get("slow_builds", False)
        self.slow_build_s = None if slow is False else SLOW_BUILD_S if slow is True else float(slow)

    def begin(self) -> None:
        """Start counting anew: the next statement opens a transaction."""
        self.begun_at = time.monotonic()
        self.rows = 0
        self.size_bytes = 0
        self.has_ddl = False
        self.has_dml = False
        # A statement met a conflict and reported success all the same; COMMIT will fail.
        self.is_doomed = False
        # The tables that a temporary table of the same name stands in front of.
        self.shadows: set[str] = set()
        # What to do once COMMIT is done; forgotten by ROLLBACK.
        self.at_commit: list[Callable[[], None]] = []

    def committed(self) -> None:
        """COMMIT is done."""
        while self.at_commit:
            self.at_commit.pop(0)()

    def admit(self, verdict: Verdict) -> Refusal | None:
        """Why `verdict`'s statement may not run in this transaction, or None."""
        if verdict.refusal:
            return verdict.refusal
        if time.monotonic() - self.begun_at > self.caps.age_s and not verdict.ends_transaction:
            return self.caps.too_old
        if verdict.ddl_count + self.has_ddl > 1:
            return MULTIPLE_DDL
        if (verdict.ddl_count or self.has_ddl) and (verdict.writes or self.has_dml):
            return DDL_AND_DML
        return None

    def record(self, verdict: Verdict, rows: int, size_bytes: int) -> Refusal | None:
        """Count what a statement did; a Refusal when it went over the row cap."""
        self.has_ddl |= verdict.ddl_count > 0
        self.has_dml |= verdict.writes
        self.rows += rows
        self.size_bytes += size_bytes
        return self.caps.too_many_rows if self.rows > self.caps.rows else None

    def refuse_commit(self) -> Refusal | None:
        """Why this transaction may not commit, or None. Size is an estimate, from the bytes that were sent."""
        if self.is_doomed:
            return CONFLICT
        if time.monotonic() - self.begun_at > self.caps.age_s:
            return self.caps.too_old
        return self.caps.too_large if self.size_bytes > self.caps.size_bytes else None
