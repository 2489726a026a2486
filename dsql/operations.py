"""SQL that Django asks the backend for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from django.db import NotSupportedError
from django.db.backends.postgresql import operations

from dsql.types import AUTO_FIELDS, CAST_TYPES

# A transaction may change 3,000 rows; a third of it leaves room for other rows of the same transaction.
BATCH_ROWS = 1000
BIGINT_RANGE = (-(2**63), 2**63 - 1)


class DatabaseOperations(operations.DatabaseOperations):
    cast_data_types = CAST_TYPES
    explain_options = frozenset({"ANALYZE", "BUFFERS", "COSTS", "SETTINGS", "SUMMARY", "TIMING", "VERBOSE", "WAL"})
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

    # -- flush: no TRUNCATE, and a bounded number of rows a transaction

    def sql_flush(
        self, style: Any, tables: Iterable[str], *, reset_sequences: bool = False, allow_cascade: bool = False
    ) -> list[str]:
        """One DELETE of at most `BATCH_ROWS` rows for each table that has rows; `execute_sql_flush` repeats it."""
        tables = list(tables)
        statements = [self.delete_batch_sql(table) for table in self.tables_with_rows(tables)]
        if reset_sequences:
            wanted = set(tables)
            sequences = [row for row in self.connection.introspection.sequence_list() if row["table"] in wanted]
            statements += self.sequence_reset_by_name_sql(style, sequences)
        return statements

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
