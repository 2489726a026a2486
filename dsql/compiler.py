"""Compilers of this backend: Django's own for PostgreSQL, but for inserts that ignore conflicts."""

# The stubs leave out the private half of Django's compilers.
# mypy: disable-error-code="attr-defined, assignment, misc, override"

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql.compiler import (
    SQLAggregateCompiler,
    SQLCompiler,
    SQLDeleteCompiler,
    SQLUpdateCompiler,
)
from django.db.backends.postgresql.compiler import SQLInsertCompiler as PostgreSQLInsertCompiler
from django.db.models.constants import OnConflict

from dsql.conflicts import CannotCompare, rows_without_conflict, unique_keys

__all__ = ["SQLAggregateCompiler", "SQLCompiler", "SQLDeleteCompiler", "SQLInsertCompiler", "SQLUpdateCompiler"]


class SQLInsertCompiler(PostgreSQLInsertCompiler):
    def execute_sql(self, returning_fields: Any = None) -> Any:
        """As in Django; of several rows that may meet a conflict, those that do are left out before the INSERT.

        An INSERT of many rows with ON CONFLICT DO NOTHING was seen on clusters to leave out rows that met no conflict,
        while it counted them. So the keys that are taken are read first, in the same transaction, and the other rows
        are inserted without that clause. A key that another transaction takes meanwhile is a conflict (40001, or
        23505), which `run_transaction` clears; a caller without a retry sees it as an error.

        Where the keys cannot be compared (a value that the database makes, a model without a unique key) each row
        gets a statement of its own, which the doubt is not about.
        """
        query = self.query
        if query.on_conflict is not OnConflict.IGNORE or len(query.objs) < 2:
            return super().execute_sql(returning_fields)
        try:
            query.objs = self._without_conflicts()
        except CannotCompare:
            self._insert_one_by_one()
            return []
        query.on_conflict = None
        return super().execute_sql(returning_fields) if query.objs else []

    def _without_conflicts(self) -> list[Any]:
        query = self.query
        keys = unique_keys(query.model, list(query.fields), self.connection)
        needed = list(dict.fromkeys(field for key in keys for field in key.fields))
        columns = {field: [self._value(field, row) for row in query.objs] for field in needed}
        kept = rows_without_conflict(self.connection, query.get_meta().db_table, keys, columns)
        return [query.objs[number] for number in kept]

    def _value(self, field: Any, row: Any) -> Any:
        value = self.prepare_value(field, self.pre_save_val(field, row))
        if hasattr(value, "as_sql"):
            raise CannotCompare(f"{field} gets its value in the database")
        return value

    def _insert_one_by_one(self) -> None:
        rows = self.query.objs
        for row in rows:
            self.query.objs = [row]
            super().execute_sql()
        self.query.objs = rows
