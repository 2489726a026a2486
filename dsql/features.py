"""What the database can do, in Django's terms."""

# The stubs leave out the private half of Django's backends, which a backend has to override.
# mypy: disable-error-code="assignment"

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import features


class DatabaseFeatures(features.DatabaseFeatures):
    # Each DDL statement is a transaction of its own.
    can_rollback_ddl = False
    supports_combined_alters = False
    uses_savepoints = False
    can_release_savepoints = False
    # Constraints between tables are skipped: relations, joins and on_delete work in the ORM, and
    # `check_orphans` proves that no row lost its parent. Columns that refer to another row are indexed.
    supports_foreign_keys = False
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
    test_collations: dict[str, Any] = {}
    create_test_procedure_without_params_sql = None
    create_test_procedure_with_int_param_sql = None
