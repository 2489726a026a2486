"""The conformance cases against strict mode, and the runner that asks them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from dsql.conformance import runner
from dsql.conformance.cases import Case, Step, load
from dsql.conformance.target import SCHEMA_PREFIX, Target
from dsql.strict import cursor as strict_cursor
from dsql.strict.rules import Verdict

SUITE = load()
CASES = {case.number: case for case in SUITE.cases}
LOCAL = [case for case in SUITE.cases if case.kind in ("local", "race")]
PROBES = [case for case in SUITE.cases if case.kind == "probe"]


@pytest.fixture(scope="module")
def target(django_db_setup: None, django_db_blocker: Any) -> Iterator[Target]:
    with django_db_blocker.unblock(), Target.of_alias("default") as made:
        yield made


def name(case: Case) -> str:
    return f"{case.number}-{case.title}"


def failures(result: runner.CaseResult) -> list[runner.Check]:
    return [check for check in result.checks if check.verdict == runner.FAILED]


@pytest.mark.parametrize("case", LOCAL, ids=name)
def test_strict_mode_answers_as_dsql(target: Target, case: Case) -> None:
    result = runner.run_case(SUITE, target, case)

    assert failures(result) == []
    assert result.verdict == runner.PASSED


@pytest.mark.parametrize("case", PROBES, ids=name)
def test_a_probe_is_never_a_pass_and_strict_mode_answers_as_it_assumes(target: Target, case: Case) -> None:
    result = runner.run_case(SUITE, target, case)

    assert failures(result) == []
    assert result.verdict == runner.PROBE


def test_every_number_is_there_once() -> None:
    assert [case.number for case in SUITE.cases] == list(range(1, 146))


def test_what_is_not_asserted_here_has_its_reason() -> None:
    assert [
        case.number for case in SUITE.cases if case.kind in ("probe", "live") and not case.reason.endswith(".")
    ] == []
    assert [case.number for case in SUITE.cases if case.kind == "live"] == [113, 136]


def test_every_case_expects_something() -> None:
    assert [case.number for case in SUITE.cases if all(step.expected == "ok" for step in case.steps)] == []
    assert [case.number for case in SUITE.cases if case.kind == "race" and not case.loser] == []


def test_a_broken_rule_is_reported(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_cursor, "judge", lambda text, has_placeholders=False: Verdict())

    result = runner.run_case(SUITE, target, CASES[47])

    assert result.verdict == runner.FAILED
    assert [(check.expected, check.got) for check in failures(result)] == [
        ("0A000 TEMPORARY or TEMP table", "CREATE TABLE")
    ]


def test_a_race_that_nobody_loses_is_reported(target: Target) -> None:
    case = CASES[126]
    steps = tuple(
        replace(step, sql=step.sql.replace("v = 'y' WHERE id = 1", "v = 'y' WHERE id = 2")) for step in case.steps
    )

    result = runner.run_case(SUITE, target, replace(case, steps=steps))

    assert [check.got for check in failures(result)] == ["refused: none"]


def test_the_wrong_loser_is_reported(target: Target) -> None:
    result = runner.run_case(SUITE, target, replace(CASES[128], loser="A"))

    assert [check.got for check in failures(result)] == ["refused: B"]


def test_a_conflict_told_before_commit_needs_its_mark(target: Target) -> None:
    case = replace(CASES[126], strict={"conflicts_at": "statement"})
    marked = replace(case, steps=tuple(replace(step, may_conflict=True) for step in case.steps))

    assert runner.run_case(SUITE, target, case).verdict == runner.FAILED
    assert failures(runner.run_case(SUITE, target, marked)) == []


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        (Step(error="any"), runner.Answer(tag="SELECT 1")),
        (Step(error="0A000 unsupported"), runner.Answer(sqlstate="0A000", message="something else")),
        (Step(), runner.Answer(sqlstate="42601", message="syntax error")),
        (Step(tag="COMMIT"), runner.Answer(tag="ROLLBACK")),
        (Step(rows=[["1"]]), runner.Answer(tag="SELECT 1", rows=(("2",),))),
        (Step(matches="[a-z]+"), runner.Answer(tag="SELECT 0")),
        (Step(columns=("job_id",)), runner.Answer(columns=("id",))),
    ],
)
def test_answers_that_do_not_match(step: Step, answer: runner.Answer) -> None:
    assert not runner.matches(step, answer)


def test_a_case_that_cannot_be_set_up_fails(target: Target) -> None:
    result = runner.run_case(SUITE, target, replace(CASES[1], strict={"no_such_option": 1}))

    assert result.verdict == runner.FAILED
    assert "no_such_option" in result.checks[0].got


def test_live_cases_are_not_asked_of_postgresql(target: Target) -> None:
    result = runner.run_case(SUITE, target, CASES[113])

    assert (result.verdict, result.checks) == (runner.NOT_LOCAL, [])


def test_on_a_cluster_live_cases_are_asserted(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "is_live", True)

    assert runner.run_case(SUITE, target, CASES[113]).verdict == runner.FAILED
    assert [check.sql for check in failures(runner.run_case(SUITE, target, CASES[123]))] == ["SHOW server_version_num"]


def test_on_a_cluster_a_stale_catalog_is_asked_again(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = [runner.Answer(sqlstate="40001", message="schema has been updated by another transaction (OC001)")]
    ask = runner.ask
    monkeypatch.setattr(runner, "ask", lambda *args: stale.pop() if stale else ask(*args))
    monkeypatch.setattr(target, "is_live", True)

    assert runner.run_case(SUITE, target, CASES[21]).verdict == runner.PASSED
    assert stale == []


def test_the_environment_names_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSQL_ENDPOINTS", "abc.dsql.eu-west-1.on.aws, def.dsql.eu-west-3.on.aws")

    target = Target.of_alias("default")

    assert target.is_live
    assert target.settings["OPTIONS"]["endpoints"] == ["abc.dsql.eu-west-1.on.aws", "def.dsql.eu-west-3.on.aws"]
    assert target.settings["USER"] == "admin"


# -- the command


@pytest.mark.django_db(transaction=True)
def test_the_command_reports_and_leaves_nothing() -> None:
    out = io.StringIO()
    call_command("dsql_conformance", "--case", "1", "108", "113", stdout=out)

    assert "1 passed, 0 failed, 1 probes (1 answered as strict mode assumes), 1 not for local use" in out.getvalue()
    assert "0A000 unsupported statement: Trunc" in out.getvalue()
    assert "schema dsql_conformance_" in out.getvalue()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, %s)", [SCHEMA_PREFIX])
        # The schema of this module's own target may be there.
        assert cursor.fetchone()[0] <= 1


@pytest.mark.django_db(transaction=True)
def test_the_command_fails_with_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_cursor, "judge", lambda text, has_placeholders=False: Verdict())
    out = io.StringIO()

    with pytest.raises(SystemExit) as raised:
        call_command("dsql_conformance", "--case", "47", stdout=out)

    assert raised.value.code == 1
    assert "Failed: 47" in out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_the_shape_of_the_json() -> None:
    out = io.StringIO()
    call_command("dsql_conformance", "--json", "--case", "2", stdout=out, stderr=io.StringIO())
    document = json.loads(out.getvalue())

    assert document["format"] == 1
    assert document["target"].keys() == {"kind", "server_version"}
    assert document["target"]["kind"] == "strict"
    assert document["summary"] == {"passed": 1, "failed": 0, "probes": 0, "not_local": 0}
    (case,) = document["cases"]
    assert case.pop("seconds") >= 0
    checks = case.pop("checks")
    assert case == {
        "number": 2,
        "title": "an error aborts the block, and COMMIT rolls it back",
        "kind": "local",
        "evidence": "cluster",
        "reason": "",
        "verdict": "passed",
        "as_assumed": True,
    }
    assert checks[1] == {
        "connection": "A",
        "sql": "TRUNCATE t",
        "expected": "0A000 unsupported statement: Truncate",
        "got": "0A000 unsupported statement: Truncate",
        "verdict": "passed",
    }


def test_an_unknown_case_is_refused() -> None:
    with pytest.raises(CommandError, match="no case 146"):
        call_command("dsql_conformance", "--case", "146")
