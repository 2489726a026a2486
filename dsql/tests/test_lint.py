"""AWS's dsql-lint as a second opinion on the SQL of every migration; strict mode stays the judge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

LINTER = Path(sys.executable).with_name("dsql-lint")
# A rule of the linter, and why what it finds here is right on DSQL. An entry that no longer occurs must go.
FALSE_ALARMS: dict[str, str] = {}

pytestmark = pytest.mark.django_db

Step = tuple[str, str, bool]  # app, migration, backwards


def sql_of_migrations() -> dict[Step, str]:
    """What `sqlmigrate` prints for every migration of every installed app, and for its way back where it has one."""
    loader = MigrationLoader(connection, replace_migrations=False)
    texts: dict[Step, str] = {}
    for (app, name), migration in sorted(loader.graph.nodes.items()):
        for backwards in (False, True):
            if backwards and not all(operation.reversible for operation in migration.operations):
                continue
            lines = loader.collect_sql([(migration, backwards)])
            texts[app, name, backwards] = "\n".join(line for line in lines if not line.startswith("--"))
    return texts


def findings(text: str) -> list[dict[str, Any]]:
    run = subprocess.run([LINTER, "--format", "json", "-"], input=text, capture_output=True, text=True, timeout=60)
    assert run.returncode in (0, 1), run.stderr
    (file,) = json.loads(run.stdout)["files"]
    assert file["error"] is None
    return file["diagnostics"]


@pytest.mark.parametrize(
    "sql", ["CREATE INDEX i ON t (c);", "ALTER TABLE t ALTER COLUMN c TYPE bigint;", "BEGIN; SAVEPOINT s; COMMIT;"]
)
def test_the_linter_finds_what_dsql_refuses(sql: str) -> None:
    assert findings(sql) != []


@pytest.mark.parametrize("foreign_keys", ["skip", "enforce"], indirect=True)
def test_the_linter_finds_nothing_in_any_migration(foreign_keys: str) -> None:
    texts = sql_of_migrations()
    found = [(step, finding) for step, text in texts.items() if text for finding in findings(text)]

    assert {app for app, _, _ in texts} >= {"admin", "auth", "contenttypes"}
    assert "CREATE TABLE" in texts["auth", "0001_initial", False]
    assert ("FOREIGN KEY" in texts["auth", "0001_initial", False]) is (foreign_keys == "enforce")
    assert "DROP TABLE" in texts["auth", "0001_initial", True]
    assert [(step, finding) for step, finding in found if finding["rule"] not in FALSE_ALARMS] == []
    assert {finding["rule"] for _, finding in found} == FALSE_ALARMS.keys()


def test_sqlmigrate_prints_jobs_as_dsql_wants_them(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sqlmigrate", "sessions", "0001")

    assert 'CREATE INDEX ASYNC "django_session_expire_date' in capsys.readouterr().out


def test_sqlmigrate_needs_no_tables() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET search_path TO nowhere")

    texts = sql_of_migrations()

    # Django would look the name of the guard up in the table.
    assert '"django_content_type_app_label_model_76bd3d3b_uniq"' in texts["contenttypes", "0001_initial", True]
    assert 'CREATE TABLE "auth_group"' in texts["auth", "0001_initial", False]
