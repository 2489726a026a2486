"""Asks the cases of a target and compares the answers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from django.db import DatabaseError

from dsql.conformance.cases import ANY_REFUSAL, Case, Step, Suite
from dsql.conformance.target import CONFLICT, Target

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
PROBE, NOT_LOCAL = "probe", "not local"
STALE_CATALOG = "(OC001)"
LIVE_ATTEMPTS = 3  # on a cluster any case may meet the stale catalog that another one's DDL left
_ABORTED = "25P02"
_IDS = {"p1": "00000000-0000-4000-8000-000000000001", "p2": "00000000-0000-4000-8000-000000000002"}
_MACRO = re.compile(r"\{(\w+)(?::(\d+))?\}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said: an error, or a tag and perhaps rows (every value as text)."""

    sqlstate: str = ""
    message: str = ""
    tag: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    def __str__(self) -> str:
        if self.sqlstate:
            return f"{self.sqlstate} {self.message}"
        return f"{self.tag} {[list(row) for row in self.rows]}" if self.rows else self.tag


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison. `verdict` is passed, failed or skipped."""

    connection: str
    sql: str
    expected: str
    got: str
    verdict: str


@dataclass(slots=True)
class CaseResult:
    """A case's outcome. `verdict` is passed, failed, probe (asked and shown only) or "not local" (not asked)."""

    case: Case
    verdict: str = PASSED
    checks: list[Check] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def as_assumed(self) -> bool:
        """Whether every answer was the expected one; for a probe, what strict mode assumes."""
        return all(check.verdict != FAILED for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        case = self.case
        return {
            "number": case.number,
            "title": case.title,
            "kind": case.kind,
            "evidence": case.evidence,
            "reason": case.reason,
            "verdict": self.verdict,
            "as_assumed": self.as_assumed,
            "seconds": round(self.seconds, 3),
            "checks": [asdict(check) for check in self.checks],
        }


def run(suite: Suite, target: Target, numbers: Sequence[int] = ()) -> Iterator[CaseResult]:
    """Run the cases of `numbers` (all without) on an entered `target`, and yield each result as it comes."""
    for case in suite.cases:
        if not numbers or case.number in numbers:
            yield run_case(suite, target, case)


def run_case(suite: Suite, target: Target, case: Case) -> CaseResult:
    """Run one case in tables made for it."""
    if case.kind == "live" and not target.is_live:
        return CaseResult(case, verdict=NOT_LOCAL)
    begun = time.monotonic()
    for _ in range(LIVE_ATTEMPTS if target.is_live else 1):
        checks = _asked(suite, target, case)
        failures = [check for check in checks if check.verdict == FAILED]
        if not any(STALE_CATALOG in check.got for check in failures):
            break
    verdict = PROBE if case.kind == "probe" else FAILED if failures else PASSED
    return CaseResult(case, verdict, checks, time.monotonic() - begun)


def _asked(suite: Suite, target: Target, case: Case) -> list[Check]:
    try:
        return _Asking(suite, target, case).run()
    except (psycopg.Error, DatabaseError) as error:
        if target.connection.closed:
            raise  # every other case would fail for the same reason
        return [Check("", "set-up", "ok", str(error), FAILED)]


class _Asking:
    """One run of one case: its connections, the values it kept, and the transactions that were refused."""

    def __init__(self, suite: Suite, target: Target, case: Case) -> None:
        self.target = target
        self.case = case
        self.connections: dict[str, psycopg.Connection[Any]] = {}
        self.macros = {**_IDS, "user": target.user}
        self.losers: list[str] = []
        self.checks: list[Check] = []
        target.build([suite.tables[name] for name in case.tables], self.macros)

    def run(self) -> list[Check]:
        try:
            for step in self.case.steps:
                self._take(step)
        finally:
            for connection in self.connections.values():
                connection.close()
        if self.case.loser:
            self._check_losers()
        return self.checks

    def _take(self, step: Step) -> None:
        if step.only and step.only != ("live" if self.target.is_live else "strict"):
            self.checks.append(Check(step.on, step.sql, step.expected, f"only {step.only}", SKIPPED))
        elif step.sleep_s:
            time.sleep(step.live_sleep_s if self.target.is_live else step.sleep_s)
        elif step.connect:
            self._connect(step)
        else:
            self._ask_repeatedly(step)

    def _connect(self, step: Step) -> None:
        # libpq gives no SQLSTATE for a connection that did not come to be, so only the words are compared.
        try:
            self.target.connect_with(step.connect).close()
            got = "connected"
        except psycopg.Error as error:
            got = str(error)
        self._add(step, f"connect with {step.connect}", got, bool(step.error) and step.error in got)

    def _ask_repeatedly(self, step: Step) -> None:
        for n in range(1, step.repeat + 1):
            sql = self._expand(step.sql, n)
            answer = ask(self._connection(step.on), sql, step.param_values())
            is_expected = self._lost(step, answer) or matches(step, answer)
            if is_expected and n < step.repeat:
                continue  # one line tells of all repeats, or of the first that failed
            self._add(step, sql, str(answer), is_expected)
            if step.keep and answer.rows:
                self.macros[step.keep] = answer.rows[0][0]
            if not is_expected:
                return

    def _lost(self, step: Step, answer: Answer) -> bool:
        """Whether `answer` says what a transaction that lost its race may hear."""
        if not self.case.loser:
            return False
        if step.on in self.losers:
            return answer.sqlstate == _ABORTED or answer.tag == "ROLLBACK"
        may_lose = step.sql == "COMMIT" or step.may_conflict
        if may_lose and answer.sqlstate == CONFLICT and "(OC000)" in answer.message:
            self.losers.append(step.on)
            return True
        return False

    def _check_losers(self) -> None:
        wanted = self.case.loser
        is_right = self.losers == [wanted] if wanted != "either" else bool(self.losers)
        expected = "at least one 40001 OC000" if wanted == "either" else f"{wanted} alone: 40001 OC000"
        got = f"refused: {', '.join(self.losers) or 'none'}"
        self.checks.append(Check("", "who was refused", expected, got, PASSED if is_right else FAILED))

    def _connection(self, name: str) -> psycopg.Connection[Any]:
        if name not in self.connections:
            self.connections[name] = self.target.connect(self.case.strict)
        return self.connections[name]

    def _expand(self, sql: str, n: int) -> str:
        def replacement(match: re.Match[str]) -> str:
            name, count = match.groups()
            if name == "ints" and count:
                return ", ".join(f"c{number} int" for number in range(1, int(count) + 1))
            if name == "n":
                return str(n)
            return self.macros.get(name, match[0])

        return _MACRO.sub(replacement, sql)

    def _add(self, step: Step, sql: str, got: str, is_expected: bool) -> None:
        self.checks.append(Check(step.on, sql, step.expected, got, PASSED if is_expected else FAILED))


def ask(connection: psycopg.Connection[Any], sql: str, params: Sequence[Any] = ()) -> Answer:
    """Send one text and take the answer, whatever it is."""
    cursor = connection.cursor()
    try:
        cursor.execute(sql, params or None)
        rows = cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        message = error.diag.message_primary or str(error)
        return Answer(sqlstate=error.sqlstate or "(no SQLSTATE)", message=message)
    return Answer(
        tag=cursor.statusmessage or "",
        columns=tuple(column.name for column in cursor.description or ()),
        rows=tuple(tuple(str(value) for value in row) for row in rows),
    )


def matches(step: Step, answer: Answer) -> bool:
    """Whether `answer` is the one that `step` expects."""
    if step.error:
        return bool(answer.sqlstate) and (step.error == ANY_REFUSAL or str(answer).startswith(step.error))
    if answer.sqlstate:
        return False
    first = answer.rows[0][0] if answer.rows else ""
    return (
        (not step.tag or answer.tag == step.tag)
        and (not step.columns or answer.columns == step.columns)
        and (not step.matches or re.fullmatch(step.matches, first) is not None)
        and (step.rows is None or [list(row) for row in answer.rows] == step.rows)
    )
