"""What `bench drop` prints: a table with the aims beside what was reached, or one JSON object."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from bench.drop import PROCESSES, SELL_OUT, UNLIMITED, UNLIMITED_ONE, WARM_UP_FANS, Findings, Measured, Scenario
from bench.figures import Spread, table
from bench.floors import HOT_ROW_CLIENTS
from bench.load import CONNECTIONS


@dataclass(frozen=True)
class Figure:
    """One line of the table, and one name in the JSON."""

    label: str
    name: str
    of: Callable[[Measured], float]
    digits: int = 0
    where_any: bool = False  # a drop without refusals has no times of them


FIGURES = [
    Figure("accepted/s", "accepted_per_s", lambda m: m.accepted_per_s),
    Figure("  p50, ms", "accepted_p50_ms", lambda m: m.accepted.p50_ms, 1),
    Figure("  p99, ms", "accepted_p99_ms", lambda m: m.accepted.p99_ms, 1),
    Figure("  longest, ms", "accepted_longest_ms", lambda m: m.accepted.longest_ms, 1),
    Figure("refused/s, once sold out", "refused_per_s", lambda m: m.refused_per_s, where_any=True),
    Figure("  p50, ms", "refused_p50_ms", lambda m: m.refused.p50_ms, 1, where_any=True),
    Figure("  p99, ms", "refused_p99_ms", lambda m: m.refused.p99_ms, 1, where_any=True),
    Figure("failed", "failed", lambda m: m.failed),
    Figure("conflicts (40001)", "conflicts", lambda m: m.conflicts),
    Figure("orders a batch, mean", "batch_mean", lambda m: m.batch_mean, 1),
    Figure("orders a batch, p95 at most", "batch_p95_max", lambda m: m.batch_p95_max),
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


def per_request_us(measured: Measured, cpu_s: float) -> float:
    return cpu_s / measured.answers.total() * 1e6


def aims(findings: Findings) -> list[Aim]:
    def rate(scenario: Scenario) -> float:
        return findings.spread(scenario, lambda m: m.accepted_per_s).median

    def p99_ms(scenario: Scenario) -> float:
        return findings.spread(scenario, lambda m: m.accepted.p99_ms).median

    return [
        *(Aim(f"{each.name}: accepted/s", 8_000, rate(each)) for each in (SELL_OUT, UNLIMITED)),
        *(Aim(f"{each.name}: p99, ms", 50, p99_ms(each), at_most=True) for each in (SELL_OUT, UNLIMITED)),
        Aim(f"{UNLIMITED.name}: times the one hot row", 20, rate(UNLIMITED) / hot_row(findings).median),
        Aim(f"{UNLIMITED.name}: share of the empty endpoint, %", 60, 100 * rate(UNLIMITED) / empty(findings, 2).median),
        Aim("two processes, times one", 1, rate(UNLIMITED) / rate(UNLIMITED_ONE)),
    ]


def hot_row(findings: Findings) -> Spread:
    return Spread.of([floor.per_s for floor in findings.hot_row])


def empty(findings: Findings, processes: int) -> Spread:
    return Spread.of(findings.empty[processes])


def as_text(findings: Findings) -> str:
    tries = Spread.of([floor.tries for floor in findings.hot_row])
    floor_rows = [
        ["floors", "a second", "note"],
        [
            f"one hot row, pgbench, {HOT_ROW_CLIENTS} clients",
            hot_row(findings).text(),
            f"{tries.median:.1f} tries each",
        ],
        *([f"empty endpoint, web processes: {each}", empty(findings, each).text(), ""] for each in PROCESSES),
    ]
    scenario_rows = [["drop", *(scenario.name for scenario in findings.measured)]]
    for figure in FIGURES:
        spreads = [findings.spread(scenario, figure.of) for scenario in findings.measured]
        cells = ["-" if figure.where_any and not each.highest else each.text(figure.digits) for each in spreads]
        scenario_rows.append([figure.label, *cells])
    aim_rows = [["aim", "wanted", "reached", "met"]]
    for aim in aims(findings):
        wanted = f"{'at most' if aim.at_most else 'at least'} {aim.wanted:,.0f}"
        aim_rows.append([aim.sentence, wanted, f"{aim.reached:,.2f}", "yes" if aim.is_met else "NO"])
    return "\n\n".join(
        [
            preface(findings),
            table(floor_rows),
            table(scenario_rows),
            answers_text(findings),
            table(aim_rows),
            promises(findings),
        ]
    )


def preface(findings: Findings) -> str:
    return (
        f"{machine()}. Rounds: {len(findings.hot_row)}; the median of each figure, and its lowest to highest.\n"
        f"{CONNECTIONS} keep-alive connections, each with one request under way. Each round has fresh web processes,\n"
        f"warmed up with {WARM_UP_FANS:,} orders that are not counted."
    )


def answers_text(findings: Findings) -> str:
    lines = []
    for scenario, rounds in findings.measured.items():
        counted = ", ".join(f"{count:,} times {answer}" for answer, count in sorted(answers(rounds).items()))
        lines.append(f"Answers, {scenario.name}, all rounds: {counted}")
    return "\n".join(lines)


def answers(rounds: list[Measured]) -> Counter[str]:
    return sum((measured.answers for measured in rounds), Counter())


def promises(findings: Findings) -> str:
    if findings.problems:
        return "\n".join(["BROKEN PROMISES", *findings.problems])
    return (
        f"Every promise was kept: {findings.checks} checks of the database hold, and each accepted order is in it\n"
        "exactly once, known to the buyer it belongs to."
    )


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def as_json(findings: Findings) -> str:
    report: dict[str, Any] = {
        "machine": machine(),
        "rounds": len(findings.hot_row),
        "connections": CONNECTIONS,
        "floors": {
            "hot_row_per_s": hot_row(findings).as_json(),
            "hot_row_rounds": [asdict(floor) for floor in findings.hot_row],
            "empty_endpoint_per_s": {str(each): empty(findings, each).as_json() for each in PROCESSES},
        },
        "drops": [drop_as_json(scenario, findings) for scenario in findings.measured],
        "aims": [asdict(aim) | {"is_met": aim.is_met} for aim in aims(findings)],
        "checks": findings.checks,
        "problems": findings.problems,
        "holds": not findings.problems,
    }
    return json.dumps(report)


def drop_as_json(scenario: Scenario, findings: Findings) -> dict[str, Any]:
    figures = {figure.name: findings.spread(scenario, figure.of).as_json() for figure in FIGURES}
    return asdict(scenario) | figures | {"answers": answers(findings.measured[scenario])}
