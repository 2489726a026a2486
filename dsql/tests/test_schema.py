"""Migrations: what the schema editor makes, and what it does to tables that hold rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps as installed_apps
from django.apps.registry import Apps
from django.contrib.postgres.indexes import BTreeIndex
from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.core.management import call_command
from django.db import IntegrityError, NotSupportedError, connection, migrations, models, transaction
from django.db.migrations.state import ProjectState
from django.db.models import F, Q
from django.db.models.functions import Lower

from dsql import faults
from dsql.fields import UUIDv7Field
from dsql.tests.migrating import APP, make_migration, run_plain

pytestmark = pytest.mark.django_db(transaction=True)


def make_model(**fields: Any) -> Any:
    """A model of the table x_thing, in a registry of its own unless `meta` says otherwise."""
    meta = {"app_label": "dsql_tests", "apps": Apps(), "db_table": "x_thing", **fields.pop("meta", {})}
    attributes = {"id": UUIDv7Field(primary_key=True), **fields}
    name = meta["db_table"].title().replace("_", "")
    return type(name, (models.Model,), {**attributes, "Meta": type("Meta", (), meta), "__module__": __name__})


def alter(old: Any, new: Any, name: str = "value") -> None:
    with connection.schema_editor() as editor:
        editor.alter_field(old, old._meta.get_field(name), new._meta.get_field(name), strict=False)


def add(old: Any, new: Any, name: str = "value") -> None:
    with connection.schema_editor() as editor:
        editor.add_field(old, new._meta.get_field(name))


def constraints() -> dict[str, Any]:
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, "x_thing")


def column(name: str = "value") -> Any:
    with connection.cursor() as cursor:
        rows = connection.introspection.get_table_description(cursor, "x_thing")
    return next(row for row in rows if row.name == name)


def default_of(name: str = "value") -> str | None:
    return column(name).default


# -- tables


def test_unique_guards_and_checks_are_inside_create_table(make_tables: Any) -> None:
    thing = make_model(
        a=models.IntegerField(),
        b=models.IntegerField(db_default=7),
        code=models.CharField(max_length=5, unique=True),
        meta={
            "unique_together": [("a", "b")],
            "constraints": [
                models.UniqueConstraint(fields=["b", "code"], name="x_plain"),
                models.CheckConstraint(condition=Q(a__gte=F("b")), name="x_check"),
            ],
        },
    )
    with connection.schema_editor(collect_sql=True) as editor:
        editor.create_model(thing)

    (create,) = editor.collected_sql
    for part in (
        'UNIQUE ("a", "b")',
        'CONSTRAINT "x_plain" UNIQUE ("b", "code")',
        'CONSTRAINT "x_check" CHECK',
        "UNIQUE CHECK (char_length",
    ):
        assert part in create
    make_tables(thing)
    thing.objects.create(a=9, code="abcde")
    assert thing.objects.get().b == 7
    for wrong in ({"a": 1, "code": "x"}, {"a": 9, "code": "y"}, {"a": 10, "code": "123456"}):
        with pytest.raises(IntegrityError):
            thing.objects.create(**wrong)


def test_other_unique_guards_are_indexes(make_tables: Any) -> None:
    thing = make_model(
        value=models.TextField(null=True),
        open=models.BooleanField(default=True),
        meta={
            "constraints": [
                models.UniqueConstraint(fields=["value"], condition=Q(open=True), name="x_partial"),
                models.UniqueConstraint(Lower("value"), "open", name="x_expression"),
                models.UniqueConstraint(fields=["value", "open"], nulls_distinct=False, name="x_nulls"),
            ],
            "indexes": [
                models.Index(fields=["-value"], name="x_descending"),
                models.Index(Lower("value").desc(), name="x_lower"),
                models.Index(fields=["open"], include=["value"], name="x_covering"),
            ],
        },
    )
    make_tables(thing)

    found = constraints()
    assert {name for name, info in found.items() if info["unique"] and info["index"]} == {
        "x_partial",
        "x_expression",
        "x_nulls",
    }
    assert {"x_descending", "x_lower", "x_covering"} <= set(found)
    thing.objects.create(value=None, open=False)
    with pytest.raises(IntegrityError):
        thing.objects.create(value=None, open=False)
    with connection.schema_editor() as editor:
        for constraint in thing._meta.constraints:
            editor.remove_constraint(thing, constraint)
    assert not {name for name, info in constraints().items() if info["unique"] and not info["primary_key"]}


def test_relations_have_an_index_and_no_constraint(make_tables: Any) -> None:
    registry = Apps()
    parent = make_model(meta={"db_table": "x_parent", "apps": registry, "app_label": "dsql_tests"})
    child = make_model(parent=models.ForeignKey(parent, models.CASCADE), meta={"apps": registry})
    make_tables(parent, child)

    infos = constraints().values()
    assert not any(info["foreign_key"] for info in infos)
    assert any(info["index"] and info["columns"] == ["parent_id"] for info in infos)
    one = parent.objects.create()
    child.objects.create(parent=one)
    assert child.objects.filter(parent__id=one.id).count() == 1


def test_an_automatic_key_is_a_bigint_and_so_are_its_references(make_tables: Any) -> None:
    registry = Apps()
    parent = make_model(id=models.AutoField(primary_key=True), meta={"db_table": "x_parent", "apps": registry})
    child = make_model(parent=models.ForeignKey(parent, models.CASCADE), meta={"apps": registry})
    make_tables(parent, child)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE x_parent ALTER COLUMN id RESTART WITH 5000000000")

    one = parent.objects.create()
    assert (one.id, child.objects.create(parent=one).parent_id) == (5_000_000_000, 5_000_000_000)


def test_every_kind_of_value_comes_back(make_tables: Any) -> None:
    thing = make_model(
        ip=models.GenericIPAddressField(null=True),
        data=models.JSONField(default=dict),
        price=models.DecimalField(max_digits=10, decimal_places=2),
        took=models.DurationField(null=True),
        raw=models.BinaryField(null=True),
    )
    make_tables(thing)
    thing.objects.bulk_create(thing(ip=f"10.0.0.{n}", data={"n": n}, price="1.50") for n in range(3))

    assert thing.objects.filter(ip__startswith="10.0.", data__n=1).get().ip == "10.0.0.1"
    assert thing.objects.filter(ip__in=["10.0.0.1", "10.0.0.2"]).count() == 2
    assert thing.objects.aggregate(total=models.Sum("price"))["total"] == 4.5


# -- columns


@pytest.mark.parametrize("null", [False, True])
def test_adding_a_column_with_a_default_fills_old_rows(make_tables: Any, null: bool) -> None:
    old = make_model()
    make_tables(old)
    old.objects.bulk_create(old() for _ in range(1500))
    new = make_model(value=models.PositiveIntegerField(default=7, null=null))
    add(old, new)

    assert new.objects.filter(value=7).count() == 1500
    assert (column().null_ok, default_of()) == (null, None)
    with pytest.raises(IntegrityError):
        new.objects.create(value=-1)


def test_old_rows_are_filled_under_a_composite_key(make_tables: Any) -> None:
    key = {"pk": models.CompositePrimaryKey("a", "b"), "a": models.IntegerField(), "b": models.IntegerField()}
    old = make_model(id=None, **key)
    make_tables(old)
    old.objects.bulk_create(old(a=n % 7, b=n) for n in range(1100))
    key = {"pk": models.CompositePrimaryKey("a", "b"), "a": models.IntegerField(), "b": models.IntegerField()}
    new = make_model(id=None, **key, value=models.TextField(default="x"))
    add(old, new)

    assert new.objects.filter(value="x").count() == 1100


def test_adding_a_unique_text_with_a_database_default(make_tables: Any) -> None:
    old = make_model()
    make_tables(old)
    old.objects.create()
    new = make_model(value=models.CharField(max_length=3, unique=True, db_default="a%b"))
    add(old, new)

    assert new.objects.get().value == "a%b"
    assert default_of() is not None
    with pytest.raises(IntegrityError):
        new.objects.create()
    with pytest.raises(IntegrityError):
        new.objects.create(value="abcd")


def test_a_database_default_of_null_fills_nothing(make_tables: Any) -> None:
    old = make_model()
    make_tables(old)
    old.objects.create()
    add(old, make_model(value=models.TextField(null=True, db_default=None)))

    assert (default_of(), column().null_ok) == (None, True)


def test_adding_a_relation(make_tables: Any) -> None:
    registry = Apps()
    parent = make_model(meta={"db_table": "x_parent"})
    old = make_model()
    make_tables(parent, old)
    parent = make_model(meta={"db_table": "x_parent", "apps": registry})
    add(old, make_model(value=models.ForeignKey(parent, models.CASCADE), meta={"apps": registry}))

    assert any(info["index"] and info["columns"] == ["value_id"] for info in constraints().values())
    assert not column("value_id").null_ok


def test_a_changed_length_replaces_the_check_and_keeps_rows(make_tables: Any) -> None:
    old = make_model(value=models.CharField(max_length=3))
    make_tables(old)
    old.objects.create(value="abc")
    new = make_model(value=models.CharField(max_length=5))
    alter(old, new)

    new.objects.create(value="abcde")
    with pytest.raises(IntegrityError):
        new.objects.create(value="abcdef")
    alter(new, make_model(value=models.TextField()))
    new.objects.create(value="abcdef")


def test_shortening_below_what_is_there_is_refused(make_tables: Any) -> None:
    old = make_model(value=models.CharField(max_length=5))
    make_tables(old)
    old.objects.create(value="abcde")

    with pytest.raises(IntegrityError):
        alter(old, make_model(value=models.CharField(max_length=3)))
    old.objects.update(value="abc")
    alter(old, make_model(value=models.CharField(max_length=3)))


def test_null_and_back(make_tables: Any) -> None:
    nullable = make_model(value=models.IntegerField(null=True))
    filled = make_model(value=models.IntegerField(default=7))
    make_tables(nullable)
    nullable.objects.create()
    alter(nullable, filled)

    assert (filled.objects.get().value, column().null_ok, default_of()) == (7, False, None)
    with pytest.raises(IntegrityError):
        nullable.objects.create()
    alter(filled, nullable)
    nullable.objects.create()
    assert column().null_ok


def test_a_type_changes_while_the_table_is_empty(make_tables: Any) -> None:
    old = make_model(value=models.IntegerField(), name=models.CharField(max_length=5, unique=True))
    new = make_model(value=models.TextField(db_index=True), name=models.CharField(max_length=5, unique=True))
    make_tables(old)
    alter(old, new)

    new.objects.create(value="text", name="a")
    assert any(info["index"] and info["columns"] == ["value"] for info in constraints().values())
    with pytest.raises(IntegrityError):
        new.objects.create(value="text", name="a")


def test_a_type_does_not_change_under_rows(make_tables: Any) -> None:
    old = make_model(value=models.IntegerField())
    make_tables(old)
    old.objects.create(value=1)

    with pytest.raises(NotSupportedError, match="while x_thing holds rows"):
        alter(old, make_model(value=models.TextField()))
    assert old.objects.get().value == 1


def test_renaming_and_removing(make_tables: Any) -> None:
    old = make_model(value=models.IntegerField(default=1))
    make_tables(old)
    old.objects.create()
    new = make_model(other=models.IntegerField(default=1))
    with connection.schema_editor() as editor:
        editor.alter_field(old, old._meta.get_field("value"), new._meta.get_field("other"))
    assert new.objects.get().other == 1
    with connection.schema_editor() as editor:
        editor.remove_field(new, new._meta.get_field("other"))
    assert make_model().objects.count() == 1


def test_unique_comes_and_goes_whatever_it_is(make_tables: Any) -> None:
    plain, unique = (make_model(value=models.TextField(unique=unique)) for unique in (False, True))
    make_tables(unique)
    for _ in range(2):  # first a constraint of the table, then an index
        alter(unique, plain)
        assert not any(info["unique"] and info["columns"] == ["value"] for info in constraints().values())
        alter(plain, unique)
        assert any(info["unique"] and info["columns"] == ["value"] for info in constraints().values())


def test_unique_together_comes_and_goes(make_tables: Any) -> None:
    fields = {"a": models.IntegerField, "b": models.IntegerField}
    thing = make_model(**{name: field() for name, field in fields.items()}, meta={"unique_together": [("a", "b")]})
    make_tables(thing)
    for _ in range(2):
        with connection.schema_editor() as editor:
            editor.alter_unique_together(thing, [("a", "b")], [])
        assert not any(info["unique"] and info["columns"] == ["a", "b"] for info in constraints().values())
        with connection.schema_editor() as editor:
            editor.alter_unique_together(thing, [], [("a", "b")])


def test_an_index_comes_and_goes(make_tables: Any) -> None:
    plain, indexed = (make_model(value=models.TextField(db_index=index)) for index in (False, True))
    make_tables(plain)
    alter(plain, indexed)
    assert any(info["columns"] == ["value"] for info in constraints().values())
    alter(indexed, plain)
    assert not any(info["columns"] == ["value"] for info in constraints().values())


def test_a_constraint_is_validated(make_tables: Any) -> None:
    thing = make_model(value=models.IntegerField())
    make_tables(thing)
    constraint = models.CheckConstraint(condition=Q(value__gt=0), name="x_positive")
    with connection.schema_editor() as editor:
        editor.add_constraint(thing, constraint)
    with connection.cursor() as cursor:
        cursor.execute("SELECT convalidated FROM pg_constraint WHERE conname = 'x_positive'")
        assert cursor.fetchone() == (True,)
    with connection.schema_editor() as editor:
        editor.remove_constraint(thing, constraint)
    thing.objects.create(value=-1)


def invalid_indexes() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
        return [name for (name,) in cursor.fetchall()]


@pytest.mark.parametrize("slow_builds", [False, True], indirect=True, ids=["at once", "slowly"])
def test_a_unique_guard_that_rows_break_leaves_no_index(make_tables: Any, slow_builds: bool) -> None:
    plain, unique = (make_model(value=models.TextField(unique=unique)) for unique in (False, True))
    make_tables(plain)
    plain.objects.bulk_create(plain(value="same") for _ in range(2))
    for _ in range(2):
        with pytest.raises(IntegrityError, match="x_thing_value"):
            alter(plain, unique)
        assert invalid_indexes() == []
        assert not any(info["columns"] == ["value"] for info in constraints().values())
    plain.objects.first().delete()
    alter(plain, unique)
    assert any(info["unique"] and info["columns"] == ["value"] for info in constraints().values())


def test_an_invalid_index_that_was_left_behind_is_built_again(make_tables: Any) -> None:
    thing = make_model(value=models.IntegerField())
    make_tables(thing)
    thing.objects.bulk_create(thing(value=1) for _ in range(2))
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX ASYNC x_value ON x_thing (value)")
        cursor.execute("CALL sys.wait_for_job(%s)", cursor.fetchone())
    assert invalid_indexes() == ["x_value"]
    thing.objects.first().delete()
    with connection.schema_editor() as editor:
        editor.add_constraint(thing, models.UniqueConstraint(fields=["value"], name="x_value"))

    assert invalid_indexes() == []
    assert constraints()["x_value"]["unique"]


def test_a_generated_column_comes_with_its_table_or_with_an_empty_one(make_tables: Any) -> None:
    old = make_model(value=models.IntegerField())
    make_tables(old)
    twice = models.GeneratedField(expression=F("value") * 2, output_field=models.IntegerField(), db_persist=True)
    new = make_model(value=models.IntegerField(), twice=twice)
    add(old, new, "twice")
    new.objects.create(value=4)
    assert new.objects.get().twice == 8

    twice = models.GeneratedField(expression=F("value") * 3, output_field=models.IntegerField(), db_persist=True)
    newer = make_model(value=models.IntegerField(), thrice=twice)
    with pytest.raises(NotSupportedError, match="while x_thing holds rows"):
        add(new, newer, "thrice")
    assert new.objects.get().twice == 8


def test_an_index_is_renamed_by_building_it_again_first(make_tables: Any) -> None:
    old, new = (models.Index(fields=["value"], name=name) for name in ("x_old", "x_new"))
    thing = make_model(value=models.IntegerField(), meta={"indexes": [old]})
    make_tables(thing)
    statements: list[str] = []
    with faults.before_statement(statements.append), connection.schema_editor() as editor:
        editor.rename_index(thing, old, new)

    changes = [sql for sql in statements if "INDEX" in sql]
    assert [sql.split()[0] for sql in changes] == ["CREATE", "DROP"]
    assert ("x_new" in constraints(), "x_old" in constraints()) == (True, False)


def test_a_key_becomes_automatic_and_goes_on_after_the_highest(make_tables: Any) -> None:
    plain = make_model(id=models.BigIntegerField(primary_key=True))
    automatic = make_model(id=models.BigAutoField(primary_key=True))
    make_tables(plain)
    plain.objects.create(id=41)
    alter(plain, automatic, "id")
    assert automatic.objects.create().id == 42

    alter(automatic, plain, "id")
    with pytest.raises(IntegrityError):
        automatic.objects.create()


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (models.TextField(db_collation="en_US"), "one collation"),
        (models.BigAutoField(primary_key=True), "primary key of x_thing cannot change"),
    ],
)
def test_columns_that_cannot_be_added_are_refused(make_tables: Any, field: Any, reason: str) -> None:
    old = make_model()
    make_tables(old)
    old.objects.create()
    fields = {"id": None, "value": field} if field.primary_key else {"value": field}
    with pytest.raises(NotSupportedError, match=reason):
        add(old, make_model(**fields))
    assert old.objects.count() == 1


def test_a_deferrable_unique_guard_is_refused_and_not_left_out(make_tables: Any) -> None:
    thing = make_model(value=models.IntegerField())
    make_tables(thing)
    guard = models.UniqueConstraint(fields=["value"], name="x_late", deferrable=models.Deferrable.DEFERRED)
    with pytest.raises(NotSupportedError, match="deferrable"), connection.schema_editor() as editor:
        editor.add_constraint(thing, guard)


def test_a_key_is_not_removed_while_there_are_rows(make_tables: Any) -> None:
    thing = make_model()
    make_tables(thing)
    thing.objects.create()
    with pytest.raises(NotSupportedError, match="primary key of x_thing"), connection.schema_editor() as editor:
        editor.remove_field(thing, thing._meta.pk)
    assert thing.objects.count() == 1


def test_a_key_is_replaced_by_one_of_another_type_while_there_are_no_rows() -> None:
    """In two operations, as migrations of packages do it; and back."""
    before = ProjectState()
    create = migrations.CreateModel("Thing", [("id", models.AutoField(primary_key=True)), ("n", models.IntegerField())])
    run_plain([create], before)
    with_rows = before.clone()
    create.state_forwards(APP, with_rows)
    replace = [
        migrations.RemoveField("thing", "id"),
        migrations.AddField("thing", "id", models.CharField(max_length=32, primary_key=True)),
    ]
    try:
        after = run_plain(replace, with_rows)
        after.apps.get_model(APP, "Thing").objects.create(id="a", n=1)
        after.apps.get_model(APP, "Thing").objects.all().delete()
        with connection.schema_editor() as editor:
            make_migration(replace).unapply(with_rows.clone(), editor)
        with_rows.apps.get_model(APP, "Thing").objects.create(n=1)
    finally:
        run_plain([migrations.DeleteModel("Thing")], with_rows)


def test_a_plain_index_of_contrib_postgres_is_an_ordinary_one(make_tables: Any) -> None:
    index = BTreeIndex(fields=["value"], name="x_plain")
    thing = make_model(value=models.IntegerField())
    make_tables(thing)
    with connection.schema_editor() as editor:
        editor.add_index(thing, index)

    assert constraints()["x_plain"]["columns"] == ["value"]
    with connection.schema_editor() as editor:
        editor.remove_index(thing, index)
    assert "x_plain" not in constraints()


def test_contrib_postgres_adds_a_constraint_first_and_validates_it_later(make_tables: Any) -> None:
    state = ProjectState()
    create = migrations.CreateModel("Thing", [("id", models.AutoField(primary_key=True)), ("n", models.IntegerField())])
    positive = models.CheckConstraint(condition=Q(n__gt=0), name="x_positive")
    statements: list[str] = []
    after = run_plain([create], state)
    try:
        with faults.before_statement(statements.append):
            run_plain([AddConstraintNotValid("thing", positive), ValidateConstraint("thing", "x_positive")], after)
        assert [sql for sql in statements if sql.startswith("ALTER")] == [
            'ALTER TABLE "x_thing" ADD CONSTRAINT "x_positive" CHECK ("n" > 0) NOT VALID',
            'ALTER TABLE ASYNC "x_thing" VALIDATE CONSTRAINT "x_positive"',
        ]
        with connection.cursor() as cursor:
            cursor.execute("SELECT convalidated FROM pg_constraint WHERE conname = 'x_positive'")
            assert cursor.fetchall() == [(True,)]
    finally:
        run_plain([migrations.DeleteModel("Thing")], after)


def test_rows_that_are_too_large_together_are_filled_in_smaller_batches(make_tables: Any) -> None:
    old = make_model()
    make_tables(old)
    old.objects.bulk_create(old() for _ in range(30))
    statements: list[str] = []
    too_large = faults.fail_statement(3, "54000", "transaction size limit 10mb exceeded", times=2)
    with too_large, faults.before_statement(statements.append):
        add(old, make_model(value=models.TextField(default="x")))

    limits = [sql.split("LIMIT ")[1] for sql in statements if sql.startswith("UPDATE")]
    assert limits == ["1000)", "500)", "250)", "250)"]


def test_ddl_inside_a_transaction_is_refused() -> None:
    with (
        pytest.raises(transaction.TransactionManagementError),
        transaction.atomic(),
        connection.schema_editor() as editor,
    ):
        editor.create_model(make_model())


# -- third-party apps


def test_the_migrations_of_third_party_apps_come_up(empty_database: str) -> None:
    environment = {**os.environ, "DATABASE_URL": empty_database, "DJANGO_SETTINGS_MODULE": "dsql.tests.settings"}
    root = Path(__file__).parents[2]
    for command in (["migrate", "--verbosity=0"], ["migrate", "--check"], ["check_orphans"]):
        run = subprocess.run(
            [sys.executable, "-m", "django", *command],
            env=environment,
            cwd=root,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert run.returncode == 0, run.stderr


def test_every_installed_model_has_the_columns_and_guards_it_asks_for() -> None:
    wrong = []
    with connection.cursor() as cursor:
        for model in installed_apps.get_models(include_auto_created=True):
            if not model._meta.managed or model._meta.proxy:
                continue
            rows = connection.introspection.get_table_description(cursor, model._meta.db_table)
            found = connection.introspection.get_constraints(cursor, model._meta.db_table)
            wrong += list(_differences(model, {row.name: row for row in rows}, found))

    assert wrong == []


def _differences(model: Any, rows: dict[str, Any], found: dict[str, Any]) -> Any:
    table = model._meta.db_table
    for field in model._meta.local_concrete_fields:
        if field.column is None:
            continue  # a composite key, whose parts are fields of their own
        own = [info for name, info in found.items() if info["columns"] == [field.column]]
        if rows[field.column].null_ok != field.null:
            yield table, field.column, "null"
        if field.unique and not any(info["unique"] for info in own):
            yield table, field.column, "unique"
        if field.db_index and not field.unique and not any(info["index"] for info in own):
            yield table, field.column, "index"
        if field.db_parameters(connection)["check"] and not any(info["check"] for info in own):
            yield table, field.column, "check"
    for part in (*model._meta.constraints, *model._meta.indexes):
        if part.name not in found:
            yield table, part.name
    for names in model._meta.unique_together:
        columns = [model._meta.get_field(name).column for name in names]
        if not any(info["unique"] and info["columns"] == columns for info in found.values()):
            yield table, columns


def test_no_migration_is_missing() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
