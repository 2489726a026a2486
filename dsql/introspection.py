"""Reading the schema back."""

# The stubs leave out the private half of Django's backends, which a backend has to override.
# mypy: disable-error-code="attr-defined, override, misc, literal-required"

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import introspection
from django.utils.functional import cached_property

_NOT_NULL_CHECKS_SQL = """
    SELECT a.attname
    FROM pg_constraint con
    JOIN pg_class c ON c.oid = con.conrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = con.conkey[1]
    WHERE c.relname = %s AND pg_catalog.pg_table_is_visible(c.oid)
        AND con.contype = 'c' AND con.convalidated
        AND pg_get_constraintdef(con.oid) = 'CHECK ((' || quote_ident(a.attname) || ' IS NOT NULL))'
"""
_CONSTRAINT_SQL = """
    SELECT 1 FROM pg_constraint con JOIN pg_class c ON c.oid = con.conrelid
    WHERE c.relname = %s AND con.conname = %s AND pg_catalog.pg_table_is_visible(c.oid)
"""


class DatabaseIntrospection(introspection.DatabaseIntrospection):
    @cached_property
    def index_default_access_method(self) -> str:  # type: ignore[override]
        # DSQL names its access method differently, and Django finds the index behind db_index=True by it.
        return "btree_index" if self.connection.is_live else "btree"

    def get_table_description(self, cursor: Any, table_name: str) -> list[Any]:
        """As PostgreSQL's, but a column with a valid CHECK (column IS NOT NULL) counts as NOT NULL."""
        rows = super().get_table_description(cursor, table_name)
        cursor.execute(_NOT_NULL_CHECKS_SQL, [table_name])
        not_null = {row[0] for row in cursor.fetchall()}
        return [row._replace(null_ok=False) if row.name in not_null else row for row in rows]

    def get_constraints(self, cursor: Any, table_name: str) -> dict[str, dict[str, Any]]:
        # Newer PostgreSQL lists NOT NULL among the constraints, as nothing that Django knows.
        kinds = ("primary_key", "unique", "foreign_key", "check", "index")
        found = super().get_constraints(cursor, table_name)
        return {name: info for name, info in found.items() if any(info[kind] for kind in kinds)}

    def has_constraint(self, cursor: Any, table_name: str, name: str) -> bool:
        """Whether `name` is a constraint of the table; a unique index alone is none."""
        cursor.execute(_CONSTRAINT_SQL, [table_name, name])
        return cursor.fetchone() is not None
