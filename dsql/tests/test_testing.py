"""Test support: Django's ways to set up a database, test data made once a class, and the tools for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import DatabaseError, IntegrityError, NotSupportedError, connection, transaction
from django.test import TestCase

from dsql import testing
from dsql.strict.session import Caps
from dsql.transactions import run_transaction, sqlstate_of

# -- Django's runner


def run_sample(*options: str, schema: bool, migrate: bool, name: str) -> str:
    """The output of `manage.py test` on the sample project."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "dsql.tests.settings",
        "DSQL_TEST_SCHEMA": "1" if schema else "0",
        "DSQL_TEST_MIGRATE": "1" if migrate else "0",
        "DSQL_TEST_NAME": name,
    }
    command = [sys.executable, "-m", "django", "test", "dsql.tests.sample", "--pattern=suite.py", "--noinput", *options]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert "Ran 13 tests" in run.stderr
    return run.stdout + run.stderr


def databases_and_schemas(name: str) -> list[str]:
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{name}%"])
        found = cursor.fetchall()
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE %s", [f"{name}%"])
        return [row[0] for row in (*found, *cursor.fetchall())]


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("schema", [False, True], ids=["databases", "schemas"])
def test_a_suite_runs_in_parallel_and_leaves_nothing_behind(schema: bool) -> None:
    run_sample("--parallel=2", schema=schema, migrate=not schema, name="test_sample")

    assert databases_and_schemas("test_sample") == []


@pytest.mark.slow
@pytest.mark.django_db
def test_a_kept_database_is_used_again() -> None:
    try:
        first = run_sample("--keepdb", "-v2", schema=False, migrate=False, name="test_kept")
        second = run_sample("--keepdb", "-v2", schema=False, migrate=False, name="test_kept")
    finally:
        with connection._nodb_cursor() as cursor:
            cursor.execute('DROP DATABASE IF EXISTS "test_kept"')

    assert "Creating table auth_user" in first
    assert "Creating table auth_user" not in second


@pytest.mark.django_db(transaction=True)
def test_serialized_rows_come_back_in_transactions_of_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    Group.objects.bulk_create(Group(name=f"group {n}") for n in range(1_200))
    rows = connection.creation.serialize_db_to_string()
    Group.objects.all().delete()
    monkeypatch.setattr(connection.connection.session, "caps", Caps(rows=1_100))

    connection.creation.deserialize_db_from_string(rows)

    assert Group.objects.count() == 1_200


# -- test data made once


class SharedTestDataTests(testing.TestCase):
    times_made: ClassVar[int] = 0

    @classmethod
    def setUpTestData(cls) -> None:
        cls.times_made += 1
        cls.group = Group.objects.create(name="shared")
        Group.objects.bulk_create(Group(name=f"group {n}") for n in range(2_000))

    def setUp(self) -> None:
        assert self.times_made == 1
        assert Group.objects.count() == 2_001
        assert connection.run_on_commit == []

    def test_changes_are_undone(self) -> None:
        Group.objects.all().delete()

    def test_a_failed_statement_is_undone(self) -> None:
        with pytest.raises(IntegrityError):
            Group.objects.create(name="shared")

    def test_the_limits_count_from_the_start_of_the_test(self) -> None:
        Group.objects.bulk_create(Group(name=f"another {n}") for n in range(2_000))

        with pytest.raises(DatabaseError, match="transaction row limit exceeded"):
            Group.objects.bulk_create(Group(name=f"one too many {n}") for n in range(1_001))

    def test_a_hook_for_after_commit_is_forgotten(self) -> None:
        transaction.on_commit(lambda: None)

    def test_an_inner_block_cannot_roll_back_alone(self) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            Group.objects.create(name="shared")
        with pytest.raises(transaction.TransactionManagementError):
            Group.objects.count()

    def test_the_code_under_test_has_no_savepoints(self) -> None:
        assert transaction.savepoint() is None
        with pytest.raises(NotSupportedError) as caught, connection.cursor() as cursor:
            cursor.execute("SAVEPOINT mine")
        assert sqlstate_of(caught.value) == "0A000"

    def test_a_retried_transaction_joins(self) -> None:
        run_transaction(lambda: self.group.delete())
        assert not Group.objects.filter(name="shared").exists()

    def test_z_and_after_all_of_them_the_data_is_there_again(self) -> None:
        assert Group.objects.filter(name="shared").exists()


class AfterwardsTests(TestCase):
    def test_nothing_of_the_class_before_is_left(self) -> None:
        assert Group.objects.count() == 0


# -- tools


@pytest.mark.django_db(transaction=True)
def test_committed_transactions_are_captured_with_their_rows() -> None:
    def work() -> None:
        Group.objects.bulk_create(Group(name=f"group {n}") for n in range(3))
        Group.objects.filter(name="group 0").update(name="other")

    def roll_back() -> None:
        with transaction.atomic():
            Group.objects.create(name="rolled back")
            raise ZeroDivisionError

    with testing.capture_transactions() as transactions:
        run_transaction(work)
        with pytest.raises(ZeroDivisionError):
            roll_back()
        with transaction.atomic():
            assert Group.objects.count() == 3

    written, read = transactions
    assert [sql.split()[0] for sql in written.statements] == ["INSERT", "UPDATE"]
    assert written.rows == 4
    assert [sql.split()[0] for sql in read.statements] == ["SELECT"]
    assert read.rows == 0


@pytest.mark.django_db(transaction=True)
def test_racers_start_together_and_answer_in_order() -> None:
    def create(name: str) -> str:
        return Group.objects.create(name=name).name

    def fail() -> None:
        raise ZeroDivisionError

    first, second, third = testing.race(lambda: create("a"), fail, lambda: create("b"))

    assert (first, type(second), third) == ("a", ZeroDivisionError, "b")
    assert Group.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_orphans_fail_the_test() -> None:
    group = Group.objects.create(name="parent")
    group.permissions.add(Permission.objects.all()[0])
    testing.assert_no_orphans()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM auth_group")

    testing.assert_no_orphans("auth_permission")
    with pytest.raises(AssertionError, match=r"1 of auth_group_permissions\.group_id"):
        testing.assert_no_orphans()
