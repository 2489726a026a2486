"""Migrations that are killed between two steps, or fail at one, go on where they stopped."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.contenttypes.management import RenameContentType
from django.contrib.contenttypes.models import ContentType
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import F, Q
from django.db.models.functions import Lower

from dsql.fields import UUIDv7Field
from dsql.journal import Entry
from dsql.tests.migrating import (
    APP,
    Stage,
    killed_at,
    make_migration,
    run_journalled,
    run_plain,
    schema_and_rows,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

PARENT = uuid.UUID("01980000-0000-7000-8000-000000000000")
KILLS_MAX = 400


@pytest.fixture
def stage(transactional_db: None) -> Iterator[Callable[..., Stage]]:
    """Makes the Stage of a test: the tables of `base`, some rows, and what `operations` then do to them."""
    made = []

    def make(operations: Callable[[], list[Operation]] | None = None) -> Stage:
        def make_tables() -> ProjectState:
            state = run_plain(base(), ProjectState())
            add_rows(state)
            if operations:
                run_plain(operations(), state.clone())
            return state

        made.append(Stage(make_tables))
        return made[0]

    yield make
    for one in made:
        one.close()


def create(name: str, *fields: tuple[str, Any], **options: Any) -> migrations.CreateModel:
    key = (
        []
        if any(getattr(field, "primary_key", False) for _, field in fields)
        else [("id", UUIDv7Field(primary_key=True))]
    )
    return migrations.CreateModel(name, [*key, *fields], options=options)


def base() -> list[Operation]:
    """What the migrations of these tests begin with."""
    return [
        create("Parent", ("name", models.CharField(max_length=20))),
        create(
            "Thing",
            ("number", models.IntegerField()),
            ("value", models.IntegerField(null=True)),
            ("code", models.CharField(max_length=5, unique=True)),
            ("note", models.TextField(null=True, db_index=True)),
            ("parent", models.ForeignKey("x.Parent", models.CASCADE, related_name="things")),
            unique_together={("number", "code"), ("number", "note")},
            indexes=[models.Index(fields=["number"], name="x_number")],
            constraints=[models.CheckConstraint(condition=Q(number__gte=0), name="x_not_negative")],
        ),
        create("Empty", ("value", models.IntegerField()), ("thing", models.ForeignKey("x.Thing", models.CASCADE))),
    ]


def add_rows(state: ProjectState) -> None:
    parent = state.apps.get_model(APP, "Parent").objects.create(id=PARENT, name="one")
    thing = state.apps.get_model(APP, "Thing")
    for n in range(3):
        thing.objects.create(
            id=uuid.UUID(int=PARENT.int + n), number=n, value=n or None, code=f"c{n}", note=f"n{n}", parent=parent
        )


def count_up(apps: Any, editor: Any) -> None:
    thing = apps.get_model(APP, "Thing")
    thing.objects.update(number=F("number") + 1)


def count_down(apps: Any, editor: Any) -> None:
    apps.get_model(APP, "Thing").objects.update(number=F("number") - 1)


def creates() -> list[Operation]:
    return [
        create(
            "Other",
            ("id", models.BigAutoField(primary_key=True)),
            ("code", models.CharField(max_length=9, db_comment="a code")),
            ("size", models.PositiveIntegerField(db_default=7)),
            (
                "twice",
                models.GeneratedField(expression=F("size") * 2, output_field=models.IntegerField(), db_persist=True),
            ),
            ("thing", models.OneToOneField("x.Thing", models.CASCADE)),
            ("things", models.ManyToManyField("x.Thing", related_name="others")),
            ("next", models.ForeignKey("self", models.SET_NULL, null=True)),
            db_table_comment="others",
            unique_together={("code", "size")},
            indexes=[models.Index(Lower("code"), name="x_lower")],
            constraints=[models.UniqueConstraint(fields=["code"], condition=Q(size=1), name="x_one")],
        ),
        create(
            "Pair",
            ("pk", models.CompositePrimaryKey("a", "b")),
            ("a", models.IntegerField()),
            ("b", models.IntegerField()),
        ),
        migrations.AlterModelTableComment("Parent", "parents"),
    ]


def additions() -> list[Operation]:
    return [
        migrations.AddField("Thing", "size", models.PositiveIntegerField(default=7)),
        migrations.AddField("Thing", "kind", models.CharField(max_length=3, db_default="a", db_comment="a kind")),
        migrations.AddField("Thing", "key", models.CharField(max_length=9, unique=True, null=True)),
        migrations.AddField("Thing", "second", models.ForeignKey("x.Parent", models.CASCADE, default=PARENT)),
        migrations.AddField("Thing", "parents", models.ManyToManyField("x.Parent", related_name="+")),
        migrations.AddField("Empty", "twice", generated()),
    ]


def generated() -> Any:
    return models.GeneratedField(expression=F("value") * 2, output_field=models.IntegerField(), db_persist=True)


def alterations() -> list[Operation]:
    def alter(name: str, field: Any, model: str = "Thing") -> Operation:
        return migrations.AlterField(model, name, field)

    return [
        alter("code", models.CharField(max_length=9, unique=True, db_comment="longer")),
        alter("value", models.IntegerField(default=5)),
        alter("number", models.PositiveIntegerField(null=True)),
        # Off and on again: a resumed plan that looked at the catalog anew would take the second guard away.
        alter("code", models.CharField(max_length=9)),
        alter("code", models.CharField(max_length=9, unique=True)),
        alter("note", models.TextField(null=True)),
        alter("note", models.TextField(null=True, db_default="none")),
        alter("parent", models.ForeignKey("x.Parent", models.CASCADE, null=True, db_constraint=False)),
        alter("value", models.CharField(max_length=3), "Empty"),
    ]


def renames() -> list[Operation]:
    return [
        migrations.RenameField("Thing", "value", "amount"),
        migrations.RenameIndex("Thing", new_name="x_renumbered", old_name="x_number"),
        migrations.RenameModel("Parent", "Ancestor"),
        migrations.AlterModelTable("Empty", "x_void"),
        migrations.RenameField("Thing", "parent", "ancestor"),
    ]


def guards() -> list[Operation]:
    return [
        migrations.AddConstraint("Thing", models.CheckConstraint(condition=Q(value__lt=100), name="x_small")),
        migrations.AddConstraint(
            "Thing", models.UniqueConstraint(fields=["value"], condition=Q(number__gt=1), name="x_some")
        ),
        migrations.AddConstraint("Thing", models.UniqueConstraint(Lower("code"), name="x_lower")),
        migrations.AddConstraint(
            "Thing", models.UniqueConstraint(fields=["code"], include=["value"], name="x_covering")
        ),
        migrations.AddConstraint(
            "Thing", models.UniqueConstraint(fields=["value"], nulls_distinct=False, name="x_nulls")
        ),
        migrations.RemoveConstraint("Thing", "x_not_negative"),
        migrations.RemoveConstraint("Thing", "x_some"),
        migrations.AlterUniqueTogether("Thing", {("value", "code"), ("value", "note")}),
        migrations.AddIndex("Thing", models.Index(fields=["-value"], name="x_value")),
        migrations.RemoveIndex("Thing", "x_number"),
    ]


def removals() -> list[Operation]:
    return [
        migrations.AlterUniqueTogether("Thing", set()),
        migrations.RemoveField("Thing", "note"),
        migrations.RemoveField("Thing", "parent"),
        migrations.DeleteModel("Empty"),
        migrations.DeleteModel("Parent"),
    ]


def own_code() -> list[Operation]:
    return [
        migrations.RunPython(count_up, count_down),
        migrations.RunSQL(
            "UPDATE x_thing SET number = number * 2 + 1", reverse_sql="UPDATE x_thing SET number = (number - 1) / 2"
        ),
        migrations.RunSQL(
            "ALTER TABLE x_thing ADD COLUMN raw text; CREATE INDEX ASYNC x_raw ON x_thing (raw)",
            reverse_sql="DROP INDEX x_raw; ALTER TABLE x_thing DROP COLUMN raw",
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.AddField("Thing", "real", models.IntegerField(null=True))],
            state_operations=[migrations.AddField("Thing", "real", models.IntegerField(null=True))],
        ),
        migrations.RunPython(count_up, count_down),
    ]


CASES: list[Callable[[], list[Operation]]] = [creates, additions, alterations, renames, guards, removals, own_code]
REVERSED = [creates, additions, alterations, renames, guards, own_code]


def kill_everywhere(stage: Stage, run: Callable[[ProjectState], Any]) -> int:
    """Kill `run` at each of its statements in turn; running it again must end as if nothing had happened.

    Returns how many places there were.
    """
    run(stage.set())
    expected = schema_and_rows()
    for n in range(1, KILLS_MAX):
        state = stage.set()
        with killed_at(n) as seen:
            run(state)
        if len(seen) < n:
            return n - 1
        run(state)
        assert schema_and_rows() == expected, f"killed at {n}: {seen[-1]}"
        assert not Entry.objects.exists()
    raise AssertionError("too many statements")


@pytest.mark.parametrize("foreign_keys", ["skip", "enforce"], indirect=True)
@pytest.mark.parametrize("operations", CASES)
def test_a_killed_migration_ends_like_an_uninterrupted_one(
    stage: Any, operations: Callable[[], list[Operation]], foreign_keys: str
) -> None:
    assert kill_everywhere(stage(), lambda state: run_journalled(make_migration(operations()), state)) > 3


@pytest.mark.parametrize("operations", REVERSED)
def test_so_does_one_that_is_taken_back(stage: Any, operations: Callable[[], list[Operation]]) -> None:
    def take_back(state: ProjectState) -> None:
        run_journalled(make_migration(operations()), state, backwards=True)

    assert kill_everywhere(stage(operations), take_back) > 3


def test_a_kill_while_an_index_or_a_constraint_is_built(slow_builds: bool, stage: Any) -> None:
    operations = [
        migrations.AddConstraint("Thing", models.UniqueConstraint(fields=["value"], name="x_unique")),
        migrations.AddConstraint("Thing", models.CheckConstraint(condition=Q(value__lt=100), name="x_small")),
    ]
    assert kill_everywhere(stage(), lambda state: run_journalled(make_migration(operations), state)) > 3


@pytest.mark.parametrize("backwards", [False, True])
def test_a_content_type_keeps_its_name_where_the_new_one_is_taken(backwards: bool) -> None:
    """As in Django, which lets the rename fail; and the migration of a RenameModel comes to its end."""
    contents = MigrationLoader(connection).project_state()
    old, new = ("bar", "foo") if backwards else ("foo", "bar")
    rename = RenameContentType(APP, "foo", "bar")
    types = ContentType.objects.filter(app_label=APP)
    try:
        ContentType.objects.bulk_create([ContentType(app_label=APP, model=name) for name in (old, new)])
        run_journalled(make_migration([rename]), contents, backwards=backwards)
        assert sorted(types.values_list("model", flat=True)) == ["bar", "foo"]

        types.filter(model=new).delete()
        run_journalled(make_migration([rename]), contents, backwards=backwards)
        assert list(types.values_list("model", flat=True)) == [new]
    finally:
        types.delete()
