"""What `bench drop --cluster` prints."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

from bench import stampede_report as stampede
from bench.cluster import AIM_AT, Away, Findings
from bench.drop import UNLIMITED
from bench.figures import Spread, table
from bench.load import CONNECTIONS
from bench.stampede import Measured
from bench.stampede_report import Aim, Figure

FIGURES = [*stampede.ACCEPTED, *stampede.costs("orders")]
SHOWN = FIGURES[:3] + [
    figure for figure in FIGURES if figure.name in ("batch_mean", "batch_p95_max", "conflicts", "failed")
]
PER_S_AIM = 5_000
P99_MS_AIM = 150


def aims(findings: Findings) -> list[Aim]:
    if AIM_AT not in findings.measured:
        return []
    per_s = spread(findings, AIM_AT, lambda m: m.accepted_per_s).median
    p99_ms = spread(findings, AIM_AT, lambda m: m.accepted.p99_ms).median
    return [
        Aim(f"{AIM_AT.name} away: accepted/s", PER_S_AIM, per_s),
        Aim(f"{AIM_AT.name} away: p99, ms", P99_MS_AIM, p99_ms, at_most=True),
    ]


def spread(findings: Findings, away: Away, figure: Callable[[Measured], float]) -> Spread:
    return Spread.of([figure(measured) for measured in findings.measured[away]])


def as_text(findings: Findings) -> str:
    return "\n\n".join(
        [
            f"{stampede.machine()}. {UNLIMITED.name}, {CONNECTIONS} connections, a database so far away: round trip/COMMIT\n"
            "in addition. Rounds: "
            f"{len(next(iter(findings.measured.values())))}; the median of each figure, and its lowest to highest.",
            distances_text(findings),
            answers_text(findings),
            *([stampede.aims_text(aims(findings))] if aims(findings) else []),
            stampede.promises(findings, "order"),
        ]
    )


def distances_text(findings: Findings) -> str:
    rows = [["round trip/COMMIT", *(figure.label.strip() for figure in SHOWN)]]
    for away in findings.measured:
        rows.append([away.name, *(cell(findings, away, figure) for figure in SHOWN)])
    return table(rows)


def cell(findings: Findings, away: Away, figure: Figure) -> str:
    return spread(findings, away, figure.of).text(figure.digits)


def answers_text(findings: Findings) -> str:
    return "\n".join(
        f"Answers at {away.name}: {dict(sum((each.answers for each in rounds), Counter()))}"
        for away, rounds in findings.measured.items()
    )


def as_json(findings: Findings) -> str:
    distances = [
        {"round_trip_ms": away.round_trip_ms, "commit_ms": away.commit_ms}
        | {figure.name: spread(findings, away, figure.of).as_json() for figure in FIGURES}
        for away in findings.measured
    ]
    head = {"machine": stampede.machine(), "connections": CONNECTIONS, "distances": distances}
    return json.dumps(head | stampede.verdict_as_json(findings, aims(findings)))
