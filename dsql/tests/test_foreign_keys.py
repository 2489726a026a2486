"""OPTIONS["foreign_keys"] = "enforce": constraints between tables, made the way DSQL makes them."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps.registry import Apps
from django.core.management.color import no_style
from django.db import IntegrityError, connection, migrations, models, transaction
from django.db.migrations.state import ProjectState

from dsql import faults
from dsql.fields import UUIDv7Field
from dsql.flushing import deletion_groups
from dsql.orphans import find_orphans
from dsql.tests.migrating import run_plain

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("foreign_keys")]


def make_models(**child_fields: Any) -> tuple[Any, Any]:
    registry = Apps()

    def make(name: str, **fields: Any) -> Any:
        meta = type("Meta", (), {"app_label": "dsql_tests", "apps": registry, "db_table": f"x_{name.lower()}"})
        attributes = {"id": UUIDv7Field(primary_key=True), **fields, "Meta": meta, "__module__": __name__}
        return type(name, (models.Model,), attributes)

    return make("Parent", code=models.IntegerField(default=0)), make("Child", **child_fields)


def relation(**options: Any) -> Any:
    return models.ForeignKey("dsql_tests.Parent", models.CASCADE, **options)


def foreign_keys(table: str = "x_child") -> list[tuple[str, str, bool, bool, bool]]:
    """Column, definition, whether valid, deferrable, deferred."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT a.attname, con.confrelid::regclass::text, con.convalidated, con.condeferrable, con.condeferred
            FROM pg_constraint con JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = con.conkey[1]
            WHERE con.contype = 'f' AND con.conrelid = %s::regclass ORDER BY 1
            """,
            [table],
        )
        return cursor.fetchall()


ENFORCED = ("x_parent", True, True, True)


def test_a_new_table_refers_to_its_parent_and_to_itself(make_tables: Any) -> None:
    _, child = models_made = make_models(parent=relation(), next=models.ForeignKey("self", models.CASCADE, null=True))
    statements: list[str] = []
    with faults.before_statement(statements.append):
        make_tables(*models_made)

    assert foreign_keys() == [("next_id", "x_child", True, True, True), ("parent_id", *ENFORCED)]
    made = [sql for sql in statements if "FOREIGN KEY" in sql]
    assert all(sql.endswith("DEFERRABLE INITIALLY DEFERRED NOT VALID") for sql in made)
    assert sum(sql.startswith("ALTER TABLE ASYNC") for sql in statements) == len(made) == 2
    with pytest.raises(IntegrityError):
        child.objects.create(parent_id=UUIDv7Field().get_default())


def test_tables_may_refer_to_each_other(make_tables: Any) -> None:
    parent, child = make_models(parent=relation())
    first, _ = make_models()
    make_tables(first, child)
    with connection.schema_editor() as editor:
        field = models.ForeignKey(child, models.CASCADE, null=True)
        field.set_attributes_from_name("favourite")
        field.model = parent
        editor.add_field(parent, field)

    assert foreign_keys("x_parent") == [("favourite_id", "x_child", True, True, True)]
    with transaction.atomic():
        made = child(parent_id=parent().pk)
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO x_child (id, parent_id) VALUES (%s, %s)", [made.pk, made.parent_id])
            cursor.execute(
                "INSERT INTO x_parent (id, code, favourite_id) VALUES (%s, 1, %s)", [made.parent_id, made.pk]
            )
    assert child.objects.count() == 1
    flush("x_parent", "x_child")
    assert child.objects.count() == 0


def test_a_relation_comes_to_a_table_with_rows_and_goes(make_tables: Any) -> None:
    parent, old = make_models()
    make_tables(parent, old)
    one = parent.objects.create()
    old.objects.bulk_create(old() for _ in range(3))
    _, new = make_models(parent=relation(default=one.pk))
    with connection.schema_editor() as editor:
        editor.add_field(old, new._meta.get_field("parent"))
    assert foreign_keys() == [("parent_id", *ENFORCED)]

    with connection.schema_editor() as editor:
        editor.remove_field(new, new._meta.get_field("parent"))
    assert foreign_keys() == []
    assert old.objects.count() == 3


def test_rows_without_a_parent_stop_it_and_leave_no_constraint(make_tables: Any) -> None:
    parent, loose = make_models(parent=relation(db_constraint=False))
    make_tables(parent, loose)
    loose.objects.create(parent_id=UUIDv7Field().get_default())
    _, held = make_models(parent=relation())
    with pytest.raises(IntegrityError), connection.schema_editor() as editor:
        editor.alter_field(loose, loose._meta.get_field("parent"), held._meta.get_field("parent"))

    assert foreign_keys() == []
    assert len(find_orphans()) == 0  # no installed model
    loose.objects.all().delete()
    with connection.schema_editor() as editor:
        editor.alter_field(loose, loose._meta.get_field("parent"), held._meta.get_field("parent"))
    assert foreign_keys() == [("parent_id", *ENFORCED)]
    with connection.schema_editor() as editor:
        editor.alter_field(held, held._meta.get_field("parent"), loose._meta.get_field("parent"))
    assert foreign_keys() == []


def test_what_does_not_concern_the_constraint_leaves_it(make_tables: Any) -> None:
    parent, child = make_models(parent=relation())
    make_tables(parent, child)
    _, renamed = make_models(other=relation(null=True))
    statements: list[str] = []
    with faults.before_statement(statements.append), connection.schema_editor() as editor:
        editor.alter_field(child, child._meta.get_field("parent"), renamed._meta.get_field("other"))

    assert foreign_keys() == [("other_id", *ENFORCED)]
    assert not any("CONSTRAINT" in sql and "fk" in sql for sql in statements)


def test_an_empty_parent_that_is_made_anew_is_referred_to_again() -> None:
    key = ("id", UUIDv7Field(primary_key=True))
    try:
        run_plain(
            [
                migrations.CreateModel("Parent", [key, ("code", models.IntegerField())]),
                migrations.CreateModel("Child", [key, ("parent", models.ForeignKey("x.Parent", models.CASCADE))]),
                migrations.AlterField("Parent", "code", models.TextField()),
            ],
            ProjectState(),
        )
        assert foreign_keys() == [("parent_id", *ENFORCED)]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE x_child")
            cursor.execute("DROP TABLE x_parent")


def test_relations_are_read_back(make_tables: Any) -> None:
    make_tables(*make_models(parent=relation()))
    with connection.cursor() as cursor:
        assert connection.introspection.get_relations(cursor, "x_child") == {"parent_id": ("id", "x_parent")}


def test_constraints_can_be_checked_before_the_commit(make_tables: Any) -> None:
    parent, child = make_models(parent=relation())
    make_tables(parent, child)
    with transaction.atomic():
        child.objects.create(parent_id=UUIDv7Field().get_default())
        with pytest.raises(IntegrityError):
            connection.check_constraints()
        transaction.set_rollback(True)
    assert child.objects.count() == 0


def test_a_flush_deletes_children_first_and_many_rows_in_batches(make_tables: Any) -> None:
    parent, child = make_models(parent=relation(), next=models.ForeignKey("self", models.CASCADE, null=True))
    make_tables(parent, child)
    one = parent.objects.create()
    parent.objects.bulk_create((parent() for _ in range(2500)), batch_size=1000)
    first = child.objects.create(parent=one)
    child.objects.create(parent=one, next=first)
    flush("x_parent", "x_child")

    assert (parent.objects.count(), child.objects.count()) == (0, 0)


def flush(*tables: str) -> None:
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), tables))


def test_the_order_of_a_flush() -> None:
    references = [("c", "b"), ("b", "a"), ("x", "y"), ("y", "x"), ("c", "x"), ("s", "s"), ("other", "a")]
    assert deletion_groups(["a", "b", "c", "s", "x", "y"], references) == [["c"], ["s"], ["b"], ["a"], ["x", "y"]]


@pytest.mark.parametrize("foreign_keys", ["skip"], indirect=True)
def test_by_default_no_constraint_is_made(make_tables: Any, foreign_keys: str) -> None:
    parent, child = make_models(parent=relation())
    make_tables(parent, child)
    assert globals()["foreign_keys"]() == []
    child.objects.create(parent_id=UUIDv7Field().get_default())
