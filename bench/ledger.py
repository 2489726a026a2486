"""`bench ledger`: transfers a second, the product's ledger beside django-hordak, on one PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from bench import stampede
from bench.figures import Spread
from bench.servers import Stack, environ, scratch_stack
from bench.stampede import say
from bench.threads import SECONDS, THREADS, Done

ACCOUNTS = 1_000
HORDAK_DATABASE = "hordak"
CHOICES = {"many": f"{ACCOUNTS:,} accounts", "hot": "one hot account"}
LANE, CALL, HORDAK = "lane", "call", "hordak"
WAYS = {LANE: "batched by a lane", CALL: "transfer_batch, one a call", HORDAK: "django-hordak"}


@dataclass
class Findings:
    """(way, choice of accounts) → each round."""

    done: dict[tuple[str, str], list[Done]] = field(
        default_factory=lambda: {(way, choice): [] for choice in CHOICES for way in WAYS}
    )
    checks: int = 0
    problems: list[str] = field(default_factory=list)

    def per_s(self, way: str, choice: str) -> Spread:
        return Spread.of([done.per_s for done in self.done[way, choice]])

    def times_hordak(self, way: str, choice: str) -> Spread:
        """In the same round."""
        pairs = zip(self.done[way, choice], self.done[HORDAK, choice], strict=True)
        return Spread.of([ours.per_s / theirs.per_s for ours, theirs in pairs])


def run(*, rounds: int, seconds: float = SECONDS, data: Path | None = None) -> Findings:
    """Measure everything `rounds` times on scratch servers. Raises StartError."""
    findings = Findings()
    # A connection for each thread, as hordak's threads have it.
    with environ({"DATABASE_POOL_MAX": str(THREADS)}), scratch_stack(data) as stack:
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {HORDAK_DATABASE}")
        for number in range(1, rounds + 1):
            say(f"Round {number} of {rounds}")
            measure_round(stack, findings, seconds)
        stampede.check(stack, findings)
    return findings


def measure_round(stack: Stack, findings: Findings, seconds: float) -> None:
    url = stack.postgres.url_of(HORDAK_DATABASE)
    theirs = stack.run_part("ledger_hordak", "-m", "bench.ledger_hordak", url, str(ACCOUNTS), str(seconds))
    ours = stack.in_django("ledger_ours", ACCOUNTS, seconds)
    named = ours | {f"{HORDAK}, {choice}": done for choice, done in theirs.items()}
    for (way, choice), rounds in findings.done.items():
        rounds.append(Done(**named[f"{way}, {choice}"]))
        say(f"  {CHOICES[choice]}, {WAYS[way]}: {rounds[-1].per_s:,.0f}/s, {rounds[-1].refused} refused")
