"""SQL that Django asks the backend for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import postgast
from django.db import NotSupportedError
from django.db.backends.postgresql import operations

from dsql.flushing import deletion_groups, read_references, refers_to_itself
from dsql.strict.rules import judge
from dsql.types import AUTO_FIELDS, CAST_TYPES

# A transaction may change 3,000 rows; a third of it leaves room for other rows of the same transaction.
BATCH_ROWS = 1000
BIGINT_RANGE = (-(2**63), 2**63 - 1)


class DatabaseOperations(operations.DatabaseOperations):
    compiler_module = "dsql.compiler"
    cast_data_types = CAST_TYPES
    # Those of PostgreSQL 16, which DSQL's planner comes from.
    explain_options = frozenset(
        {"ANALYZE", "BUFFERS", "COSTS", "GENERIC_PLAN", "SETTINGS", "SUMMARY", "TIMING", "VERBOSE", "WAL"}
    )
    integer_field_ranges = {
        **operations.DatabaseOperations.integer_field_ranges,
        **dict.fromkeys(AUTO_FIELDS, BIGINT_RANGE),
    }

    # -- addresses are text: DSQL has no inet columns

    def lookup_cast(self, lookup_type: str, internal_type: str | None = None) -> str:
        if internal_type in ("IPAddressField", "GenericIPAddressField"):
            internal_type = "CharField"
        return super().lookup_cast(lookup_type, internal_type)

    def adapt_ipaddressfield_value(self, value: Any) -> str | None:
        return str(value) if value else None

    # -- what DSQL has no words for

    def savepoint_create_sql(self, sid: str) -> NoReturn:
        raise NotSupportedError("DSQL has no savepoints.")

    def savepoint_commit_sql(self, sid: str) -> NoReturn:
        raise NotSupportedError("DSQL has no savepoints.")

    def savepoint_rollback_sql(self, sid: str) -> NoReturn:
        raise NotSupportedError("DSQL has no savepoints.")

    def tablespace_sql(self, tablespace: str | None, inline: bool = False) -> str:
        return ""

    def set_time_zone_sql(self) -> str:
        return "SET TIME ZONE %s"  # set_config() is refused

    def prepare_sql_script(self, sql: str) -> list[str]:
        """The statements of a migration's RunSQL: one by one where DDL is among several, else `sql` as it is.

        Without DDL the script stays one transaction. With it, one transaction is what DSQL refuses.
        """
        statements = [part.strip() for part in postgast.split(sql, method="scanner")]
        if len(statements) > 1 and judge(sql).is_ddl:
            return [statement for statement in statements if statement]
        return [sql]

    # -- flush: no TRUNCATE, and a bounded number of rows a transaction

    def sql_flush(
        self, style: Any, tables: Iterable[str], *, reset_sequences: bool = False, allow_cascade: bool = False
    ) -> list[str]:
        """One DELETE of at most `BATCH_ROWS` rows for each table that has rows; `execute_sql_flush` repeats it."""
        tables = list(tables)
        statements = self._delete_sql(self.tables_with_rows(tables))
        if reset_sequences:
            wanted = set(tables)
            sequences = [row for row in self.connection.introspection.sequence_list() if row["table"] in wanted]
            statements += self.sequence_reset_by_name_sql(style, sequences)
        return statements

    def _delete_sql(self, tables: list[str]) -> list[str]:
        if not self.connection.features.supports_foreign_keys:
            return [self.delete_batch_sql(table) for table in tables]
        references = read_references(self.connection)
        return [
            # One transaction, at whose end the constraints are checked. It is not cut into batches: 3,000 rows at most.
            "; ".join(f"DELETE FROM {self.quote_name(table)}" for table in group)  # noqa: S608  (quoted names)
            if refers_to_itself(group, references)
            else self.delete_batch_sql(group[0])
            for group in deletion_groups(tables, references)
        ]

    def execute_sql_flush(self, sql_list: Iterable[str]) -> None:
        with self.connection.cursor() as cursor:
            for sql in sql_list:
                cursor.execute(sql)
                while sql.startswith("DELETE") and cursor.rowcount > 0:
                    cursor.execute(sql)

    def tables_with_rows(self, tables: list[str]) -> list[str]:
        """Those of `tables` that are not empty, in the order given."""
        if not tables:
            return []
        names = enumerate(map(self.quote_name, tables))
        probes = (f"SELECT {n} WHERE EXISTS (SELECT 1 FROM {name})" for n, name in names)  # noqa: S608
        with self.connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(probes))
            return [tables[n] for n in sorted(row[0] for row in cursor.fetchall())]

    def delete_batch_sql(self, table: str) -> str:
        with self.connection.cursor() as cursor:
            columns = self.connection.introspection.get_primary_key_columns(cursor, table)
        name = self.quote_name(table)
        if not columns:
            return f"DELETE FROM {name}"  # noqa: S608  (a quoted name)
        key = ", ".join(map(self.quote_name, columns))
        return f"DELETE FROM {name} WHERE ({key}) IN (SELECT {key} FROM {name} LIMIT {BATCH_ROWS})"  # noqa: S608
