"""What `bench rally` prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench import double_taps, naive
from bench import stampede_report as stampede
from bench.double_taps import DoubleTaps
from bench.figures import Spread, table
from bench.naive import Naive
from bench.rally import Findings, Settling
from bench.stampede_report import Aim

FIGURES = [*stampede.ACCEPTED, *stampede.costs("joins")]
ROW_BY_ROW_AIM = 50
FLOOR_AIM = 25  # percent


def aims(findings: Findings) -> list[Aim]:
    joins = findings.joins
    two, one = (joins.spread(scenario, lambda m: m.accepted_per_s).median for scenario in joins.measured)
    return [
        Aim("joins, 2 processes: accepted/s", 9_000, two),
        Aim("joins, 2 processes: times the one hot row", 80, two / stampede.hot_row(joins).median),
        Aim("joins, 2 processes: share of the empty endpoint, %", 36, 100 * two / stampede.empty(joins, 2).median),
        Aim("joins, 1 process: accepted/s", 5_400, one),
        Aim("settling: times row by row", ROW_BY_ROW_AIM, findings.settling(lambda s: s.times_row_by_row).median),
        Aim("settling: share of the floor, %", FLOOR_AIM, findings.settling(lambda s: s.share_of_floor).median),
    ]


def as_text(findings: Findings) -> str:
    return "\n\n".join(
        [
            stampede.preface(findings.joins, "joins"),
            stampede.floors_text(findings.joins),
            stampede.scenarios_text(findings.joins, "rally", FIGURES),
            stampede.answers_text(findings.joins),
            taps_text(findings.taps),
            settling_text(findings),
            stampede.aims_text(aims(findings)),
            promises(findings),
        ]
    )


def promises(findings: Findings) -> str:
    if findings.problems:
        return "\n".join(["BROKEN PROMISES", *findings.problems])
    return stampede.promises(findings.joins, "join")


# The stress run


def taps_text(runs: Sequence[DoubleTaps]) -> str:
    wanted = {
        "joiners": (double_taps.FANS, [run.joiners for run in runs]),
        "the sum of the buckets": (double_taps.FANS, [run.counted for run in runs]),
        "double joins": (0, [run.double_joins for run in runs]),
        "final price, minor units": (double_taps.FINAL_MINOR, [run.final_minor for run in runs]),
        "different prices paid": (1, [run.prices for run in runs]),
        "fans who paid": (double_taps.FANS, [run.paid_by for run in runs]),
        "the books' drift": (0, [run.drift_minor for run in runs]),
        "conflicts (40001)": (None, [run.conflicts for run in runs]),
    }
    attempts = double_taps.FANS + double_taps.SECOND_TAPS
    rows = [[f"{attempts:,} taps of {double_taps.FANS:,} fans", "must be", "each round"]]
    for name, (want, found) in wanted.items():
        rows.append([name, "" if want is None else f"{want:,}", " ".join(f"{value:,}" for value in found)])
    return table(rows)


# Settling


def settling_text(findings: Findings) -> str:
    first = findings.settlings[0]

    def row(label: str, joiners: int, seconds: Spread) -> list[str]:
        return [label, f"{joiners:,}", seconds.text(2), f"{joiners / seconds.median:,.0f}"]

    of = findings.settling
    times = table(
        [
            ["settling", "joiners", "seconds", "joiners/s"],
            row("row by row", first.small, of(lambda s: s.row_by_row_s)),
            row("the product", first.small, of(lambda s: s.small_s)),
            row("floor: bulk INSERT", first.small, of(lambda s: s.small_floor_s)),
            row("the product", first.large, of(lambda s: s.large_s)),
            row("floor: bulk INSERT", first.large, of(lambda s: s.large_floor_s)),
        ]
    )
    linearity = of(lambda s: s.linearity).text(2)
    return f"{times}\n\nA joiner of {first.large:,} takes {linearity} times as long as one of {first.small:,}."


# The naive rally


def comparison_as_text(runs: Sequence[tuple[DoubleTaps, Naive]]) -> str:
    def row(label: str, product: Sequence[int], other: Sequence[int]) -> list[str]:
        return [label, *(" ".join(f"{value:,}" for value in values) for values in (product, other))]

    products, naives = [product for product, _ in runs], [other for _, other in runs]
    attempts = double_taps.FANS + double_taps.SECOND_TAPS
    rows = [
        [f"{attempts:,} taps of {double_taps.FANS:,} fans, each round", "the product", "naive"],
        row("joins", [run.joiners for run in products], [run.joins for run in naives]),
        row("double joins", [run.double_joins for run in products], [run.double_joins for run in naives]),
        row("different prices", [run.prices for run in products], [run.prices for run in naives]),
        row("transactions refused", [run.conflicts for run in products], [run.refused for run in naives]),
    ]
    lines = [
        table(rows),
        f"Naive: {naive.THREADS} threads at REPEATABLE READ, each looks whether the fan is in, reads the count and inserts.",
        *[problem for product in products for problem in product.problems],
    ]
    return "\n\n".join(lines)


def comparison_as_json(runs: Sequence[tuple[DoubleTaps, Naive]]) -> str:
    return json.dumps(
        {
            "product": [vars(product) for product, _ in runs],  # `asdict` cannot copy a Counter
            "naive": [asdict(other) for _, other in runs],
            "holds": not any(product.problems for product, _ in runs),
        }
    )


def as_json(findings: Findings) -> str:
    return json.dumps(
        stampede.head_as_json(findings.joins)
        | {"rallies": stampede.scenarios_as_json(findings.joins, FIGURES)}
        | {"double_taps": [vars(run) for run in findings.taps]}
        | {"settling": [settling_as_json(each) for each in findings.settlings]}
        | stampede.verdict_as_json(findings.joins, aims(findings))
        | {"problems": findings.problems, "holds": not findings.problems}
    )


def settling_as_json(settling: Settling) -> dict[str, Any]:
    return asdict(settling) | {
        "times_row_by_row": settling.times_row_by_row,
        "share_of_floor_percent": settling.share_of_floor,
        "linearity": settling.linearity,
    }
