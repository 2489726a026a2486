"""What `bench drop` prints."""

from __future__ import annotations

import json

from bench import stampede_report as stampede
from bench.drop import FORMAT, SELL_OUT, UNLIMITED, UNLIMITED_ONE, Scenario
from bench.stampede import Findings
from bench.stampede_report import Aim, Figure

FIGURES = [
    *stampede.ACCEPTED,
    Figure("refused/s, once sold out", "refused_per_s", lambda m: m.refused_per_s, where_any=True),
    Figure("  p50, ms", "refused_p50_ms", lambda m: m.refused.p50_ms, 1, where_any=True),
    Figure("  p99, ms", "refused_p99_ms", lambda m: m.refused.p99_ms, 1, where_any=True),
    *stampede.costs("orders"),
]


def aims(findings: Findings[Scenario]) -> list[Aim]:
    def rate(scenario: Scenario) -> float:
        return findings.spread(scenario, lambda m: m.accepted_per_s).median

    def p99_ms(scenario: Scenario) -> float:
        return findings.spread(scenario, lambda m: m.accepted.p99_ms).median

    hot_row, empty = stampede.hot_row(findings).median, stampede.empty(findings, 2).median
    return [
        *(Aim(f"{each.name}: accepted/s", 10_000, rate(each)) for each in (SELL_OUT, UNLIMITED)),
        *(Aim(f"{each.name}: p99, ms", 50, p99_ms(each), at_most=True) for each in (SELL_OUT, UNLIMITED)),
        Aim(f"{UNLIMITED.name}: times the one hot row", 90, rate(UNLIMITED) / hot_row),
        Aim(f"{UNLIMITED.name}: share of the empty endpoint, %", 40, 100 * rate(UNLIMITED) / empty),
        Aim(f"{UNLIMITED_ONE.name}: accepted/s", 6_000, rate(UNLIMITED_ONE)),
        Aim(f"{SELL_OUT.name}: refused/s", 20_000, findings.spread(SELL_OUT, lambda m: m.refused_per_s).median),
    ]


def as_text(findings: Findings[Scenario]) -> str:
    return "\n\n".join(
        [
            stampede.preface(findings, "orders"),
            stampede.floors_text(findings),
            stampede.scenarios_text(findings, "drop", FIGURES),
            stampede.times_text(findings, FORMAT.beside),
            stampede.answers_text(findings),
            stampede.aims_text(aims(findings)),
            stampede.promises(findings, "order"),
        ]
    )


def as_json(findings: Findings[Scenario]) -> str:
    return json.dumps(
        stampede.head_as_json(findings)
        | {"drops": stampede.scenarios_as_json(findings, FIGURES)}
        | {"beside": stampede.beside_as_json(findings, FORMAT.beside)}
        | stampede.verdict_as_json(findings, aims(findings))
    )
