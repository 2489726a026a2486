"""A column whose type changes while its table holds rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import IntegrityError, NotSupportedError, connection, migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import OperationWriter
from django.db.models import Q

from dsql import faults
from dsql.fields import UUIDv7Field
from dsql.migrations import AlterFieldByCopy
from dsql.tests.migrating import APP, Stage, killed_at, make_migration, run_journalled, run_plain, schema_and_rows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stage(transactional_db: None) -> Iterator[Callable[..., Stage]]:
    """Makes a table x_thing with a field `value` and rows with the values given."""
    made = []

    def make(field: Any, values: list[Any], **options: Any) -> Stage:
        def make_table() -> ProjectState:
            fields = [
                ("id", UUIDv7Field(primary_key=True)),
                ("value", field),
                ("place", models.IntegerField(default=0)),
            ]
            state = run_plain([migrations.CreateModel("Thing", fields, options=options)], ProjectState())
            thing = state.apps.get_model(APP, "Thing")
            thing.objects.bulk_create(thing(value=value, place=n) for n, value in enumerate(values))
            return state

        made.append(Stage(make_table))
        return made[0]

    yield make
    for one in made:
        one.close()


def change(state: ProjectState, *operations: Operation) -> Any:
    """Run `operations` as one journalled migration; returns the model after it."""
    run_journalled(make_migration(operations), state)
    after = make_migration(operations).mutate_state(state)
    return after.apps.get_model(APP, "Thing")


def values(thing: Any) -> list[Any]:
    return list(thing.objects.order_by("place").values_list("value", flat=True))


def test_the_values_are_cast_in_batches_and_the_guards_are_there(stage: Any) -> None:
    state = stage(
        models.IntegerField(unique=True),
        list(range(2500)),
        constraints=[
            models.UniqueConstraint(fields=["value", "place"], nulls_distinct=False, name="x_both"),
            models.UniqueConstraint(fields=["place"], name="x_place"),
            models.CheckConstraint(condition=~Q(value=-1), name="x_not_minus_one"),
        ],
        indexes=[models.Index(fields=["place", "value"], name="x_place_value")],
        unique_together={("place", "value")},
    ).set()

    thing = change(state, AlterFieldByCopy("Thing", "value", models.CharField(max_length=4, unique=True)))

    assert values(thing) == [str(n) for n in range(2500)]
    for wrong in ("12345", "7", "-1", None):
        with pytest.raises(IntegrityError):
            thing.objects.create(value=wrong, place=-1)
    with connection.cursor() as cursor:
        rows = connection.introspection.get_table_description(cursor, "x_thing")
        found = connection.introspection.get_constraints(cursor, "x_thing")
    assert {row.name for row in rows} == {"id", "value", "place"}
    assert {"x_both", "x_place", "x_not_minus_one", "x_place_value"} <= set(found)
    assert sum(info["unique"] and sorted(info["columns"]) == ["place", "value"] for info in found.values()) == 2
    assert not any("__" in name and name.startswith("x_both") for name in found)


def test_the_way_there_and_back_can_be_written_in_sql(stage: Any) -> None:
    state = stage(models.DecimalField(max_digits=6, decimal_places=2), ["1.50", "2.00"]).set()
    cents = AlterFieldByCopy(
        "Thing", "value", models.BigIntegerField(), using="{column} * 100", reverse_using="{column} / 100.0"
    )
    thing = change(state, cents)
    assert values(thing) == [150, 200]

    run_journalled(make_migration([cents]), state, backwards=True)
    assert [str(value) for value in values(state.apps.get_model(APP, "Thing"))] == ["1.50", "2.00"]
    source, imports = OperationWriter(cents, indentation=0).serialize()
    assert "using='{column} * 100'" in source
    assert "import dsql.migrations" in imports


def test_null_becomes_the_default_and_a_database_default_is_kept(stage: Any) -> None:
    state = stage(models.IntegerField(null=True), [1, None]).set()
    thing = change(state, AlterFieldByCopy("Thing", "value", models.TextField(default="none", db_default="later")))

    assert values(thing) == ["1", "later"]
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO x_thing (id, place) VALUES (gen_random_uuid(), 2) RETURNING value")
        assert cursor.fetchone() == ("later",)


def test_what_is_null_stays_null_where_it_may(stage: Any) -> None:
    state = stage(models.IntegerField(null=True), [1, None]).set()
    thing = change(state, AlterFieldByCopy("Thing", "value", models.TextField(null=True, default="none")))
    assert values(thing) == ["1", None]


def test_writes_during_the_change_are_not_lost(stage: Any) -> None:
    """Before each statement of the plan one row is updated and one inserted, as programs do it at that moment."""
    state = stage(models.IntegerField(), [0] * 40).set()
    written: dict[int, int] = {}

    def write(kind: str, sql: str | None, wrapper: Any) -> None:
        text = sql or ""
        if (
            kind != "statement"
            or "x_thing" not in text
            or text.lstrip().startswith("SELECT")
            or wrapper.in_atomic_block
        ):
            return
        place = len(written) // 2
        with connection.connection.cursor() as cursor:  # the driver's own, which nobody observes
            cursor.execute("SELECT 1 FROM pg_attribute WHERE attrelid = 'x_thing'::regclass AND attname = 'value'")
            if cursor.fetchone():
                cursor.execute("UPDATE x_thing SET value = %s WHERE place = %s", [str(place + 100), place])
                assert cursor.rowcount == 1
                insert = "INSERT INTO x_thing (id, value, place) VALUES (gen_random_uuid(), %s, %s)"
                cursor.execute(insert, [str(place + 200), place + 40])
                written[place] = place + 100
                written[place + 40] = place + 200

    with faults.observe(write):
        thing = change(state, AlterFieldByCopy("Thing", "value", models.TextField()))

    moments = len(written) // 2
    assert moments > 8
    assert values(thing) == [str(written.get(place, 0)) for place in range(40 + moments)]


def test_a_value_that_cannot_be_cast_stops_it_and_a_repair_lets_it_go_on(stage: Any) -> None:
    state = stage(models.TextField(), ["1", "two"]).set()
    operation = AlterFieldByCopy("Thing", "value", models.IntegerField())
    with pytest.raises(Exception, match="two"):
        change(state, operation)

    before = state.apps.get_model(APP, "Thing")
    assert values(before) == ["1", "two"]
    before.objects.filter(value="two").update(value="2")
    assert values(change(state, operation)) == [1, 2]


@pytest.mark.parametrize("foreign_keys", ["enforce"], indirect=True)
def test_a_relation_gets_its_constraint(foreign_keys: str, stage: Any) -> None:
    state = stage(models.TextField(null=True), [None]).set()
    run_plain([migrations.CreateModel("Parent", [("id", UUIDv7Field(primary_key=True))])], state)
    state = make_migration([migrations.CreateModel("Parent", [("id", UUIDv7Field(primary_key=True))])]).mutate_state(
        state
    )
    relation = models.ForeignKey("x.Parent", models.CASCADE, null=True, db_column="value")
    thing = change(state, AlterFieldByCopy("Thing", "value", relation))

    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, "x_thing")
    assert [info["foreign_key"] for info in found.values() if info["foreign_key"]] == [("x_parent", "id")]
    assert thing.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "field", "reason"),
    [
        ("id", models.TextField(primary_key=True), "primary key"),
        ("value", models.TextField(db_column="other"), "column's name"),
    ],
)
def test_what_it_cannot_do_it_refuses_before_it_begins(stage: Any, name: str, field: Any, reason: str) -> None:
    state = stage(models.IntegerField(), [1]).set()
    before = schema_and_rows()
    with pytest.raises(NotSupportedError, match=reason):
        change(state, AlterFieldByCopy("Thing", name, field))
    assert schema_and_rows() == before


def test_an_ordinary_alter_field_names_it(stage: Any) -> None:
    state = stage(models.IntegerField(), [1]).set()
    with pytest.raises(NotSupportedError, match=r"dsql.migrations.AlterFieldByCopy\(model_name='thing', name='value'"):
        change(state, migrations.AlterField("Thing", "value", models.TextField()))


@pytest.mark.slow
def test_killed_anywhere_it_goes_on(stage: Any) -> None:
    begun = stage(
        models.IntegerField(null=True, db_index=True),
        [3, None, 5],
        constraints=[models.UniqueConstraint(fields=["value"], condition=Q(place__gt=0), name="x_some")],
    )
    operation = AlterFieldByCopy("Thing", "value", models.CharField(max_length=4, default="9", unique=True))
    change(begun.set(), operation)
    expected = schema_and_rows()
    for n in range(1, 200):
        state = begun.set()
        with killed_at(n) as seen:
            change(state, operation)
        if len(seen) < n:
            break
        change(state, operation)
        assert schema_and_rows() == expected, f"killed at {n}: {seen[-1]}"
    assert n > 40
