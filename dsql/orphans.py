"""Rows whose parent is missing. Constraints between tables are skipped, so this is how the promise is checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.models import ForeignKey, Model


@dataclass(frozen=True, slots=True)
class Relation:
    """One column that refers to a row of another table."""

    table: str
    column: str
    parent_table: str
    parent_column: str

    def sql(self) -> str:
        """Counts the rows whose parent is missing."""
        return (  # the names come from the models
            f'SELECT count(*) FROM "{self.table}" AS child WHERE child."{self.column}" IS NOT NULL AND NOT EXISTS '  # noqa: S608
            f'(SELECT 1 FROM "{self.parent_table}" AS parent WHERE parent."{self.parent_column}" = child."{self.column}")'
        )


@dataclass(frozen=True, slots=True)
class Orphan:
    """`count` rows of `table` refer through `column` to rows that `parent_table` does not have."""

    table: str
    column: str
    parent_table: str
    count: int


def relations(using: str = DEFAULT_DB_ALIAS, tables: Collection[str] | None = None) -> Iterator[Relation]:
    """Every relation of the installed models that live in `using`, many-to-many tables included."""
    seen = set()
    for model in apps.get_models(include_auto_created=True):
        if not _has_table(model, using) or (tables is not None and model._meta.db_table not in tables):
            continue
        relating: Iterable[Any] = (field for field in model._meta.local_fields if isinstance(field, ForeignKey))
        for field in relating:
            # db_constraint=False says that a missing parent is expected.
            if not field.db_constraint:
                continue
            target: Any = field.target_field
            relation = Relation(model._meta.db_table, field.column, target.model._meta.db_table, target.column)
            if relation not in seen and _has_table(target.model, using):
                seen.add(relation)
                yield relation


def find_orphans(using: str = DEFAULT_DB_ALIAS, tables: Collection[str] | None = None) -> list[Orphan]:
    """The relations that have orphans, in the order of the installed models; `tables` narrows the search."""
    found = []
    with connections[using].cursor() as cursor:
        for relation in relations(using, tables):
            cursor.execute(relation.sql())
            (count,) = cursor.fetchone()
            if count:
                found.append(Orphan(relation.table, relation.column, relation.parent_table, count))
    return found


def _has_table(model: type[Model], using: str) -> bool:
    options = model._meta
    return options.managed and not options.proxy and not options.swapped and router.allow_migrate_model(using, model)
