"""What came of a run, as tables."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_ERROR = re.compile(r"[A-Za-z_][\w.]*: ")


@dataclass
class Outcome:
    """What became of the tests, by name. `died` says why a run ended without telling."""

    passed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    died: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def read(cls, path: Path, seconds: float) -> Outcome:
        return cls(**json.loads(path.read_text()), seconds=seconds)

    @property
    def is_good(self) -> bool:
        return not self.failed and not self.died

    def add(self, other: Outcome) -> None:
        self.passed += other.passed
        self.skipped |= other.skipped
        self.failed |= other.failed
        self.died |= other.died
        self.seconds += other.seconds

    def row(self, label: str) -> list[str]:
        """Numbers of one label: run, passed, skipped, failed."""
        if label in self.died:
            return ["-", "-", "-", "did not start"]
        counts = [_count(names, label) for names in (self.passed, self.skipped, self.failed)]
        return [str(sum(counts)), *map(str, counts)]

    def total(self) -> list[str]:
        counts = [len(names) for names in (self.passed, self.skipped, self.failed)]
        died = f" and {len(self.died)} labels" if self.died else ""
        return [str(sum(counts)), str(counts[0]), str(counts[1]), f"{counts[2]}{died}"]


def print_tables(labels: list[str], outcomes: dict[str, Outcome]) -> None:
    """One line a label; beside each other what each backend made of it."""
    columns = ("run", "passed", "skipped", "failed")
    print(f"\n{'':20}" + "".join(f" | {name:^38}" for name in outcomes))
    print(f"{'label':20}" + "".join(" | " + _cells(columns) for _ in outcomes))
    for label in labels:
        print(f"{label:20}" + "".join(" | " + _cells(outcome.row(label)) for outcome in outcomes.values()))
    print(f"{'all':20}" + "".join(" | " + _cells(outcome.total()) for outcome in outcomes.values()))
    print(f"{'seconds':20}" + "".join(f" | {outcome.seconds:38.0f}" for outcome in outcomes.values()))


def print_details(name: str, outcome: Outcome) -> None:
    """Why tests were skipped, and which failed."""
    print(f"\n{name}: skipped by reason")
    for reason, count in Counter(outcome.skipped.values()).most_common():
        print(f"{count:6}  {reason}")
    for label, reason in outcome.died.items():
        print(f"\n{name}: {label} did not start: {reason}")
    if outcome.failed:
        print(f"\n{name}: failed")
    for test, text in sorted(outcome.failed.items()):
        print(f"        {test}: {root_error(text)}")


def root_error(text: str) -> str:
    """The first error of a traceback, from which Django's and the test's own followed; else its last line."""
    lines = text.strip().splitlines()
    errors = (line for line in lines if _ERROR.match(line))
    return next(errors, lines[-1] if lines else "")[:200]


def _cells(cells: Iterable[str]) -> str:
    run, passed, skipped, failed = cells
    return f"{run:>6} {passed:>7} {skipped:>7} {failed:>15}"


def _count(names: Iterable[str], label: str) -> int:
    return sum(name == label or name.startswith(f"{label}.") for name in names)
