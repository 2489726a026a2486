"""`bulk_create(ignore_conflicts=True)` and `add()`: the rows that are new are all written, and no others."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection, models, transaction
from django.db.models.functions import Lower
from django.test.utils import isolate_apps

from dsql import faults
from dsql.tests.strict import other_connection
from dsql.transactions import run_transaction


@pytest.fixture
def apps() -> Iterator[None]:
    with isolate_apps("dsql.tests"):
        yield


def tags() -> Any:
    class Tag(models.Model):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        shop = models.IntegerField()
        name = models.TextField(unique=True)
        code = models.TextField(null=True)  # noqa: DJ001
        slot = models.IntegerField(null=True)
        is_live = models.BooleanField(default=True)

        class Meta:
            app_label = "dsql"
            unique_together = (("shop", "code"),)
            constraints = [
                models.UniqueConstraint(Lower("name"), name="tag_name_in_any_case"),
                models.UniqueConstraint(fields=["slot"], condition=models.Q(is_live=True), name="tag_live_slot"),
            ]

    return Tag


@contextmanager
def sent() -> Iterator[list[str]]:
    """The statements that are executed inside the block."""
    statements: list[str] = []
    with faults.before_statement(statements.append):
        yield statements


def inserts(statements: list[str]) -> list[str]:
    return [sql for sql in statements if sql.startswith("INSERT")]


def names(model: Any) -> list[str]:
    return sorted(model.objects.values_list("name", flat=True))


def test_rows_that_meet_no_conflict_are_written_and_others_left_out(apps: None, make_tables: Any) -> None:
    Tag = tags()
    make_tables(Tag)
    first = Tag.objects.create(shop=1, name="a", code="x", slot=1)

    with sent() as statements:
        Tag.objects.bulk_create(
            [
                Tag(shop=1, name="b", code="y"),
                Tag(id=first.id, shop=1, name="same key"),
                Tag(shop=1, name="a"),
                Tag(shop=1, name="A"),
                Tag(shop=1, name="same code in the shop", code="x"),
                Tag(shop=2, name="c", code="x"),
                Tag(shop=1, name="same live slot", slot=1),
                Tag(shop=1, name="d", slot=1, is_live=False),
                Tag(shop=1, name="e", code=None),
                Tag(shop=1, name="f", code=None),
            ],
            ignore_conflicts=True,
        )

    assert names(Tag) == ["a", "b", "c", "d", "e", "f"]
    assert [sql for sql in statements if "ON CONFLICT" in sql] == []
    assert len(inserts(statements)) == 1


def test_of_new_rows_with_the_same_key_the_first_that_can_be_written_stays(apps: None, make_tables: Any) -> None:
    Tag = tags()
    make_tables(Tag)
    Tag.objects.create(shop=1, name="taken", code="x")

    Tag.objects.bulk_create(
        [
            # Left out for its code, so that its name is free for the next.
            Tag(shop=1, name="a", code="x"),
            Tag(shop=1, name="A", code="y", slot=1),
            Tag(shop=1, name="a", code="z", slot=2),
            Tag(shop=1, name="b", code="z", slot=2),
        ],
        ignore_conflicts=True,
    )

    assert names(Tag) == ["A", "b", "taken"]


def test_the_outcome_is_that_of_on_conflict_do_nothing_row_by_row(apps: None, make_tables: Any) -> None:
    Tag = tags()
    make_tables(Tag)
    dice = random.Random(20261126)

    def some_rows() -> list[Any]:
        return [
            Tag(
                shop=dice.randint(1, 2), name=dice.choice("aAbBcCdD"), code=dice.choice(["x", "y", "z", None]),
                slot=dice.choice([1, 2, 3, None]), is_live=dice.random() < 0.7,
            )
            for _ in range(12)
        ]  # fmt: skip

    for _ in range(15):
        there, new = some_rows(), some_rows()
        outcomes = []
        for at_once in (True, False):
            Tag.objects.all().delete()
            for row in there:
                Tag.objects.bulk_create([row], ignore_conflicts=True)
            for batch in [new] if at_once else [[row] for row in new]:
                Tag.objects.bulk_create(batch, ignore_conflicts=True)
            outcomes.append(sorted(Tag.objects.values_list("id", flat=True)))
        assert outcomes[0] == outcomes[1]


def test_nothing_is_inserted_when_every_key_is_taken(apps: None, make_tables: Any) -> None:
    Tag = tags()
    make_tables(Tag)
    rows = [Tag(shop=1, name=name) for name in "abc"]
    Tag.objects.bulk_create(rows)

    with sent() as statements:
        Tag.objects.bulk_create(rows, ignore_conflicts=True)

    assert names(Tag) == ["a", "b", "c"]
    assert inserts(statements) == []


def test_composite_keys_and_nulls_that_are_alike_count_as_taken(apps: None, make_tables: Any) -> None:
    class Seat(models.Model):
        pk = models.CompositePrimaryKey("row", "name")
        row = models.IntegerField()
        name = models.TextField()
        holder = models.IntegerField(null=True)

        class Meta:
            app_label = "dsql"
            constraints = [
                models.UniqueConstraint(fields=["row", "holder"], nulls_distinct=False, name="seat_one_a_holder")
            ]

    make_tables(Seat)
    Seat.objects.create(row=1, name="a", holder=None)

    Seat.objects.bulk_create(
        [
            Seat(row=1, name="a", holder=7),
            Seat(row=1, name="b", holder=None),
            Seat(row=2, name="b", holder=None),
            Seat(row=2, name="c", holder=None),
            Seat(row=2, name="d", holder=7),
        ],
        ignore_conflicts=True,
    )

    assert list(Seat.objects.order_by("row", "name").values_list("row", "name")) == [(1, "a"), (2, "b"), (2, "d")]


def test_many_to_many_add_writes_what_is_not_there(apps: None, make_tables: Any) -> None:
    class Label(models.Model):
        class Meta:
            app_label = "dsql"

    class Item(models.Model):
        labels = models.ManyToManyField(Label)

        class Meta:
            app_label = "dsql"

    make_tables(Label, Item)
    item = Item.objects.create()
    labels = [Label.objects.create() for _ in range(4)]
    item.labels.add(labels[0])

    with sent() as statements:
        item.labels.add(*labels)

    assert set(Item.labels.through.objects.values_list("label_id", flat=True)) == {label.id for label in labels}
    assert [sql for sql in statements if "ON CONFLICT" in sql] == []


def test_values_that_the_database_makes_are_inserted_row_by_row(apps: None, make_tables: Any) -> None:
    Tag = tags()
    make_tables(Tag)

    with sent() as statements:
        rows = [Tag(shop=1, name="a", code=Lower(models.Value(code))) for code in "xX"]
        Tag.objects.bulk_create([*rows, Tag(shop=1, name="b", code="x"), Tag(shop=1, name="c")], ignore_conflicts=True)

    assert names(Tag) == ["a", "c"]
    assert len(inserts(statements)) == 4


def test_a_model_without_a_key_that_could_be_met_is_inserted_row_by_row(apps: None, make_tables: Any) -> None:
    class Note(models.Model):
        text = models.TextField()

        class Meta:
            app_label = "dsql"

    make_tables(Note)
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX ASYNC note_text ON dsql_note (text)")  # Django knows nothing of it

    with sent() as statements:
        Note.objects.bulk_create([Note(text=text) for text in "aab"], ignore_conflicts=True)

    assert sorted(Note.objects.values_list("text", flat=True)) == ["a", "b"]
    assert len(inserts(statements)) == 3


def test_a_key_taken_meanwhile_is_a_conflict_that_the_retry_clears(apps: None, make_tables: Any) -> None:
    Tag = tags()
    make_tables(Tag)
    attempts = []

    def write() -> None:
        attempts.append(Tag.objects.count())  # the snapshot
        if len(attempts) == 1:
            take("b")
        Tag.objects.bulk_create([Tag(shop=1, name=name) for name in "abc"], ignore_conflicts=True)

    run_transaction(write)

    assert attempts == [0, 1]
    assert names(Tag) == ["a", "b", "c"]


def test_without_a_retry_the_caller_sees_the_conflict_and_nothing_is_written(apps: None, make_tables: Any) -> None:
    Tag = tags()
    make_tables(Tag)

    @transaction.atomic
    def write() -> None:
        Tag.objects.count()  # the snapshot
        take("b")
        Tag.objects.bulk_create([Tag(shop=1, name=name) for name in "abc"], ignore_conflicts=True)

    with pytest.raises(OperationalError, match="OC000"):
        write()

    assert names(Tag) == ["b"]


def take(name: str) -> None:
    """Another session writes the row."""
    with other_connection() as other:
        other.execute("INSERT INTO dsql_tag VALUES (gen_random_uuid(), 1, %s, NULL, NULL, true)", [name])
