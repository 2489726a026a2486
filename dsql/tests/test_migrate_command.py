"""`manage.py migrate` as a process of its own: killed, failed, changed, and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SETTINGS = """
from dsql.tests.settings import *
INSTALLED_APPS = ["journalled", "dsql"]
MIDDLEWARE = TEMPLATES = AUTHENTICATION_BACKENDS = urlpatterns = []
ROOT_URLCONF = "journal_settings"
"""
INITIAL = """
from django.db import migrations, models

def add_rows(apps, editor):
    thing = apps.get_model("journalled", "Thing")
    thing.objects.bulk_create(thing(number=n) for n in range(5))

class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Thing", [("id", models.BigAutoField(primary_key=True)), ("number", models.IntegerField())]),
        migrations.RunPython(add_rows, migrations.RunPython.noop),
    ]
"""
CHANGE = """
from django.db import migrations, models
from dsql.migrations import AlterFieldByCopy

def count(apps, editor):
    apps.get_model("journalled", "Thing").objects.update(number=models.F("number") + 1)

class Migration(migrations.Migration):
    dependencies = [("journalled", "0001_initial")]
    operations = [
        migrations.AddField("Thing", "code", models.CharField(max_length=3, default="a")),
        migrations.RunPython(count, migrations.RunPython.noop),
        migrations.RunSQL("UPDATE journalled_thing SET number = number + 10", migrations.RunSQL.noop),
        AlterFieldByCopy("Thing", "number", models.CharField(max_length=4)),
        migrations.AddConstraint("Thing", models.UniqueConstraint(fields=["number"], name="one_of_each")),
    ]
"""


class Project:
    """A project of one app in a folder, and its database."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "DATABASE_URL": address,
            "DJANGO_SETTINGS_MODULE": "journal_settings",
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        }
        self.database = psycopg.connect(address, autocommit=True)
        (folder / "journal_settings.py").write_text(SETTINGS)
        (folder / "journalled/migrations").mkdir(parents=True)
        for package in ("journalled", "journalled/migrations"):
            (folder / package / "__init__.py").touch()
        self.write("0001_initial", INITIAL)

    def write(self, name: str, text: str) -> None:
        (self.folder / f"journalled/migrations/{name}.py").write_text(text)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-B", "-m", "django", *arguments],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def rows(self, sql: str) -> list[Any]:
        return self.database.execute(sql).fetchall()

    def steps(self) -> int:
        """How many steps and operations were ever begun; the numbers of the journal are never used again."""
        return self.rows("SELECT coalesce(max(ordinal), 0) FROM dsql_journal")[0][0]


@pytest.fixture
def project(tmp_path: Path, empty_database: str) -> Iterator[Project]:
    made = Project(tmp_path, empty_database)
    code, output = made.run("migrate")
    assert code == 0, output
    made.write("0002_change", CHANGE)
    yield made
    made.database.close()


def test_killed_again_and_again_it_ends_with_everything_done_once(project: Project) -> None:
    kills = 0
    resumed = 0
    while True:
        before = project.steps()
        process = project.start("migrate")
        while process.poll() is None and project.steps() < before + 4:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        output, _ = process.communicate(timeout=60)
        resumed += "Resuming journalled.0002_change after" in output
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, output
            break

    assert kills > 3
    assert resumed > 3
    assert sorted(project.rows("SELECT number, code FROM journalled_thing")) == [(str(n), "a") for n in range(11, 16)]
    assert project.rows("SELECT count(*) FROM dsql_journal") == [(0,)]
    assert project.rows("SELECT indisvalid FROM pg_index WHERE indexrelid = 'one_of_each'::regclass") == [(True,)]
    columns = project.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'journalled_thing'::regclass AND attnum > 0"
    )
    assert sorted(name for (name,) in columns if not name.startswith(".")) == ["code", "id", "number"]


def test_a_step_that_failed_is_done_after_the_repair(project: Project) -> None:
    project.rows("UPDATE journalled_thing SET number = 7 RETURNING 1")
    code, output = project.run("migrate")
    assert code == 1
    assert "one_of_each" in output
    assert "4 of 5 operations" not in output

    code, output = project.run("dsql_journal")
    assert "journalled.0002_change forwards: operation done: Raw SQL operation" in output
    assert "step begun" not in output  # the index was refused, and so was never begun
    project.rows("UPDATE journalled_thing SET number = id RETURNING 1")
    code, output = project.run("migrate")
    assert (code, "Resuming journalled.0002_change after 4 of 5 operations" in output) == (0, True), output
    assert sorted(project.rows("SELECT number FROM journalled_thing")) == [(str(n),) for n in range(1, 6)]

    code, output = project.run("migrate", "journalled", "0001")
    assert code == 0, output
    code, output = project.run("migrate")
    assert (code, "Resuming" in output) == (0, False), output


def test_a_part_that_is_done_must_not_change(project: Project) -> None:
    project.rows("UPDATE journalled_thing SET number = 7 RETURNING 1")
    assert project.run("migrate")[0] == 1
    project.write("0002_change", CHANGE.replace("max_length=3", "max_length=5"))
    code, output = project.run("migrate")
    assert code == 1
    assert "was changed after a part of it was done: its operation 1 was 'Add field code to Thing" in output
    code, output = project.run("migrate", "journalled", "zero")
    assert code == 1
    assert "is half applied" in output

    # What comes after the done part may change, here so that the guard fits the rows.
    project.write("0002_change", CHANGE.replace('fields=["number"]', 'fields=["number", "id"]'))
    code, output = project.run("migrate")
    assert code == 0, output


def test_the_journal_can_be_dropped(project: Project) -> None:
    project.rows("UPDATE journalled_thing SET number = 7 RETURNING 1")
    assert project.run("migrate")[0] == 1
    assert project.run("dsql_journal", "--forget")[0] == 1
    code, output = project.run("dsql_journal", "journalled", "0002_change", "--forget")
    assert (code, "Forgotten." in output) == (0, True)
    assert project.run("dsql_journal")[1].strip() == "No migration is half done."
    code, output = project.run("migrate")  # begins anew and meets its own column
    assert code == 1
    assert 'column "code" of relation "journalled_thing" already exists' in output


def test_what_a_finished_migration_left_behind_is_swept(project: Project) -> None:
    assert project.run("migrate")[0] == 0
    project.database.execute(
        "INSERT INTO dsql_journal (id, app, name, backwards, ordinal, kind, number, text, answer, is_done, created_at) "
        "VALUES (gen_random_uuid(), 'journalled', '0002_change', false, 1, 'step', 0, 'x', '', true, now())"
    )
    assert project.run("migrate")[0] == 0
    assert project.rows("SELECT count(*) FROM dsql_journal") == [(0,)]
