"""`python -m dsql.suite [LABEL…] [--compare]`: run Django's own tests on this backend.

DATABASE_URL names the PostgreSQL to use; `bin/django-suite` brings one along. Without labels a chosen set runs, see
`labels`; "all" stands for every label there is. With --compare each label also runs under AWS's adapter. Exits with 1
when a test failed on this backend.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dsql.suite.labels import LABELS
from dsql.suite.report import Outcome, print_details, print_tables, root_error
from dsql.suite.source import CACHE, ROOT, tests_folder
from dsql.suite.variables import FOREIGN_KEYS_VARIABLE, OUTCOME_VARIABLE

OURS = "dsql"
AWS = "aurora-dsql-django"
# What runtests.py leaves out by itself; the first needs PostGIS, the others are no tests.
NOT_LABELS = ("gis_tests", "import_error_package", "test_runner_apps")
AWS_NOTE = """
aurora-dsql-django runs on the same strict mode, with the same skips. Three things are changed, or it could not start at
all: it connects to this server without IAM, test databases are made on a connection that strict mode does not guard,
and the time zone is set with SET instead of set_config(). It uses bigint keys with CACHE 1, its kindest setting for
Django's tests. Each label runs alone.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/django-suite", description=__doc__)
    parser.add_argument("labels", nargs="*", metavar="LABEL", help="a part of Django's tests: an app, a class, a test")
    parser.add_argument("--compare", action="store_true", help="run AWS's adapter on the same labels beside it")
    parser.add_argument("--parallel", type=int, default=2, metavar="N", help="processes on this backend (2)")
    parser.add_argument(
        "--foreign-keys",
        choices=("skip", "enforce"),
        default="skip",
        help='this backend\'s OPTIONS["foreign_keys"] (skip)',
    )
    arguments = parser.parse_args()
    os.environ[FOREIGN_KEYS_VARIABLE] = arguments.foreign_keys
    folder = tests_folder()
    labels = every_label(folder) if arguments.labels == ["all"] else arguments.labels or LABELS
    if arguments.labels == ["all"]:
        ours = run_each(OURS, folder, labels, "dsql.suite.settings", arguments.parallel)
    else:
        ours = run(OURS, folder, labels, "dsql.suite.settings", arguments.parallel)
    outcomes = {OURS: ours}
    if arguments.compare:
        outcomes[AWS] = run_each(AWS, folder, labels, "dsql.suite.aws.settings", 1)
        print(AWS_NOTE)
    for name, outcome in outcomes.items():
        print_details(name, outcome)
    print_tables(labels, outcomes)
    return 0 if outcomes[OURS].is_good else 1


def every_label(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/__init__.py") if path.parent.name not in NOT_LABELS)


def run_each(name: str, folder: Path, labels: list[str], settings: str, parallel: int) -> Outcome:
    """Each label in a run of its own, so that one that cannot start does not hide the others."""
    whole = Outcome()
    for label in labels:
        whole.add(run(name, folder, [label], settings, parallel))
    return whole


def run(name: str, folder: Path, labels: list[str], settings: str, parallel: int) -> Outcome:
    """Run `labels` in one process of Django's; its output goes to a log file. Prints where."""
    log = CACHE / f"{name}-{labels[0] if len(labels) == 1 else 'labels'}.log"
    command = [sys.executable, "runtests.py", f"--settings={settings}", "--noinput", f"--parallel={parallel}", *labels]
    with tempfile.TemporaryDirectory() as scratch:
        outcome_path = Path(scratch) / "outcome.json"
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        variables = {**os.environ, "PYTHONPATH": paths, OUTCOME_VARIABLE: str(outcome_path)}
        print(f"{name}: {' '.join(labels)} (log: {log})", flush=True)
        began_at = time.monotonic()
        with log.open("wb") as output:
            subprocess.run(command, cwd=folder, env=variables, stdout=output, stderr=output, check=False)
        seconds = time.monotonic() - began_at
        if outcome_path.exists():
            return Outcome.read(outcome_path, seconds)
    return Outcome(died=dict.fromkeys(labels, root_error(log.read_text(errors="replace"))), seconds=seconds)


if __name__ == "__main__":
    sys.exit(main())
