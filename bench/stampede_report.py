"""How a stampede is printed: a table with the aims beside what was reached, or one JSON object."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.figures import Spread, table
from bench.floors import HOT_ROW_CLIENTS
from bench.load import CONNECTIONS
from bench.stampede import PROCESSES, WARM_UP_FANS, Beside, Checked, Findings, Measured, S


@dataclass(frozen=True)
class Figure:
    """One line of the table, and one name in the JSON."""

    label: str
    name: str
    of: Callable[[Measured], float]
    digits: int = 0
    where_any: bool = False  # a sale without refusals has no times of them


ACCEPTED = [
    Figure("accepted/s", "accepted_per_s", lambda m: m.accepted_per_s),
    Figure("  p50, ms", "accepted_p50_ms", lambda m: m.accepted.p50_ms, 1),
    Figure("  p99, ms", "accepted_p99_ms", lambda m: m.accepted.p99_ms, 1),
    Figure("  longest, ms", "accepted_longest_ms", lambda m: m.accepted.longest_ms, 1),
]


def costs(things: str) -> list[Figure]:
    """`things` are what a batch is made of."""
    return [
        Figure("failed", "failed", lambda m: m.failed),
        Figure("conflicts (40001)", "conflicts", lambda m: m.conflicts),
        Figure(f"{things} a batch, mean", "batch_mean", lambda m: m.batch_mean, 1),
        Figure(f"{things} a batch, p95 at most", "batch_p95_max", lambda m: m.batch_p95_max),
        Figure("CPU us a request: web", "cpu_web_us", lambda m: per_request_us(m, m.cpu.web)),
        Figure("  PostgreSQL", "cpu_postgres_us", lambda m: per_request_us(m, m.cpu.postgres)),
        Figure("  Valkey", "cpu_valkey_us", lambda m: per_request_us(m, m.cpu.valkey)),
        Figure("  this client", "cpu_client_us", lambda m: per_request_us(m, m.cpu.client)),
        Figure("cores taken by other programs", "cores_taken_by_others", lambda m: m.cpu.others / m.elapsed_s, 2),
    ]


@dataclass(frozen=True)
class Aim:
    sentence: str
    wanted: float
    reached: float
    at_most: bool = False

    @property
    def is_met(self) -> bool:
        return self.reached <= self.wanted if self.at_most else self.reached >= self.wanted

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"is_met": self.is_met}


def per_request_us(measured: Measured, cpu_s: float) -> float:
    return cpu_s / measured.answers.total() * 1e6


def hot_row(findings: Findings[S]) -> Spread:
    return Spread.of([floor.per_s for floor in findings.hot_row])


def empty(findings: Findings[S], processes: int) -> Spread:
    return Spread.of(findings.empty[processes])


def floors_text(findings: Findings[S]) -> str:
    tries = Spread.of([floor.tries for floor in findings.hot_row])
    rows = [
        ["floors", "a second", "note"],
        [
            f"one hot row, pgbench, {HOT_ROW_CLIENTS} clients",
            hot_row(findings).text(),
            f"{tries.median:.1f} tries each",
        ],
        *([f"empty endpoint, web processes: {each}", empty(findings, each).text(), ""] for each in PROCESSES),
    ]
    return table(rows)


def scenarios_text(findings: Findings[S], format: str, figures: Sequence[Figure]) -> str:
    rows = [[format, *(scenario.name for scenario in findings.measured)]]
    for figure in figures:
        spreads = [findings.spread(scenario, figure.of) for scenario in findings.measured]
        cells = ["-" if figure.where_any and not each.highest else each.text(figure.digits) for each in spreads]
        rows.append([figure.label, *cells])
    return table(rows)


def times_text(findings: Findings[S], others: Sequence[Beside[S]]) -> str:
    """How many times as fast as each of the others the product was, in the same round."""
    rows = [["other ways", "a second", "p50, ms", "p99, ms", "the product, times that", "measured as"]]
    for other in others:
        rates = findings.beside[other.name]
        figures = [[rate.per_s for rate in rates], [r.latency.p50_ms for r in rates], [r.latency.p99_ms for r in rates]]
        cells = [Spread.of(values).text(digits) for values, digits in zip(figures, (0, 1, 1), strict=True)]
        rows.append([other.name, *cells, times(findings, other).text(2), other.against.name])
    return table(rows)


def times(findings: Findings[S], other: Beside[S]) -> Spread:
    pairs = zip(findings.measured[other.against], findings.beside[other.name], strict=True)
    return Spread.of([measured.accepted_per_s / rate.per_s for measured, rate in pairs])


def beside_as_json(findings: Findings[S], others: Sequence[Beside[S]]) -> dict[str, Any]:
    return {
        other.name: {
            "against": other.against.name,
            "per_s": Spread.of([rate.per_s for rate in findings.beside[other.name]]).as_json(),
            "product_times": times(findings, other).as_json(),
            "rounds": [asdict(rate) for rate in findings.beside[other.name]],
        }
        for other in others
    }


def aims_text(aims: Sequence[Aim]) -> str:
    rows = [["aim", "wanted", "reached", "met"]]
    for aim in aims:
        wanted = f"{'at most' if aim.at_most else 'at least'} {aim.wanted:,.0f}"
        rows.append([aim.sentence, wanted, f"{aim.reached:,.2f}", "yes" if aim.is_met else "NO"])
    return table(rows)


def preface(findings: Findings[S], things: str) -> str:
    return (
        f"{machine()}. Rounds: {len(findings.hot_row)}; the median of each figure, and its lowest to highest.\n"
        f"{CONNECTIONS} keep-alive connections, each with one request under way. Each round has fresh web processes,\n"
        f"warmed up with {WARM_UP_FANS:,} {things} that are not counted."
    )


def answers_text(findings: Findings[S]) -> str:
    lines = []
    for scenario, rounds in findings.measured.items():
        counted = ", ".join(f"{count:,} times {answer}" for answer, count in sorted(answers(rounds).items()))
        lines.append(f"Answers, {scenario.name}, all rounds: {counted}")
    return "\n".join(lines)


def answers(rounds: list[Measured]) -> Counter[str]:
    return sum((measured.answers for measured in rounds), Counter())


def promises(findings: Checked, thing: str) -> str:
    if findings.problems:
        return "\n".join(["BROKEN PROMISES", *findings.problems])
    return (
        f"Every promise was kept: {findings.checks} checks of the database hold, and each accepted {thing} is in it\n"
        "exactly once, known to the buyer it belongs to."
    )


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def head_as_json(findings: Findings[S]) -> dict[str, Any]:
    return {
        "machine": machine(),
        "rounds": len(findings.hot_row),
        "connections": CONNECTIONS,
        "floors": {
            "hot_row_per_s": hot_row(findings).as_json(),
            "hot_row_rounds": [asdict(floor) for floor in findings.hot_row],
            "empty_endpoint_per_s": {str(each): empty(findings, each).as_json() for each in PROCESSES},
        },
    }


def scenarios_as_json(findings: Findings[S], figures: Sequence[Figure]) -> list[dict[str, Any]]:
    return [
        {**vars(scenario)}
        | {figure.name: findings.spread(scenario, figure.of).as_json() for figure in figures}
        | {"answers": answers(rounds)}
        for scenario, rounds in findings.measured.items()
    ]


def verdict_as_json(findings: Checked, aims: Sequence[Aim]) -> dict[str, Any]:
    return {
        "aims": [aim.as_json() for aim in aims],
        "checks": findings.checks,
        "problems": findings.problems,
        "holds": not findings.problems,
    }
