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
# A CharField is a text column with this CHECK.
_LENGTH_CHECKS_SQL = """
    SELECT a.attname, substring(
        pg_get_constraintdef(con.oid) FROM '^CHECK \\(\\(char_length\\(.*\\) <= ([0-9]+)\\)\\)$'
    )::integer
    FROM pg_constraint con
    JOIN pg_class c ON c.oid = con.conrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = con.conkey[1]
    WHERE c.relname = %s AND pg_catalog.pg_table_is_visible(c.oid)
        AND con.contype = 'c' AND con.convalidated AND array_length(con.conkey, 1) = 1
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
        """As PostgreSQL's, but valid CHECKs speak too: of NOT NULL, and of a text column's length, as its size."""
        rows = super().get_table_description(cursor, table_name)
        cursor.execute(_NOT_NULL_CHECKS_SQL, [table_name])
        not_null = {row[0] for row in cursor.fetchall()}
        rows = [row._replace(null_ok=False) if row.name in not_null else row for row in rows]
        cursor.execute(_LENGTH_CHECKS_SQL, [table_name])
        lengths = {column: length for column, length in cursor.fetchall() if length is not None}
        return [_sized(row, lengths[row.name]) if row.name in lengths else row for row in rows]

    def get_field_type(self, data_type: Any, description: Any) -> str:
        field_type = super().get_field_type(data_type, description)
        return "CharField" if field_type == "TextField" and (description.internal_size or 0) > 0 else field_type

    def get_constraints(self, cursor: Any, table_name: str) -> dict[str, dict[str, Any]]:
        # Newer PostgreSQL lists NOT NULL among the constraints, as nothing that Django knows.
        kinds = ("primary_key", "unique", "foreign_key", "check", "index")
        found = super().get_constraints(cursor, table_name)
        return {name: info for name, info in found.items() if any(info[kind] for kind in kinds)}

    def has_constraint(self, cursor: Any, table_name: str, name: str) -> bool:
        """Whether `name` is a constraint of the table; a unique index alone is none."""
        cursor.execute(_CONSTRAINT_SQL, [table_name, name])
        return cursor.fetchone() is not None


def _sized(row: Any, length: int) -> Any:
    return row._replace(display_size=length, internal_size=length)
