"""How results are shown: lines for a reader, JSON for a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from dsql.conformance.runner import FAILED, NOT_LOCAL, PASSED, PROBE, CaseResult
from dsql.conformance.target import Target

JSON_FORMAT = 1  # raised when a key changes its meaning or goes
_WIDTHS = (4, 10, 44, 36, 44)
_HEADINGS = ("case", "verdict", "statement", "expected", "got")


def heading() -> str:
    return _line(_HEADINGS)


def lines(result: CaseResult) -> Iterator[str]:
    """A case's heading and one line for each comparison."""
    case = result.case
    note = f" ({case.reason})" if case.reason else ""
    yield f"{case.number:>4} {_verdict(result):<10} {case.title}{note}"
    for check in result.checks:
        statement = f"{check.connection}: {check.sql}" if check.connection else check.sql
        yield _line(("", check.verdict, statement, check.expected, check.got))


def summary(results: Sequence[CaseResult]) -> str:
    """The counts in one line, and the numbers of the cases that failed."""
    counts = Counter(result.verdict for result in results)
    agreeing = sum(result.verdict == PROBE and result.as_assumed for result in results)
    text = (
        f"{counts[PASSED]} passed, {counts[FAILED]} failed, {counts[PROBE]} probes "
        f"({agreeing} answered as strict mode assumes), {counts[NOT_LOCAL]} not for local use"
    )
    failed = [str(result.case.number) for result in results if result.verdict == FAILED]
    return f"{text}. Failed: {', '.join(failed)}" if failed else text


def as_json(target: Target, results: Sequence[CaseResult]) -> dict[str, Any]:
    """The results in a stable shape; `format` says which."""
    counts = Counter(result.verdict for result in results)
    return {
        "format": JSON_FORMAT,
        "target": {"kind": "live" if target.is_live else "strict", "server_version": target.server_version},
        "summary": {
            "passed": counts[PASSED],
            "failed": counts[FAILED],
            "probes": counts[PROBE],
            "not_local": counts[NOT_LOCAL],
        },
        "cases": [result.as_json() for result in results],
    }


def _verdict(result: CaseResult) -> str:
    return "PROBE" if result.verdict == PROBE else result.verdict


def _line(cells: Sequence[str]) -> str:
    return " ".join(_fitted(cell, width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()


def _fitted(text: str, width: int) -> str:
    text = " ".join(text.split())
    return f"{text if len(text) <= width else text[: width - 1] + '…':<{width}}"
