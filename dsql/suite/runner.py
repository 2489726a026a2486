"""Django's test runner, which also writes down what became of each test."""

from __future__ import annotations

import json
import multiprocessing
import os
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import TextTestResult

from django.contrib.postgres.operations import CreateExtension
from django.test.runner import DiscoverRunner

from dsql.suite.variables import OUTCOME_VARIABLE

# From Python 3.14 on processes start in a way that this Django's parallel runner does not know.
multiprocessing.set_start_method("fork", force=True)


class RecordingResult(TextTestResult):
    """Keeps the names of the tests that passed, too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.passed: list[str] = []

    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        self.passed.append(test.id())


class SuiteRunner(DiscoverRunner):
    """Writes the outcome as JSON to the file that `OUTCOME_VARIABLE` names."""

    def setup_test_environment(self, **kwargs: Any) -> None:
        # DSQL has no extensions. One that a test's migration asks for must not keep the other tests from starting; the
        # tests that need it are among the skips.
        CreateExtension.database_forwards = _leave_out  # type: ignore[method-assign]
        super().setup_test_environment(**kwargs)

    def get_resultclass(self) -> Any:
        return super().get_resultclass() or RecordingResult

    def run_suite(self, suite: Any, **kwargs: Any) -> Any:
        result = super().run_suite(suite, **kwargs)
        Path(os.environ[OUTCOME_VARIABLE]).write_text(json.dumps(outcome_of(result)))
        return result


class DsqlRunner(SuiteRunner):
    """With the management commands of the app `dsql` in the place of Django's, as for a project that installs it.

    Installing it would not do: many tests install nothing but their own app.
    """

    def setup_test_environment(self, **kwargs: Any) -> None:
        for name in ("createcachetable", "migrate"):
            django_module = import_module(f"django.core.management.commands.{name}")
            own_module = import_module(f"dsql.management.commands.{name}")
            setattr(django_module, "Command", own_module.Command)  # noqa: B010  (mypy knows no such attribute)
        super().setup_test_environment(**kwargs)


def _leave_out(*args: Any, **kwargs: Any) -> None:
    pass


def outcome_of(result: Any) -> dict[str, Any]:
    """What `report.Outcome` is made from. A test is named once, however many of its subtests failed."""
    failures = {_name(test): text for test, text in (*result.failures, *result.errors)}
    failures |= {_name(test): "passed, though it was expected to fail" for test in result.unexpectedSuccesses}
    # An expected failure did what the test says. A test that failed as Django tidied up after it had passed before.
    passed = [*result.passed, *(_name(test) for test, _ in result.expectedFailures)]
    return {
        "passed": [name for name in passed if name not in failures],
        "skipped": {_name(test): reason for test, reason in result.skipped},
        "failed": failures,
    }


def _name(test: Any) -> str:
    """`app.module.Class.method`; for a class that could not be set up, `app.module.Class`."""
    name: str = getattr(test, "test_case", test).id()
    return name.removeprefix("setUpClass (").removeprefix("tearDownClass (").rstrip(")")
