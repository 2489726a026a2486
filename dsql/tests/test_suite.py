"""The runner of Django's own tests, and what those tests taught the backend."""

from __future__ import annotations

import io

import django
import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection, models, transaction
from django.test.utils import isolate_apps, override_settings

from dsql.remade import altered_model
from dsql.suite.report import Outcome, root_error
from dsql.suite.skips import skips
from dsql.suite.source import pinned_requirement

TRACEBACK = """Traceback (most recent call last):
  File "cursor.py", line 117, in execute
psycopg.errors.FeatureNotSupported: unsupported statement: Truncate
CONTEXT:  PL/pgSQL function inline_code_block line 1 at RAISE

The above exception was the direct cause of the following exception:

django.core.management.base.CommandError: Database could not be flushed.
Hint: Look at the output of 'django-admin sqlflush'.
"""


def test_the_report_names_the_first_error_of_a_traceback() -> None:
    assert root_error(TRACEBACK) == "psycopg.errors.FeatureNotSupported: unsupported statement: Truncate"
    assert root_error("no error in it") == "no error in it"


def test_a_label_is_counted_by_its_own_tests() -> None:
    outcome = Outcome(["a.tests.T.x", "ab.tests.T.x"], {"a.tests.T.y": "why"}, {"a.tests.T": TRACEBACK})
    outcome.add(Outcome(died={"b": "no table"}))
    assert outcome.row("a") == ["3", "1", "1", "1"]
    assert outcome.row("b") == ["-", "-", "-", "did not start"]
    assert outcome.total() == ["4", "2", "1", "1 and 1 labels"]
    assert not outcome.is_good


def test_the_download_is_pinned_to_this_django_by_its_hashes() -> None:
    lines = pinned_requirement().splitlines()
    assert lines[0].startswith(f"django=={django.get_version()} ")
    assert len([line for line in lines if "--hash=sha256:" in line]) == len(lines) - 1 >= 1


@pytest.mark.parametrize("has_foreign_keys", [True, False])
def test_no_test_is_skipped_for_two_reasons(has_foreign_keys: bool) -> None:
    names = [name for tests in skips(has_foreign_keys=has_foreign_keys).values() for name in tests]
    assert len(names) == len(set(names))


def test_a_script_with_ddl_runs_statement_by_statement_and_any_other_as_one() -> None:
    prepare = connection.ops.prepare_sql_script
    script = "CREATE TABLE a (v text); -- one\nINSERT INTO a VALUES ('x;y');"
    assert prepare(script) == ["CREATE TABLE a (v text)", "-- one\nINSERT INTO a VALUES ('x;y')"]
    assert prepare("DELETE FROM a; DELETE FROM b") == ["DELETE FROM a; DELETE FROM b"]


@pytest.mark.django_db(transaction=True)
def test_createcachetable_makes_a_table_that_the_database_cache_can_use() -> None:
    settings = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cached things"}}
    with override_settings(CACHES=settings):
        try:
            call_command("createcachetable", verbosity=0)
            caches["default"].set("k", {"v": 1})
            assert caches["default"].get("k") == {"v": 1}
            said = io.StringIO()
            call_command("createcachetable", stdout=said)
            assert "already exists" in said.getvalue()
        finally:
            with connection.cursor() as cursor:
                cursor.execute('DROP TABLE IF EXISTS "cached things"')


@pytest.mark.django_db
def test_createcachetable_can_say_what_it_would_do() -> None:
    said = io.StringIO()
    call_command("createcachetable", "would_be", dry_run=True, stdout=said)
    assert 'CREATE TABLE "would_be"' in said.getvalue()
    assert "CREATE INDEX ASYNC" in said.getvalue()
    assert "would_be" not in connection.introspection.table_names()


@isolate_apps("dsql.tests")
def test_max_length_is_read_back_from_the_database(make_tables) -> None:
    class Sized(models.Model):
        name = models.CharField(max_length=30)
        text = models.TextField()

        class Meta:
            app_label = "dsql"

    make_tables(Sized)
    with connection.cursor() as cursor:
        rows = connection.introspection.get_table_description(cursor, "dsql_sized")
    kinds = {row.name: (connection.introspection.get_field_type(row.type_code, row), row.display_size) for row in rows}
    assert kinds["name"] == ("CharField", 30)
    assert kinds["text"][0] == "TextField"


@isolate_apps("dsql.tests")
def test_the_schema_editor_takes_a_field_that_belongs_to_no_model(make_tables) -> None:
    class Loose(models.Model):
        number = models.IntegerField(primary_key=True)
        note = models.TextField()

        class Meta:
            app_label = "dsql"
            unique_together = (("number", "note"),)

    make_tables(Loose)
    new_field = models.BigAutoField(primary_key=True)
    new_field.set_attributes_from_name("number")
    altered = altered_model(Loose, Loose._meta.get_field("number"), new_field)
    assert [field.get_internal_type() for field in altered._meta.local_fields] == ["BigAutoField", "TextField"]

    with connection.schema_editor() as editor:
        editor.alter_field(Loose, Loose._meta.get_field("number"), new_field)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO dsql_loose (note) VALUES ('x') RETURNING number")
        assert cursor.fetchone() == (1,)
