"""What the database can do, in Django's terms."""

# The stubs leave out the private half of Django's backends, which a backend has to override.
# mypy: disable-error-code="assignment, attr-defined, override, misc"

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import features
from django.utils.functional import cached_property

from dsql.types import AUTO_FIELDS


class DatabaseFeatures(features.DatabaseFeatures):
    # Each DDL statement is a transaction of its own.
    can_rollback_ddl = False
    supports_combined_alters = False
    uses_savepoints = False
    can_release_savepoints = False
    # Columns that refer to another row are indexed, whether a constraint stands behind them or not.
    indexes_foreign_keys = True
    # Nothing ever waits for a lock, so there is nothing to skip or to refuse to wait for.
    has_select_for_update_nowait = False
    has_select_for_update_skip_locked = False
    has_select_for_no_key_update = False
    supports_index_column_ordering = False
    supports_deferrable_unique_constraints = False
    supports_nulls_distinct_unique_constraints = True
    supports_tablespaces = False
    supports_collation_on_charfield = False
    supports_collation_on_textfield = False
    supports_non_deterministic_collations = False
    can_introspect_materialized_views = False
    can_rename_index = False
    # DSQL is PostgreSQL 16; the server of strict mode may be newer.
    is_postgresql_17 = False

    @cached_property
    def supports_foreign_keys(self) -> bool:
        """Whether constraints between tables are made; otherwise relations, joins and on_delete work in the ORM only.

        `check_orphans` then proves that no row lost its parent.
        """
        return self.connection.settings_dict["OPTIONS"].get("foreign_keys", "skip") == "enforce"

    @cached_property
    def can_introspect_foreign_keys(self) -> bool:
        return self.supports_foreign_keys

    # -- for Django's own test-suite

    test_collations: dict[str, Any] = {"deterministic": None, "non_default": None, "swedish_ci": None, "virtual": None}
    # Functions are written in SQL: PL/pgSQL is refused.
    create_test_procedure_without_params_sql = (
        "CREATE FUNCTION test_procedure () RETURNS void LANGUAGE sql AS $$ SELECT 1 $$"
    )
    create_test_procedure_with_int_param_sql = (
        "CREATE FUNCTION test_procedure (P_I INTEGER) RETURNS void LANGUAGE sql AS $$ SELECT P_I $$"
    )

    @cached_property
    def introspected_field_types(self) -> dict[str, str]:
        return {
            **super().introspected_field_types,
            **dict.fromkeys(AUTO_FIELDS, "BigAutoField"),
            "GenericIPAddressField": "TextField",
        }

    @cached_property
    def django_test_skips(self) -> dict[str, set[str]]:
        from dsql.suite.skips import skips  # not at the top: only a run of Django's suite needs it

        return {**super().django_test_skips, **skips(has_foreign_keys=self.supports_foreign_keys)}
