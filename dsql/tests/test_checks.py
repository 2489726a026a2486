"""System checks: every finding of the table in `dsql.checks`, and the quiet of models that are fine."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps as installed_apps
from django.apps.registry import Apps
from django.contrib.auth.models import Group
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, HStoreField, IntegerRangeField
from django.contrib.postgres.indexes import BrinIndex, BTreeIndex, GinIndex, OpClass
from django.contrib.postgres.search import SearchVectorField
from django.core.management import call_command
from django.db import connection, models
from django.db.models import F
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Collate, Lower

from dsql import checks
from dsql.fields import UUIDv7Field


def make(meta: dict[str, Any] | None = None, registry: Apps | None = None, **fields: Any) -> Any:
    """A model of these fields, with a UUIDv7 key unless they have one."""
    has_key = any(getattr(field, "primary_key", False) for field in fields.values())
    attributes: dict[str, Any] = {} if has_key else {"id": UUIDv7Field(primary_key=True)}
    options = {"app_label": "dsql_tests", "apps": registry or Apps(), **(meta or {})}
    attributes |= {**fields, "Meta": type("Meta", (), options), "__module__": __name__}
    return type("Thing", (models.Model,), attributes)


def errors(model: Any) -> list[str | None]:
    found = checks.find_errors(model, connection)
    assert all(message.hint for message in found), "every refusal says what to do instead"
    return [message.id for message in found]


def advice(model: Any, *, is_large: bool = False) -> list[str | None]:
    found = checks.find_advice(model, is_large=is_large)
    assert all(message.hint for message in found)
    return [message.id for message in found]


class BitField(models.Field):
    def db_type(self, connection: Any) -> str:
        return "bit varying(8)"


class ZonedTimeField(models.Field):
    def db_type(self, connection: Any) -> str:
        return "time with time zone"


class NumericField(models.Field):
    def db_type(self, connection: Any) -> str:
        return "numeric"


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        (ArrayField(models.IntegerField()), "JSONField"),
        (HStoreField(), "JSONField"),
        (IntegerRangeField(), "two columns"),
        (SearchVectorField(), "search service"),
        (BitField(), "a type that DSQL has"),
    ],
)
def test_a_refused_type_comes_with_another(field: Any, hint: str) -> None:
    (message,) = checks.find_errors(make(value=field), connection)

    assert message.id == "dsql.E001"
    assert hint in message.hint


def test_an_index_too_many() -> None:
    model = make(**{f"n{n}": models.IntegerField(db_index=True) for n in range(24)})

    assert errors(model) == ["dsql.E002"]


def test_unique_guards_foreign_keys_and_partial_indexes_count() -> None:
    registry = Apps()
    parent = make(registry=registry, meta={"db_table": "parent"})
    fields: dict[str, Any] = {f"n{n}": models.IntegerField(db_index=True) for n in range(18)}
    fields |= {"slug": models.IntegerField(unique=True), "parent": models.ForeignKey(parent, models.CASCADE)}
    meta = {
        "unique_together": [("n0", "n1")],
        "indexes": [models.Index(fields=["n2"], condition=models.Q(n3=1), name="partial")],
        "constraints": [
            models.UniqueConstraint(fields=["n4"], name="unique_four"),
            models.CheckConstraint(condition=models.Q(n5=1), name="no_index"),
        ],
    }
    full = make(registry=Apps(), meta=meta, **fields)

    assert len(checks.keys_of(full)) == 24
    assert errors(full) == []


@pytest.mark.parametrize(
    "meta",
    [
        {"unique_together": [tuple("abcdefghi")]},
        {"indexes": [models.Index(fields=list("abcdefghi"), name="wide")]},
        {"constraints": [models.UniqueConstraint(fields=list("abcdefghi"), name="wide")]},
        {"indexes": [models.Index(*(Lower(name) for name in "abcdefghi"), name="wide")]},
    ],
)
def test_a_key_of_nine_columns(meta: dict[str, Any]) -> None:
    assert errors(make(meta=meta, **{name: models.CharField(max_length=9) for name in "abcdefghi"})) == ["dsql.E003"]


def test_a_composite_primary_key_of_nine_columns() -> None:
    fields: dict[str, Any] = {name: models.IntegerField() for name in "abcdefghi"}

    assert errors(make(pk=models.CompositePrimaryKey(*"abcdefghi"), **fields)) == ["dsql.E003"]


@pytest.mark.parametrize(
    ("found", "meta"),
    [
        (
            "dsql.E004",
            {
                "constraints": [
                    models.UniqueConstraint(fields=["n"], name="later", deferrable=models.Deferrable.DEFERRED)
                ]
            },
        ),
        ("dsql.E005", {"indexes": [models.Index(Collate("name", "de-x-icu"), name="german")]}),
        ("dsql.E006", {"indexes": [GinIndex(fields=["name"], name="gin")]}),
        ("dsql.E006", {"indexes": [BrinIndex(fields=["n"], name="brin")]}),
        ("dsql.E006", {"indexes": [BTreeIndex(fields=["n"], name="btree", fillfactor=80)]}),
        ("dsql.E007", {"indexes": [models.Index(fields=["name"], opclasses=["gin_trgm_ops"], name="trigram")]}),
        ("dsql.E007", {"indexes": [models.Index(OpClass("name", name="text_ops"), name="ops")]}),
        ("dsql.E008", {"constraints": [ExclusionConstraint(expressions=[("n", "=")], name="apart")]}),
        ("dsql.E009", {"indexes": [models.Index(fields=["data"], name="json")]}),
        ("dsql.E009", {"indexes": [models.Index("data__kind", name="json")]}),
        ("dsql.E009", {"indexes": [models.Index(F("data__kind").desc(), name="json")]}),
        ("dsql.E009", {"constraints": [models.UniqueConstraint(KeyTransform("kind", "data"), name="json")]}),
        ("dsql.E009", {"indexes": [models.Index(Cast("name", models.BinaryField()), name="bytes")]}),
        ("dsql.E009", {"indexes": [models.Index(Cast("name", ArrayField(models.TextField())), name="array")]}),
    ],
)
def test_keys_that_dsql_refuses(found: str, meta: dict[str, Any]) -> None:
    model = make(meta=meta, n=models.IntegerField(), name=models.CharField(max_length=9), data=models.JSONField())

    assert errors(model) == [found]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (models.BinaryField(unique=True), "The index of value: datatype bytea is not supported in a key."),
        (models.DurationField(db_index=True), "The index of value: datatype interval is not supported in a key."),
        (models.DurationField(primary_key=True), "The primary key: datatype interval is not supported in a key."),
        (models.JSONField(unique=True), "The index of value: datatype jsonb is not supported in a key."),
        (ZonedTimeField(unique=True), "The index of value: datatype time with time zone is not supported in a key."),
    ],
)
def test_a_key_of_a_type_that_no_key_can_have(field: Any, words: str) -> None:
    found = checks.find_errors(make(value=field), connection)

    assert [(message.id, message.msg) for message in found] == [("dsql.E009", words)]


def test_keys_that_dsql_takes() -> None:
    indexes = [
        BTreeIndex(fields=["name"], name="plain_all_the_same"),
        models.Index(KeyTextTransform("kind", "data"), name="inside_json"),
        models.Index(fields=["name"], opclasses=["text_pattern_ops"], name="prefixes"),
        models.Index(Lower("name"), name="any_case"),
    ]
    model = make({"indexes": indexes}, name=models.CharField(max_length=9), data=models.JSONField())

    assert errors(model) == []
    assert advice(model) == []


@pytest.mark.parametrize(
    ("found", "field"),
    [
        ("dsql.E005", models.CharField(max_length=9, db_collation="de-x-icu")),
        ("dsql.E010", NumericField()),
        (
            "dsql.E012",
            models.GeneratedField(expression=F("n") + 1, output_field=models.IntegerField(), db_persist=False),
        ),
    ],
)
def test_columns_that_dsql_refuses(found: str, field: Any) -> None:
    assert errors(make(n=models.IntegerField(), value=field)) == [found]


def test_a_column_too_many() -> None:
    assert errors(make(**{f"n{n}": models.IntegerField() for n in range(255)})) == ["dsql.E011"]


# -- advice


@pytest.mark.parametrize(
    "index",
    [models.Index(fields=["-n"], name="down"), models.Index(F("n").desc(), name="down")],
)
def test_a_descending_key_is_made_ascending(index: models.Index) -> None:
    assert advice(make({"indexes": [index]}, n=models.IntegerField())) == ["dsql.W001"]


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (models.TextField(unique=True), ["dsql.W002"]),
        (models.CharField(max_length=1009, db_index=True), ["dsql.W002"]),
        (models.CharField(max_length=1008, db_index=True), []),  # 16 bytes are the primary key
        (models.CharField(max_length=1025, primary_key=True), ["dsql.W002"]),
    ],
)
def test_a_key_that_may_be_too_wide(field: Any, found: list[str]) -> None:
    assert advice(make(value=field)) == found


@pytest.mark.parametrize(
    ("on_delete", "found"),
    [(models.CASCADE, ["dsql.W003"]), (models.SET_NULL, ["dsql.W003"]), (models.PROTECT, []), (models.DO_NOTHING, [])],
)
def test_rows_that_go_with_their_parent_are_found_by_an_index(on_delete: Any, found: list[str]) -> None:
    assert advice(make(value=models.ForeignKey("self", on_delete, null=True, db_index=False))) == found


def test_an_index_that_begins_with_the_foreign_key_will_do() -> None:
    column = models.ForeignKey("self", models.CASCADE, null=True, db_index=False)
    meta = {"constraints": [models.UniqueConstraint(fields=["parent", "n"], name="one_each")]}

    assert advice(make(meta, parent=column, n=models.IntegerField())) == []


def test_a_large_model_and_its_parent() -> None:
    def model(on_delete: Any) -> Any:
        return make(id=models.BigAutoField(primary_key=True), parent=models.ForeignKey("self", on_delete, null=True))

    assert advice(model(models.CASCADE)) == []
    assert advice(model(models.CASCADE), is_large=True) == ["dsql.W004", "dsql.W005"]
    assert advice(model(models.SET_NULL), is_large=True) == ["dsql.W004", "dsql.W005"]
    assert advice(model(models.PROTECT), is_large=True) == ["dsql.W005"]


def test_values_larger_than_a_megabyte() -> None:
    assert advice(make(value=models.BinaryField(max_length=1024 * 1024))) == []
    assert advice(make(value=models.BinaryField(max_length=1024 * 1024 + 1))) == ["dsql.W006"]


# -- all models


def test_the_installed_models_pass() -> None:
    assert [message for message in checks.check_models() if message.is_serious()] == []
    call_command("check", "--tag=models")  # exits when there is an error


def test_large_models_are_named_by_a_setting(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DSQL_LARGE_MODELS = ["auth.Group", "auth.Gruop", "nonsense"]

    assert _ids_about_groups() == ["dsql.E013", "dsql.E013"]  # a package gets no advice: nobody here can follow it
    monkeypatch.setattr(checks, "_is_package", lambda config: False)
    assert _ids_about_groups() == ["dsql.E013", "dsql.E013", "dsql.W005"]


def _ids_about_groups() -> list[str | None]:
    found = checks.check_models([installed_apps.get_app_config("auth")])
    key = Group._meta.pk
    return [message.id for message in found if message.obj in (None, key)]
