"""System checks: models that DSQL cannot hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections, router
from django.db.models import Model, UniqueConstraint

from dsql.strict.rules import judge
from dsql.strict.tables import KEY_COLUMNS_MAX

INDEXES_MAX = 24  # a table's, with its primary key and unique guards


@register(Tags.models)
def check_models(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Column types, numbers of indexes and widths of keys, for every model that lives in a DSQL database."""
    chosen = apps.get_app_configs() if app_configs is None else app_configs
    models = [model for config in chosen for model in config.get_models(include_auto_created=True)]
    messages: list[CheckMessage] = []
    for alias in connections:
        connection = connections[alias]
        if connection.settings_dict["ENGINE"] != "dsql":
            continue
        for model in models:
            if model._meta.managed and not model._meta.proxy and router.allow_migrate_model(alias, model):
                messages += [*_column_errors(model, connection), *_index_errors(model, connection)]
    return messages


def _column_errors(model: type[Model], connection: Any) -> Iterator[CheckMessage]:
    for field in model._meta.local_fields:
        column_type = field.db_type(connection)
        refusal = judge(f"CREATE TABLE t (c {column_type})").refusal if column_type else None
        if refusal:
            yield Error(f"DSQL refuses its column: {refusal.message}.", obj=field, id="dsql.E001")


def _index_errors(model: type[Model], connection: Any) -> Iterator[CheckMessage]:
    options = model._meta
    uniques = [constraint for constraint in options.constraints if isinstance(constraint, UniqueConstraint)]
    columns = [field for field in options.local_fields if getattr(field, "db_index", False) or field.unique]
    keys = [
        *options.unique_together,
        *(unique.fields for unique in uniques),
        *(index.fields for index in options.indexes),
    ]
    count = len(columns) + len(keys)
    if count > INDEXES_MAX:
        yield Error(f"{count} indexes; DSQL takes {INDEXES_MAX} a table.", obj=model, id="dsql.E002")
    for key in keys:
        if len(key) > KEY_COLUMNS_MAX:
            yield Error(f"A key of {len(key)} columns; DSQL takes {KEY_COLUMNS_MAX}.", obj=model, id="dsql.E003")
    for unique in uniques:
        if unique.deferrable is not None:
            yield Error(f"Constraint {unique.name} is deferrable; DSQL has none.", obj=model, id="dsql.E004")
