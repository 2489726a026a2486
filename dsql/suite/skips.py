"""What of Django's test-suite cannot pass on DSQL, by reason. Django reads it as `features.django_test_skips`.

Only what DSQL itself cannot do, or what a documented choice of this backend makes meaningless. Where a flag in
`features` says it, the flag does; the tests here ask no flag.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

_BY_REASON: dict[str, dict[str, str]] = {
    # -- what DSQL cannot do
    "DSQL has no savepoints: an error inside a transaction ends all of it.": {
        "admin_changelist.tests.ChangeListTests": "test_list_editable_atomicity",
        "admin_views.tests.AdminViewBasicTest": "test_disallowed_to_field",
        "admin_views.tests.AdminViewListEditable": "test_forged_post_submission_when_no_add_permission",
        "admin_views.tests.AdminViewPermissionsTest": (
            "test_add_view test_change_view test_change_view_save_as_new test_delete_view"
        ),
        "auth_tests.test_views.ChangelistTests": "test_view_user_password_is_readonly",
        "fixtures.tests.FixtureLoadingTests": "test_loaddata_app_option test_unmatched_identifier_loading",
        "fixtures_model_package.tests.FixtureTestCase": "test_loaddata",
        "force_insert_update.tests.ForceTests": "test_force_update",
        "get_or_create.tests.GetOrCreateTests": "test_get_or_create_invalid_params",
        "get_or_create.tests.GetOrCreateTestsWithManualPKs": (
            "test_create_with_duplicate_primary_key test_savepoint_rollback"
        ),
        "get_or_create.tests.GetOrCreateThroughManyToMany": "test_something",
        "get_or_create.tests.UpdateOrCreateTests": "test_integrity test_manual_primary_key_test",
        "get_or_create.tests.UpdateOrCreateTestsWithManualPKs": "test_create_with_duplicate_primary_key",
        "many_to_many.tests.ManyToManyTests": "test_add",
        "model_fields.test_booleanfield.BooleanFieldTests": "test_null_default",
        "model_fields.test_floatfield.TestFloatField": "test_float_validates_object",
        "multiple_database.tests.QueryTestCase": (
            "test_generic_key_cross_database_protection test_m2m_cross_database_protection"
        ),
        "queries.test_q.QCheckTests": "test_rawsql",
        **dict.fromkeys(
            (
                "sessions_tests.tests.CacheDBSessionTests",
                "sessions_tests.tests.CacheDBSessionWithTimeZoneTests",
                "sessions_tests.tests.CustomDatabaseSessionTests",
                "sessions_tests.tests.DatabaseSessionTests",
                "sessions_tests.tests.DatabaseSessionWithTimeZoneTests",
            ),
            "test_session_asave_does_not_resurrect_session_logged_out_in_other_context "
            "test_session_save_does_not_resurrect_session_logged_out_in_other_context",
        ),
        "test_utils.tests.CaptureOnCommitCallbacksTests": "test_with_rolled_back_savepoint",
        "transaction_hooks.tests.TestConnectionOnCommit": (
            "test_discards_hooks_from_rolled_back_savepoint test_inner_savepoint_does_not_affect_outer "
            "test_inner_savepoint_rolled_back_with_outer"
        ),
    },
    "Without savepoints setUpTestData runs for each test, not for the class.": {
        "test_utils.test_testcase.TestDataTests": "test_class_attribute_identity",
        "test_utils.tests.TestBadSetUpTestData": "test_failure_in_setUpTestData_should_rollback_transaction",
    },
    "A DSQL transaction changes at most 3,000 rows.": {
        "delete.tests.DeletionTests": "test_large_delete test_large_delete_related",
        "delete.tests.FastDeleteTests": "test_fast_delete_large_batch",
        "queries.test_bulk_update.BulkUpdateTests": "test_large_batch",
    },
    "DSQL does not wait for a row that somebody else changes; the later COMMIT is refused.": {
        "delete_regress.tests.DeleteLockingTest": "test_concurrent_delete",
        "get_or_create.tests.UpdateOrCreateTransactionTests": "test_creation_in_transaction test_updates_in_transaction",
    },
    "DSQL has no DECLARE CURSOR, so server-side cursors are off.": {
        "backends.postgresql.test_server_side_cursors.ServerSideCursorsPostgres": (
            "test_server_side_binding test_server_side_cursor test_server_side_cursor_many_cursors "
            "test_server_side_cursors_setting test_values test_values_list test_values_list_fields_not_equal_to_names "
            "test_values_list_flat"
        ),
    },
    "DSQL has one isolation level, REPEATABLE READ.": {
        "backends.postgresql.tests.Tests": "test_connect_invalid_isolation_level test_connect_isolation_level",
    },
    "DSQL refuses SET ROLE for a session.": {
        "backends.postgresql.tests.Tests": "test_connect_role",
    },
    "DSQL has no partitions, no foreign tables and no CREATE INDEX without ASYNC.": {
        "inspectdb.tests.InspectDBTestCase": "test_unsupported_unique_together",
        "inspectdb.tests.InspectDBTransactionalTests": "test_foreign_data_wrapper test_include_partitions",
    },
    "A DDL statement is a transaction of its own, and this test is one transaction.": {
        "cache.tests.CreateCacheTableForDBCacheTests": "test_createcachetable_observes_database_router",
    },
    "DSQL cannot change the primary key of a table with rows, or drop a column of it.": {
        "migrations.test_executor.ExecutorTests": "test_alter_id_type_with_fk",
        "migrations.test_operations.OperationTests": (
            "test_alter_field_pk_fk_char_to_int test_alter_id_pk_to_uuid_pk test_composite_pk_operations"
        ),
        "schema.tests.SchemaTests": "test_alter_not_unique_field_to_primary_key test_primary_key",
    },
    "DSQL cannot change a column's type: it takes an empty table, or AlterFieldByCopy.": {
        "schema.tests.SchemaTests": (
            "test_alter_text_field_to_date_field test_alter_text_field_to_datetime_field "
            "test_alter_text_field_to_time_field"
        ),
    },
    "DSQL has no serial types.": {
        "backends.postgresql.test_introspection.DatabaseSequenceTests": "test_get_sequences_old_serial",
        "schema.tests.SchemaTests": "test_alter_serial_auto_field_to_bigautofield",
    },
    "DSQL takes no json in a key, not out of an expression either.": {
        "schema.tests.SchemaTests": "test_func_index_json_key_transform",
    },
    "DSQL has no extensions, and this function of SQL is one of pgcrypto's.": {
        "db_functions.text.test_sha1.SHA1Tests": "test_basic test_transform",
        "db_functions.text.test_sha224.SHA224Tests": "test_basic test_transform",
        "db_functions.text.test_sha256.SHA256Tests": "test_basic test_transform",
        "db_functions.text.test_sha384.SHA384Tests": "test_basic test_transform",
        "db_functions.text.test_sha512.SHA512Tests": "test_basic test_transform",
    },
    "DSQL has no array columns.": {
        "schema.tests.SchemaTests": (
            "test_alter_array_field_decrease_base_field_length "
            "test_alter_array_field_decrease_nested_base_field_length test_alter_field_with_custom_db_type"
        ),
    },
    "DSQL has no operator classes, and its C collation needs no second index for LIKE.": {
        "indexes.tests.SchemaIndexesPostgreSQLTests": (
            "test_ops_class test_ops_class_columns_lists_sql test_ops_class_descending "
            "test_ops_class_descending_columns_list_sql test_ops_class_descending_partial test_ops_class_include "
            "test_ops_class_include_tablespace test_ops_class_multiple_columns test_ops_class_partial "
            "test_ops_class_partial_tablespace test_text_indexes"
        ),
        "schema.tests.SchemaTests": (
            "test_add_indexed_charfield test_add_unique_charfield "
            "test_alter_field_add_db_index_to_charfield_with_unique test_alter_field_add_index_to_charfield "
            "test_alter_field_add_index_to_textfield test_alter_field_add_unique_to_charfield "
            "test_alter_field_add_unique_to_charfield_with_db_index "
            "test_alter_field_remove_unique_and_db_index_from_charfield "
            "test_alter_field_swap_unique_and_db_index_with_charfield test_indexed_charfield_to_textfield"
        ),
    },
    # -- what this backend does another way
    "Tables are emptied by DELETE: DSQL has no TRUNCATE.": {
        "backends.postgresql.test_operations.PostgreSQLOperationsTests": (
            "test_sql_flush test_sql_flush_allow_cascade test_sql_flush_sequences "
            "test_sql_flush_sequences_allow_cascade"
        ),
    },
    "A CharField is text with a CHECK of its length, so a value that is too long is an IntegrityError.": {
        "backends.postgresql.test_compilation.BulkCreateUnnestTests": "test_parametrized_db_type",
        "schema.tests.SchemaTests": "test_alter_char_field_decrease_length",
    },
    "An unlimited CharField and an IP address are text, and are read back as such.": {
        "inspectdb.tests.InspectDBTestCase": "test_char_field_unlimited test_field_types",
    },
    "Identity columns are bigint, and so is a column that refers to one.": {
        "model_fields.test_integerfield.IntegerFieldTests": "test_rel_db_type",
        "model_fields.test_integerfield.SmallIntegerFieldTests": "test_rel_db_type",
        "schema.tests.SchemaTests": (
            "test_autofield_to_o2o test_m2m test_m2m_create "
            "test_m2m_create_custom test_m2m_create_inherited test_m2m_create_through test_m2m_create_through_custom "
            "test_m2m_create_through_inherited test_m2m_custom test_m2m_inherited"
        ),
    },
    "The test counts statements, or takes their place; here an index or a type takes several, each awaited.": {
        "migrations.test_commands.MigrateTests": (
            "test_migrate_syncdb_app_label test_migrate_syncdb_deferred_sql_executed_with_schemaeditor"
        ),
        "migrations.test_operations.OperationTests": "test_rename_index",
        "schema.tests.SchemaTests": "test_unique_and_reverse_m2m",
    },
    "Of several rows that may meet a conflict, those that do are looked for first: a statement more.": {
        "many_to_many.tests.ManyToManyTests": "test_fast_add_ignore_conflicts",
    },
    "The command migrate looks at its journal first, and this test allows no query.": {
        "backends.base.test_creation.TestDbCreationTests": (
            "test_mark_expected_failures_and_skips_call test_migrate_test_setting_false "
            "test_migrate_test_setting_false_ensure_schema test_migrate_test_setting_true"
        ),
    },
    "The test executes SQL of Django's PostgreSQL backend that DSQL refuses.": {
        "backends.postgresql.tests.Tests": "test_bypass_timezone_configuration",
    },
    "Strict mode needs a cursor class of its own.": {
        "backends.postgresql.tests.Tests": "test_connect_custom_cursor_factory test_connect_server_side_binding",
    },
    "Every connection carries the wrapper with which tests inject faults.": {
        "backends.base.test_base.ExecuteWrapperTests": "test_wrapper_connection_specific",
    },
    "The backend calls itself Aurora DSQL.": {
        "backends.postgresql.tests.Tests": "test_check_database_version_supported",
    },
    "A deferrable unique constraint is refused, not left out without a word.": {
        "migrations.test_operations.OperationTests": (
            "test_add_deferred_unique_constraint test_create_model_with_deferred_unique_constraint "
            "test_remove_deferred_unique_constraint"
        ),
    },
}

_WITHOUT_FOREIGN_KEYS = {
    "Constraints between tables are not made, so they cannot be read back.": {
        "inspectdb.tests.InspectDBTestCase": "test_same_relations",
    },
}
_WITH_FOREIGN_KEYS = {
    "With constraints made, these tests compare types (bigint here) or look at each statement.": {
        "schema.tests.SchemaTests": (
            "test_alter_fk test_alter_fk_to_o2o test_alter_o2o_to_fk test_inline_fk test_unique_no_unnecessary_fk_drops"
        ),
    },
}
if os.geteuid() == 0:
    _BY_REASON["Root may read and write everything."] = {
        "file_uploads.tests.DirectoryCreationTests": "test_readonly_root",
        "i18n.test_compilation.PoFileTests": "test_no_write_access",
    }


def _names(tests_by_class: Mapping[str, str]) -> set[str]:
    return {f"{name}.{test}" for name, tests in tests_by_class.items() for test in tests.split()}


def skips(*, has_foreign_keys: bool) -> dict[str, set[str]]:
    """The names of tests, by reason; some reasons depend on OPTIONS["foreign_keys"]."""
    by_reason = {**_BY_REASON, **(_WITH_FOREIGN_KEYS if has_foreign_keys else _WITHOUT_FOREIGN_KEYS)}
    return {reason: _names(tests) for reason, tests in by_reason.items()}
