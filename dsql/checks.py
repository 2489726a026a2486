"""System checks: models that DSQL cannot hold, and models that it holds with a surprise.

Errors are what DSQL refuses; a migration would fail on them.

| id | finding |
|---|---|
| dsql.E001 | a column type that DSQL refuses (arrays, hstore, ranges, tsvector, inet, ...) |
| dsql.E002 | more than 24 indexes, counting the primary key, unique guards and foreign keys |
| dsql.E003 | a key of more than 8 columns |
| dsql.E004 | a deferrable unique constraint |
| dsql.E005 | a collation |
| dsql.E006 | an index of another kind than the plain one (GIN, GiST, hash, BRIN, ...), or with storage parameters |
| dsql.E007 | an operator class |
| dsql.E008 | an exclusion constraint |
| dsql.E009 | a key over json, binary data, a duration, a time with a zone or an array: a column, or what an expression gives |
| dsql.E010 | decimals without a precision, which DSQL takes for numeric(18, 6) |
| dsql.E011 | more than 255 columns |
| dsql.E012 | a virtual generated column |
| dsql.E013 | `DSQL_LARGE_MODELS` names a model that is not installed |

Warnings are advice, given only for apps outside site-packages: nobody can act on it in somebody else's package.
Each can be silenced in `SILENCED_SYSTEM_CHECKS`.

| id | finding |
|---|---|
| dsql.W001 | a descending key: made, but ascending, as an index is read both ways |
| dsql.W002 | a key of texts that may be wider than the 1 KiB that DSQL stores |
| dsql.W003 | a foreign key whose rows go with their parent, without an index: deleting a parent reads the whole table |
| dsql.W004 | a large model whose rows change when their parent is deleted, all in one transaction of at most 3,000 rows |
| dsql.W005 | a large model with an identity key: all inserts wait for one sequence |
| dsql.W006 | a value that may be larger than the 1 MiB that DSQL stores |

How many rows a table holds cannot be read off the models, so W004 and W005 look only at the models that the setting
`DSQL_LARGE_MODELS = ["app.Model", ...]` names: those of which one parent may have thousands of rows.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.indexes import BTreeIndex, OpClass, PostgresIndex
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import FieldError
from django.db import connections, router
from django.db.models import (
    CASCADE,
    DO_NOTHING,
    PROTECT,
    RESTRICT,
    AutoField,
    BigAutoField,
    CompositePrimaryKey,
    ForeignKey,
    Model,
    SmallAutoField,
    UniqueConstraint,
)
from django.db.models.expressions import OrderBy
from django.db.models.functions import Collate
from django.db.models.sql import Query

from dsql.strict.refusals import LIMIT_EXCEEDED
from dsql.strict.rules import judge
from dsql.strict.tables import KEY_COLUMNS_MAX

COLUMNS_MAX = 255  # documented; clusters take one more
INDEXES_MAX = 24  # a table's, with its primary key and unique guards
KEY_BYTES_MAX = 1024  # of the values in one key; an index also holds the primary key
VALUE_BYTES_MAX = 1024 * 1024
FIXED_BYTES = 16  # the widest value of a type whose size does not depend on the value, a uuid
NO_CHANGE_ON_DELETE = (DO_NOTHING, PROTECT, RESTRICT)
TEXT_FIELDS = ("CharField", "FileField", "FilePathField", "SlugField", "TextField", "BinaryField")

# What to do instead of a column type: a pattern for the refused type, and the advice.
INSTEAD_OF_TYPE = (
    (r"\]$", "Use a JSONField, or a table with a row for each element."),
    (r"^hstore$", "Use a JSONField."),
    (r"range$", "Use two columns, and a CheckConstraint that puts them in order."),
    (r"^ts(vector|query)$", "DSQL has no full-text search: use a search service, or words in a table of their own."),
    (r"^citext$", "Use a CharField, and a UniqueConstraint on Lower() where case must not matter."),
    (r"^(inet|cidr|macaddr8?)$", "Use a GenericIPAddressField, which is text here, or a CharField."),
    (r"^(big|small)?serial$", "Use AutoField, which is a bigint identity here, or dsql.fields.UUIDv7Field."),
    (r"", "Use a type that DSQL has: integers, numeric, text, booleans, dates and times, uuid, bytea or json."),
)
# What to do instead of a key over a type: a pattern for the type, and the advice.
INSTEAD_OF_KEY = (
    (r"^jsonb?$", "Index a value inside it: Index(KeyTextTransform('name', 'data'), name=...)."),
    (r"^bytea$", "Index a hash of it, as hexadecimal text or in a UUIDField."),
    (r"^interval$", "Keep it as a whole number of seconds or microseconds, in a BigIntegerField."),
    (r"", "Index text or a number that is made from it."),
)


@register(Tags.models)
def check_models(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Everything in the table above, for every model that lives in a DSQL database."""
    chosen = list(apps.get_app_configs() if app_configs is None else app_configs)
    large, messages = _large_models()
    for alias in connections:
        connection = connections[alias]
        if connection.settings_dict["ENGINE"] != "dsql":
            continue
        for config in chosen:
            for model in config.get_models(include_auto_created=True):
                if not _has_table(model, alias):
                    continue
                messages += find_errors(model, connection)
                if not _is_package(config):
                    messages += find_advice(model, is_large=model in large)
    return messages


def find_errors(model: type[Model], connection: Any) -> list[CheckMessage]:
    """What DSQL refuses about `model`."""
    return [
        *_column_errors(model, connection),
        *_key_errors(model, connection),
        *_constraint_errors(model),
    ]


def find_advice(model: type[Model], *, is_large: bool = False) -> list[CheckMessage]:
    """What works otherwise than the author of `model` may think."""
    advice = [*_key_advice(model), *_relation_advice(model), *_value_advice(model)]
    return [*advice, *_large_advice(model)] if is_large else advice


def _has_table(model: type[Model], alias: str) -> bool:
    options = model._meta
    return options.managed and not options.proxy and router.allow_migrate_model(alias, model)


def _is_package(config: AppConfig) -> bool:
    """Whether the app was installed with pip and is thus not the project's own."""
    homes = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    return any(Path(config.path).is_relative_to(home) for home in homes)


def _large_models() -> tuple[set[type[Model]], list[CheckMessage]]:
    found: set[type[Model]] = set()
    unknown: list[CheckMessage] = []
    for label in getattr(settings, "DSQL_LARGE_MODELS", ()):
        try:
            found.add(apps.get_model(label))
        except (LookupError, ValueError):
            hint = "Write app_label.ModelName, of an installed app."
            unknown.append(Error(f"DSQL_LARGE_MODELS names {label!r}, which is no model.", hint=hint, id="dsql.E013"))
    return found, unknown


# -- columns


def _column_errors(model: type[Model], connection: Any) -> Iterator[CheckMessage]:
    fields: Any = model._meta.local_fields  # the stubs know no generated fields
    columns = [(column, column_type) for column in fields if (column_type := column.db_type(connection))]
    if len(columns) > COLUMNS_MAX:
        hint = "Move some into a second model with a OneToOneField, or into a JSONField."
        text = f"{len(columns)} columns; DSQL takes {COLUMNS_MAX} a table."
        yield Error(text, hint=hint, obj=model, id="dsql.E011")
    for column, column_type in columns:
        if refusal := judge(f"CREATE TABLE t (c {column_type})").refusal:
            text = f"DSQL refuses its column: {refusal.message}."
            yield Error(text, hint=_instead(INSTEAD_OF_TYPE, column_type), obj=column, id="dsql.E001")
        if column_type.lower() in ("numeric", "decimal"):
            hint = "Give max_digits and decimal_places."
            text = "Without a precision DSQL makes it numeric(18, 6) and rounds."
            yield Error(text, hint=hint, obj=column, id="dsql.E010")
        if getattr(column, "db_collation", None):
            hint = "Remove db_collation: text is ordered by its bytes. For case, compare and index Lower()."
            yield Error("DSQL has no collations but C.", hint=hint, obj=column, id="dsql.E005")
        if column.generated and not column.db_persist:
            hint = "Use db_persist=True; the column must then come together with its table."
            yield Error("DSQL has no virtual generated columns.", hint=hint, obj=column, id="dsql.E012")


def _instead(advice: Sequence[tuple[str, str]], column_type: str) -> str:
    return next(text for pattern, text in advice if re.search(pattern, column_type.lower()))


def _value_advice(model: type[Model]) -> Iterator[CheckMessage]:
    for column in model._meta.local_fields:
        if (getattr(column, "max_length", None) or 0) > VALUE_BYTES_MAX:
            hint = "Keep it in a file store and its name in the table, or in several rows."
            yield Warning("Its values may be larger than 1 MiB.", hint=hint, obj=column, id="dsql.W006")


# -- keys


@dataclass(frozen=True)
class Key:
    """One index of a table: what it is called in messages, and what it is made of."""

    label: str
    names: tuple[str, ...] = ()  # of fields, with the "-" of a descending one
    expressions: tuple[Any, ...] = ()
    opclasses: tuple[str, ...] = ()
    source: Any = field(default=None, compare=False)  # the Index or constraint it comes from

    @property
    def width(self) -> int:
        return len(self.names) + len(self.expressions)

    def fields_of(self, model: type[Model]) -> list[Any]:
        return [model._meta.get_field(name.removeprefix("-")) for name in self.names]

    def parts(self) -> Iterator[Any]:
        """Every expression in the key, at any depth."""
        for expression in self.expressions:
            yield from expression.flatten() if hasattr(expression, "flatten") else [expression]


def keys_of(model: type[Model]) -> list[Key]:
    """Every index that the table will have, the primary key first."""
    options: Any = model._meta
    keys = [Key("The primary key", tuple(_primary_key_names(options.pk)))]
    for column in options.local_fields:
        if not column.primary_key and (column.unique or column.db_index):
            keys.append(Key(f"The index of {column.name}", (column.name,)))
    keys += [Key(f"unique_together of {', '.join(names)}", tuple(names)) for names in options.unique_together]
    for source in (*options.constraints, *options.indexes):
        if isinstance(source, UniqueConstraint) or source in options.indexes:
            names = getattr(source, "fields_orders", None)
            named = tuple(f"-{n}" if order else n for n, order in names) if names else tuple(source.fields)
            opclasses = tuple(source.opclasses)
            keys.append(Key(f"{source.name}", named, tuple(source.expressions), opclasses, source))
    return keys


def _primary_key_names(key: Any) -> Sequence[str]:
    return key.field_names if isinstance(key, CompositePrimaryKey) else (key.name,)


def _key_errors(model: type[Model], connection: Any) -> Iterator[CheckMessage]:
    keys = keys_of(model)
    if len(keys) > INDEXES_MAX:
        hint = "Remove indexes that no query needs; db_index=False takes one off a foreign key that is never followed."
        text = f"{len(keys)} indexes; DSQL takes {INDEXES_MAX} a table."
        yield Error(text, hint=hint, obj=model, id="dsql.E002")
    for key in keys:
        if key.width > KEY_COLUMNS_MAX:
            text = f"{key.label}: a key of {key.width} columns; DSQL takes {KEY_COLUMNS_MAX}."
            hint = "Put the rest into include=, or make a stored column of several (a hash, a joined text)."
            yield Error(text, hint=hint, obj=model, id="dsql.E003")
        if isinstance(key.source, PostgresIndex) and not _is_plain(key.source):
            text = f"{key.label}: DSQL has no {type(key.source).__name__}."
            hint = (
                "Use models.Index, on an expression such as KeyTextTransform('name', 'data') for a value inside json."
            )
            yield Error(text, hint=hint, obj=model, id="dsql.E006")
        if any(not name.endswith("_pattern_ops") for name in key.opclasses) or _has(key, OpClass):
            text = f"{key.label}: DSQL has no operator classes."
            hint = "Leave them out; the plain index serves LIKE 'prefix%' here."
            yield Error(text, hint=hint, obj=model, id="dsql.E007")
        if _has(key, Collate):
            hint = "Leave Collate() out, or index Lower()."
            yield Error(f"{key.label}: DSQL has no collations but C.", hint=hint, obj=model, id="dsql.E005")
        for column_type, refusal in _refused_types(key, model, connection):
            hint = _instead(INSTEAD_OF_KEY, column_type)
            yield Error(f"{key.label}: {refusal}.", hint=hint, obj=model, id="dsql.E009")


def _is_plain(index: PostgresIndex) -> bool:
    return isinstance(index, BTreeIndex) and not index.get_with_params()


def _refused_types(key: Key, model: type[Model], connection: Any) -> Iterator[tuple[str, str]]:
    """The types in `key` that DSQL takes in none, and its words about each; of expressions as far as Django knows them."""
    types = [column.db_type(connection) for column in key.fields_of(model)]
    types = [column_type for column_type in types if column_type and not _refusal_of(column_type)]
    for expression in key.expressions:
        try:
            value = expression.resolve_expression(Query(model, alias_cols=False))
            types.append(value.output_field.db_type(connection))
        except FieldError:
            pass  # of mixed types: what the database makes of them, it alone knows
    for column_type in dict.fromkeys(filter(None, types)):
        if refusal := _refusal_of(column_type) or _refusal_of(column_type, "UNIQUE"):
            yield column_type, refusal


def _refusal_of(column_type: str, guard: str = "") -> str | None:
    """Why DSQL has no columns of this type, or none in a key."""
    refusal = judge(f"CREATE TABLE t (c {column_type} {guard})").refusal
    return refusal.message if refusal and refusal.sqlstate != LIMIT_EXCEEDED else None


def _constraint_errors(model: type[Model]) -> Iterator[CheckMessage]:
    for constraint in model._meta.constraints:
        if isinstance(constraint, UniqueConstraint) and constraint.deferrable is not None:
            text = f"Constraint {constraint.name} is deferrable; DSQL has none."
            hint = "Remove deferrable=; to swap two values, write them through a third or in two transactions."
            yield Error(text, hint=hint, obj=model, id="dsql.E004")
        if isinstance(constraint, ExclusionConstraint):
            text = f"Constraint {constraint.name}: DSQL has no exclusion constraints."
            hint = "Let every writer change one guard row, or give each slot a row with a unique key."
            yield Error(text, hint=hint, obj=model, id="dsql.E008")


def _key_advice(model: type[Model]) -> Iterator[CheckMessage]:
    primary, *others = keys_of(model)
    primary_bytes = _bytes_of(primary.fields_of(model))
    if _is_wide(primary_bytes):
        yield _wide_key(model, primary)
    for key in others:
        if any(name.startswith("-") for name in key.names) or _descends(key):
            text = f"{key.label}: DSQL makes no descending keys; it is made ascending."
            hint = "Nothing to do when the whole key has one direction. A mixed order is sorted by the query."
            yield Warning(text, hint=hint, obj=model, id="dsql.W001")
        own_bytes = _bytes_of(key.fields_of(model))
        if not _is_wide(primary_bytes) and _is_wide(own_bytes, primary_bytes):
            yield _wide_key(model, key)


def _wide_key(model: type[Model], key: Key) -> CheckMessage:
    text = f"{key.label}: values may be wider than the {KEY_BYTES_MAX} bytes that DSQL takes in a key."
    hint = "Give its text fields a smaller max_length, or index a hash of them. A write of a wider key is refused."
    return Warning(text, hint=hint, obj=model, id="dsql.W002")


def _bytes_of(columns: Sequence[Any]) -> int | None:
    """How many bytes the values may take, a character counted as one; None for texts of any length."""
    total = 0
    for column in columns:
        target = column.target_field if isinstance(column, ForeignKey) else column
        if target.get_internal_type() not in TEXT_FIELDS:
            total += FIXED_BYTES
        elif target.max_length is None:
            return None
        else:
            total += target.max_length
    return total


def _is_wide(*parts: int | None) -> bool:
    return any(part is None for part in parts) or sum(part or 0 for part in parts) > KEY_BYTES_MAX


def _has(key: Key, kind: type) -> bool:
    return any(isinstance(part, kind) for part in key.parts())


def _descends(key: Key) -> bool:
    return any(isinstance(part, OrderBy) and part.descending for part in key.parts())


# -- relations


def _relation_advice(model: type[Model]) -> Iterator[CheckMessage]:
    leading = {key.names[0].removeprefix("-") for key in keys_of(model) if key.names}
    for column in model._meta.local_fields:
        # With PROTECT a missing index is a choice: such parents are hardly ever deleted.
        if _changes_with_parent(column) and column.name not in leading and column.attname not in leading:
            hint = "Leave out db_index=False, or begin another index with it."
            text = "It has no index, so deleting one of its parents reads the whole table."
            yield Warning(text, hint=hint, obj=column, id="dsql.W003")


def _changes_with_parent(column: Any) -> bool:
    """Whether rows are written when the row that `column` refers to is deleted."""
    return isinstance(column, ForeignKey) and column.remote_field.on_delete not in NO_CHANGE_ON_DELETE


def _large_advice(model: type[Model]) -> Iterator[CheckMessage]:
    columns: Any = model._meta.local_fields
    for column in columns:
        if _changes_with_parent(column):
            verb = "deletes" if column.remote_field.on_delete is CASCADE else "changes"
            text = f"Deleting its parent {verb} all its rows of this large model in one transaction of at most 3,000."
            hint = "Use PROTECT, and delete the rows in batches before their parent."
            yield Warning(text, hint=hint, obj=column, id="dsql.W004")
    key = model._meta.pk
    if isinstance(key, AutoField | BigAutoField | SmallAutoField):
        hint = (
            "Use dsql.fields.UUIDv7Field(primary_key=True), or a UUIDField with default=uuid4 for a flood of inserts."
        )
        yield Warning("Every insert waits for its one sequence.", hint=hint, obj=key, id="dsql.W005")
