"""Model fields."""

from __future__ import annotations

from typing import Any

from django.db import models

from dsql.ids import uuid7


class UUIDv7Field(models.UUIDField):
    """A UUID that sorts by the time it was made; `UUIDv7Field(primary_key=True)` is a key.

    Rows are stored in key order, so a table that takes a flood of inserts wants a key that begins with
    something random instead.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("default", uuid7)
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        if self.default is uuid7:
            del kwargs["default"]
        kwargs.pop("editable", None)
        if self.editable:
            kwargs["editable"] = True
        return name, path, args, kwargs
