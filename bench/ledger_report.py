"""What `bench ledger` prints."""

from __future__ import annotations

import json

from bench.figures import Spread, table
from bench.ledger import CHOICES, HORDAK, LANE, WAYS, Findings
from bench.stampede_report import Aim, aims_text, machine, verdict_as_json
from bench.threads import THREADS

HORDAK_AIM = 10


def aims(findings: Findings) -> list[Aim]:
    return [
        Aim(f"{name}, {WAYS[LANE]}: times hordak", HORDAK_AIM, findings.times_hordak(LANE, choice).median)
        for choice, name in CHOICES.items()
    ]


def as_text(findings: Findings) -> str:
    rounds = len(findings.done[LANE, "many"])
    return "\n\n".join(
        [
            f"{machine()}. {THREADS} threads in one process, one transfer under way in each. Rounds: {rounds}; the median\n"
            "of each figure, and its lowest to highest.",
            *(choice_text(findings, choice) for choice in CHOICES),
            aims_text(aims(findings)),
            promises(findings),
        ]
    )


def choice_text(findings: Findings, choice: str) -> str:
    rows = [[CHOICES[choice], "transfers/s", "times hordak", "refused (Busy)"]]
    for way, name in WAYS.items():
        times = "" if way == HORDAK else findings.times_hordak(way, choice).text(1)
        rows.append([name, findings.per_s(way, choice).text(), times, refused(findings, way, choice).text()])
    return table(rows)


def refused(findings: Findings, way: str, choice: str) -> Spread:
    return Spread.of([done.refused for done in findings.done[way, choice]])


def promises(findings: Findings) -> str:
    if findings.problems:
        return "\n".join(["BROKEN PROMISES", *findings.problems])
    return f"The books are true: {findings.checks} checks hold, the drift is 0."


def as_json(findings: Findings) -> str:
    choices = {
        choice: {
            way: {
                "per_s": findings.per_s(way, choice).as_json(),
                "refused": refused(findings, way, choice).as_json(),
                "times_hordak": findings.times_hordak(way, choice).as_json(),
            }
            for way in WAYS
        }
        for choice in CHOICES
    }
    head = {"machine": machine(), "threads": THREADS, "transfers": choices}
    return json.dumps(head | verdict_as_json(findings, aims(findings)))
