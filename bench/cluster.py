"""`bench drop --cluster`: the stampede with a database some milliseconds away, as a cluster in the same part of the world is.

A relay between the web processes and PostgreSQL delays each round trip, and each COMMIT in addition (`dsql.distance`). The
database itself stays the near one, so nothing is said here of what a cluster does with the same work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import stampede
from bench.drop import FORMAT, UNLIMITED
from bench.load import Client
from bench.servers import Stack, scratch_stack
from bench.stampede import Measured, say
from dsql.distance import Distance
from dsql.relay import Relay
from embedded.postgres import DATABASE, PORT, USER


@dataclass(frozen=True)
class Away:
    """How far the database is, in milliseconds."""

    round_trip_ms: float
    commit_ms: float

    @property
    def name(self) -> str:
        return f"{self.round_trip_ms:g}/{self.commit_ms:g} ms"

    def distance(self) -> Distance:
        return Distance(self.round_trip_ms / 1e3, self.commit_ms / 1e3)


AIM_AT = Away(2, 8)
DISTANCES = [Away(0, 0), AIM_AT, Away(20, 40)]


@dataclass
class Findings:
    measured: dict[Away, list[Measured]]
    checks: int = 0
    problems: list[str] = field(default_factory=list)


def run(*, rounds: int, distances: Sequence[Away], data: Path | None = None) -> Findings:
    """Measure each distance `rounds` times, taking turns. Raises StartError."""
    findings = Findings({away: [] for away in distances})
    with scratch_stack(data) as stack, Client() as client:
        stampede.open_shop(stack)
        for number in range(1, rounds + 1):
            say(f"Round {number} of {rounds}")
            for away, rounds_of_it in findings.measured.items():
                measured = measure(stack, client, away)
                rounds_of_it.append(measured)
                findings.problems += measured.problems
                say(f"  {away.name}: {measured.accepted_per_s:,.0f} accepted/s, {dict(measured.answers)}")
        stampede.check(stack, findings)
    return findings


def measure(stack: Stack, client: Client, away: Away) -> Measured:
    socket = f"unix:{stack.postgres.socket_dir}/.s.PGSQL.{PORT}"
    with Relay(socket, distance=away.distance()) as relay:
        environment = {"DATABASE_URL": f"postgresql://{USER}@{relay.address}/{DATABASE}"}
        with stack.web(UNLIMITED.processes, environment=environment) as web:
            stampede.warm_up(FORMAT, web, client)
            return stampede.measure(FORMAT, web, client, UNLIMITED)
