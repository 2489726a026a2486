"""`bench rally`: a stampede on a rally, the stress run with double taps, and the settling."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import psycopg

from bench import double_taps, floors, naive, stampede
from bench.double_taps import DoubleTaps
from bench.figures import Spread
from bench.load import Client, Load
from bench.naive import Naive
from bench.servers import Stack, scratch_stack
from bench.staircase import LANE, PATH, open_rally
from bench.stampede import WARM_UP_FANS, Format, say

FANS = 20_000
SETTLED_SMALL = 2_000


@dataclass(frozen=True)
class Scenario:
    """One rally without a cap, and fans who each join once."""

    name: str
    fans: int
    processes: int


@dataclass(frozen=True)
class Settling:
    """One round: seconds to settle so many joiners."""

    small: int
    large: int
    row_by_row_s: float
    small_s: float
    small_floor_s: float
    large_s: float
    large_floor_s: float

    @property
    def times_row_by_row(self) -> float:
        return self.row_by_row_s / self.small_s

    @property
    def share_of_floor(self) -> float:
        """Of the large crowd, in percent of the floor's speed."""
        return 100 * self.large_floor_s / self.large_s

    @property
    def linearity(self) -> float:
        """The time of a joiner in the large crowd, times that of one in the small crowd."""
        return (self.large_s / self.large) / (self.small_s / self.small)


@dataclass
class Findings:
    """All rounds of everything."""

    joins: stampede.Findings[Scenario]
    taps: list[DoubleTaps] = field(default_factory=list)
    settlings: list[Settling] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        return self.joins.problems + [problem for each in self.taps for problem in each.problems]

    def settling(self, figure: Callable[[Settling], float]) -> Spread:
        return Spread.of([figure(each) for each in self.settlings])


def run(*, rounds: int, joiners: int, fans: int = FANS, data: Path | None = None) -> Findings:
    """Measure everything `rounds` times; the large crowd that is settled has `joiners`. Raises StartError."""
    format = format_of(fans)
    findings = Findings(stampede.Findings.of(format))
    with scratch_stack(data) as stack, Client() as client:
        say(f"Scratch servers are up in {stack.data}.")
        stampede.open_shop(stack)
        for number in range(1, rounds + 1):
            say(f"Round {number} of {rounds}")
            stampede.measure_round(format, stack, client, findings.joins)
            findings.taps.append(tap(stack, client))
            findings.settlings.append(Settling(**stack.in_django("settling", min(SETTLED_SMALL, joiners), joiners)))
        stampede.check(stack, findings.joins)
    return findings


def compare(*, rounds: int, data: Path | None = None) -> list[tuple[DoubleTaps, Naive]]:
    """The stress run of the product, and beside it the same taps on a naive rally."""
    with scratch_stack(data) as stack, Client() as client:
        stampede.open_shop(stack)
        return [(tap(stack, client), naive.run(stack)) for _ in range(rounds)]


def tap(stack: Stack, client: Client) -> DoubleTaps:
    done = double_taps.run(stack, client)
    say(f"  double taps: {dict(done.answers)}, {done.joiners:,} joiners, {len(done.problems)} problems")
    return done


def format_of(fans: int) -> Format[Scenario]:
    return Format(
        lane=LANE,
        scenarios=[Scenario("2 processes", fans, 2), Scenario("1 process", fans, 1)],
        warm_up=Scenario("warm-up", min(WARM_UP_FANS, fans), 2),
        hot_row=floors.hot_row_of_a_rally,
        open_sale=lambda stack, scenario: open_rally(stack),
        path=PATH,
        audit=audit,
    )


def audit(stack: Stack, sale_id: str, scenario: Scenario, load: Load) -> list[str]:
    """What the fans were told, against what the database holds. Gives a sentence for each promise that was broken."""
    told = [json.loads(load.bodies[number])["id"] for number in load.numbers(HTTPStatus.CREATED)]
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute("SELECT id::text FROM rallies_join WHERE rally_id = %s", [sale_id]).fetchall()
    stored = Counter(join_id for (join_id,) in rows)
    unclear = len(load.statuses) - len(told)
    problems = stampede.unknown_to_buyers(stored, told, unclear, thing="join")
    if not scenario.fans - unclear <= len(rows) <= scenario.fans:
        problems.append(f"{len(rows)} fans are in and {scenario.fans} should be")
    return problems
