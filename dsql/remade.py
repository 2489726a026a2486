"""What a model looks like after one of its fields was altered or removed."""

from __future__ import annotations

import copy
from typing import Any

from django.apps.registry import Apps
from django.db.models import Model


def altered_model(model: type[Model], old_field: Any, new_field: Any) -> Any:
    """`model` with `new_field` in the place of `old_field`.

    In a migration that is the model `new_field` belongs to. A caller of the schema editor may as well hand over a field
    that belongs to none, or to the model as it was.
    """
    target = getattr(new_field, "model", None)
    if target is not None and any(field is new_field for field in target._meta.local_fields):
        return target
    others = {field.name: _detached(field, model) for field in model._meta.local_concrete_fields}
    if new_field.primary_key:
        # A table has one key: an automatic one goes, a chosen one becomes an ordinary column.
        for name, field in tuple(others.items()):
            if field.primary_key and field.auto_created and name != old_field.name:
                del others[name]
            field.primary_key = False
    altered = copy.copy(new_field)
    altered.creation_counter = old_field.creation_counter  # columns keep their order
    renamed = {old_field.name: new_field.name}
    fields = {renamed.get(name, name): altered if name in renamed else field for name, field in others.items()}
    fields.setdefault(new_field.name, altered)
    return _remade(model, fields, renamed)


def model_without(model: type[Model], field: Any) -> Any:
    """`model` without `field`. One that is left without a key gets Django's automatic one, as in a migration."""
    others = [other for other in model._meta.local_concrete_fields if other.name != field.name]
    return _remade(model, {other.name: _detached(other, model) for other in others}, {})


def _remade(model: type[Model], fields: dict[str, Any], renamed: dict[str, str]) -> Any:
    options = model._meta
    meta = {
        "apps": Apps(),
        "app_label": options.app_label,
        "db_table": options.db_table,
        "unique_together": [[renamed.get(name, name) for name in names] for names in options.unique_together],
        "indexes": options.indexes,
        "constraints": options.constraints,
    }
    body = {**copy.deepcopy(fields), "Meta": type("Meta", (), meta), "__module__": model.__module__}
    return type(options.object_name or model.__name__, model.__bases__, body)


def _detached(field: Any, model: type[Model]) -> Any:
    # A relation of the model to itself must find its field anew; it may be the one that is altered.
    is_own = field.is_relation and field.remote_field.model is model
    return field.clone() if is_own else copy.copy(field)
