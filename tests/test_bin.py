"""The commands in `bin/`, where they decide something."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
IDS, LINT, DROPS = "dsql/tests/test_ids.py", "dsql/tests/test_lint.py::test_x", "drops/tests/test_rules.py"


@pytest.fixture
def divide(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], tuple[list[str], list[str], list[str]]]:
    monkeypatch.syspath_prepend(ROOT / "bin")
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)  # the command sets it
    monkeypatch.chdir(ROOT)
    return runpy.run_path(str(ROOT / "bin" / "test"))["divide"]


@pytest.mark.parametrize(
    ("arguments", "options", "backend", "marketplace"),
    [
        ([IDS, DROPS, "tests"], [], [IDS], [DROPS, "tests"]),
        (["-x", LINT, "--durations", "5"], ["-x", "--durations", "5"], [LINT], []),
        (["-k", "dsql", DROPS], ["-k", "dsql"], [], [DROPS]),
        (["-k", "auction"], ["-k", "auction"], [], []),
        (["./dsql", str(ROOT / IDS)], [], ["./dsql", str(ROOT / IDS)], []),
        (["dsql_of_another_name/tests"], [], [], ["dsql_of_another_name/tests"]),
        (["--deselect", LINT, IDS], ["--deselect", LINT], [IDS], []),
    ],
)
def test_each_test_file_runs_under_its_own_settings(divide, arguments, options, backend, marketplace) -> None:
    assert divide(arguments) == (options, backend, marketplace)
