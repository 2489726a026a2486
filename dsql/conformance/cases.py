"""The cases of `cases.toml`, read and typed. An unknown key or kind is an error."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "cases.toml"
KINDS = ("local", "race", "probe", "live")
EVIDENCE = ("cluster", "docs", "tools", "policy")
ANY_REFUSAL = "any"
_PRINTABLE = bytes(33 + n % 94 for n in range(256))  # for every byte a character that shows


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a case and the answer to it. `cases.toml` says what each key means."""

    sql: str = ""
    on: str = "A"
    params: tuple[Any, ...] = ()
    repeat: int = 1
    error: str = ""
    tag: str = ""
    rows: list[list[str]] | None = None
    columns: tuple[str, ...] = ()
    matches: str = ""
    keep: str = ""
    may_conflict: bool = False
    connect: str = ""
    sleep_s: float = 0
    live_sleep_s: float = 0
    only: str = ""

    @property
    def expected(self) -> str:
        """What is asserted, in words."""
        if self.error:
            return "any refusal" if self.error == ANY_REFUSAL else self.error
        parts = [self.tag]
        parts.append(f"columns {', '.join(self.columns)}" if self.columns else "")
        parts.append(f"like {self.matches}" if self.matches else "")
        parts.append(f"rows {self.rows}" if self.rows is not None else "")
        return ", ".join(part for part in parts if part) or "ok"

    def param_values(self) -> list[Any]:
        """The values to send along; random ones are new each time."""
        return [_value(param) for param in self.params]


@dataclass(frozen=True, slots=True)
class Case:
    """A numbered question with the answer that DSQL gives."""

    number: int
    title: str
    kind: str
    evidence: str
    steps: tuple[Step, ...]
    reason: str = ""
    tables: tuple[str, ...] = ()
    loser: str = ""
    strict: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.evidence not in EVIDENCE:
            raise ValueError(f"Case {self.number}: unknown kind {self.kind!r} or evidence {self.evidence!r}.")


@dataclass(frozen=True, slots=True)
class Table:
    """A table that cases may ask for: how to make it, and to fill it if it has rows."""

    create: str
    fill: str = ""


@dataclass(frozen=True, slots=True)
class Suite:
    """All cases, by number, and the tables that they share."""

    cases: tuple[Case, ...]
    tables: Mapping[str, Table]


def load(path: Path = PATH) -> Suite:
    """Read the cases. Raises TypeError for an unknown key and ValueError for an unknown kind."""
    data = tomllib.loads(path.read_text())
    tables = {name: Table(**table) for name, table in data["tables"].items()}
    return Suite(cases=tuple(_case(entry) for entry in data["case"]), tables=tables)


def _case(entry: dict[str, Any]) -> Case:
    steps = tuple(_step(step) for step in entry.pop("steps"))
    return Case(steps=steps, tables=tuple(entry.pop("tables", ())), **entry)


def _step(entry: dict[str, Any]) -> Step:
    params = tuple(entry.pop("params", ()))
    return Step(params=params, columns=tuple(entry.pop("columns", ())), **entry)


def _value(param: Any) -> Any:
    if not isinstance(param, dict):
        return param
    if "random_bytes" in param:
        return random.randbytes(param["random_bytes"])
    if "random_text" in param:
        return random.randbytes(param["random_text"]).translate(_PRINTABLE).decode()
    return param["repeat"] * param["times"]
