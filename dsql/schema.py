"""Migrations in what DDL DSQL has.

Each statement is a transaction of its own. Indexes and validations run as jobs that we wait for, so a migration is
recorded only when they are done. A column cannot be added with a default or a constraint, nor its type changed;
those changes become several statements, or on an empty table a new table.
"""

# The stubs leave out the private half of Django's backends, which a backend has to override.
# mypy: disable-error-code="attr-defined, misc, override"

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from django.db import DatabaseError, IntegrityError, NotSupportedError, OperationalError
from django.db.backends.ddl_references import Columns, Statement
from django.db.backends.postgresql import schema
from django.db.backends.utils import strip_quotes
from django.db.models import CompositePrimaryKey, Field, Model
from django.db.models.expressions import OrderBy

from dsql.operations import BATCH_ROWS
from dsql.transactions import is_conflict

# After any DDL in the cluster the first statement of another connection may be refused with OC001.
DDL_ATTEMPTS_MAX = 8
DDL_PAUSE_S = 0.1
NOT_NULL_SUFFIX = "_notnull"
CHECK_SUFFIX = "_check"
INDEX_IS_VALID_SQL = """
    SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relname = %s AND c.relname = %s AND pg_catalog.pg_table_is_visible(t.oid)
"""
CONSTRAINT_IS_VALID_SQL = """
    SELECT con.convalidated FROM pg_constraint con JOIN pg_class t ON t.oid = con.conrelid
    WHERE t.relname = %s AND con.conname = %s AND pg_catalog.pg_table_is_visible(t.oid)
"""
ASYNC_PREFIXES = ("CREATE INDEX ASYNC", "CREATE UNIQUE INDEX ASYNC", "ALTER TABLE ASYNC")


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    sql_create_index = (
        "CREATE INDEX ASYNC %(name)s ON %(table)s%(using)s (%(columns)s)%(include)s%(extra)s%(condition)s"
    )
    sql_create_index_concurrently = sql_create_index
    sql_delete_index_concurrently = schema.DatabaseSchemaEditor.sql_delete_index
    sql_create_unique_index = (
        "CREATE UNIQUE INDEX ASYNC %(name)s ON %(table)s (%(columns)s)%(include)s%(nulls_distinct)s%(condition)s"
    )
    sql_create_unique = "CREATE UNIQUE INDEX ASYNC %(name)s ON %(table)s (%(columns)s)%(nulls_distinct)s"
    # Told apart from the other constraints because a unique guard may be a bare index; see _delete_constraint_sql.
    sql_delete_unique = "ALTER TABLE %(table)s DROP CONSTRAINT IF EXISTS %(name)s"
    sql_create_check = "ALTER TABLE %(table)s ADD CONSTRAINT %(name)s CHECK (%(check)s) NOT VALID"
    sql_validate_constraint = "ALTER TABLE ASYNC %(table)s VALIDATE CONSTRAINT %(name)s"
    sql_add_bare_column = "ALTER TABLE %(table)s ADD COLUMN %(column)s %(type)s"
    sql_backfill = (
        "UPDATE %(table)s SET %(column)s = DEFAULT WHERE (%(key)s) IN "
        "(SELECT %(key)s FROM %(table)s WHERE %(column)s IS NULL LIMIT %(limit)s)"
    )

    # -- running statements

    def execute(self, sql: Any, params: Any = ()) -> None:
        """Run one statement in a transaction of its own, again after a conflict, and wait for the job it started."""
        text = str(sql)
        if params:
            text, params = self.connection.ops.compose_sql(text, params), None
        is_job = text.startswith(ASYNC_PREFIXES)
        if is_job and not self.connection.speaks_dsql:
            text = text.replace(" ASYNC", "", 1)
            is_job = False
        if is_job and not self.collect_sql:
            self._retried(lambda: self._run_job(text))
            self._verify_job(sql)
        else:
            self._retried(lambda: super(DatabaseSchemaEditor, self).execute(text, None))
        if isinstance(sql, Statement) and sql.template == self.sql_create_check:
            self._validate(sql)

    def _validate(self, check: Statement) -> None:
        names = {"table": check.parts["table"], "name": check.parts["name"]}
        try:
            self.execute(Statement(self.sql_validate_constraint, **names))
        except DatabaseError:
            # Without this a repeat of the migration would stumble over the constraint it has left behind.
            self.execute(Statement(self.sql_delete_check, **names))
            raise

    def _retried(self, run: Any) -> Any:
        for attempt in range(1, DDL_ATTEMPTS_MAX + 1):
            try:
                return run()
            except OperationalError as error:
                if not is_conflict(error) or attempt == DDL_ATTEMPTS_MAX:
                    raise
                time.sleep(DDL_PAUSE_S * attempt)

    def _run_job(self, sql: str) -> None:
        if self.connection.in_atomic_block:
            super().execute(sql, None)  # raises: DDL cannot share a transaction
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            (job_id,) = cursor.fetchone()
            cursor.execute("CALL sys.wait_for_job(%s)", [job_id])

    def _verify_job(self, sql: Any) -> None:
        """A job may end without success: raise, and leave no invalid index, when this one did."""
        if not isinstance(sql, Statement):
            return
        is_index = sql.template != self.sql_validate_constraint
        query = INDEX_IS_VALID_SQL if is_index else CONSTRAINT_IS_VALID_SQL
        with self.connection.cursor() as cursor:
            cursor.execute(query, [strip_quotes(str(sql.parts[part])) for part in ("table", "name")])
            row = cursor.fetchone()
        if row is None or row[0]:
            return  # IF NOT EXISTS and an index of another name leave nothing to look at
        if is_index:
            super().execute(self.sql_delete_index % {"name": sql.parts["name"]}, None)
        raise IntegrityError(f"The job of this statement failed: {sql}")

    # -- tables

    def table_sql(self, model: Any) -> tuple[str, Any]:
        """CREATE TABLE with every plain unique guard inside it, where it is valid from the first row on."""
        deferred_before = len(self.deferred_sql)
        sql, params = super().table_sql(model)
        together = list(model._meta.unique_together)
        del self.deferred_sql[deferred_before : deferred_before + len(together)]
        guards = [self._inline_unique_sql(model, fields) for fields in together]
        if guards:
            sql = f"{sql.removesuffix(')')}, {', '.join(guards)})"
        return sql, params

    def _inline_unique_sql(self, model: Any, field_names: Sequence[str]) -> str:
        columns = [model._meta.get_field(name).column for name in field_names]
        name = self._unique_constraint_name(model._meta.db_table, columns, quote=True)
        return f"CONSTRAINT {name} UNIQUE ({', '.join(map(self.quote_name, columns))})"

    def db_default_sql(self, field: Field[Any, Any]) -> tuple[str, list[Any]]:
        # As a literal: with parameters Django would move the constraints out of CREATE TABLE.
        sql, params = super().db_default_sql(field)
        return (self.connection.ops.compose_sql(sql, params) if params else sql), []

    # -- columns

    def add_field(self, model: type[Model], field: Any) -> None:
        """Add a column by small steps, so that rows written meanwhile and rows already there end up alike."""
        if field.many_to_many and field.remote_field.through._meta.auto_created:
            self.create_model(field.remote_field.through)
            return
        db_params = field.db_parameters(connection=self.connection)
        if db_params["type"] is None:
            return
        if field.generated or field.primary_key:
            raise NotSupportedError(f"{field} can only be made together with its table.")
        table, column = self.quote_name(model._meta.db_table), self.quote_name(field.column)
        self.execute(self.sql_add_bare_column % {"table": table, "column": column, "type": db_params["type"]}, None)
        default = self._default_literal(field)
        if default is not None:
            self._set_default(table, column, default)
            self._backfill(model, field)
        if not field.null:
            self._add_not_null(model, field)
        if db_params["check"]:
            self._add_column_check(model, field, db_params["check"])
        if default is not None and not field.has_db_default():
            self._drop_default(table, column)
        if field.unique:
            self.execute(self._create_unique_sql(model, [field]), None)
        if field.db_comment:
            self.execute(*self._alter_column_comment_sql(model, field, db_params["type"], field.db_comment))
        self.deferred_sql.extend(self._field_indexes_sql(model, field))

    def _alter_field(
        self,
        model: type[Model],
        old_field: Any,
        new_field: Any,
        old_type: str,
        new_type: str,
        old_db_params: dict[str, Any],
        new_db_params: dict[str, Any],
        strict: bool = False,
    ) -> None:
        if self._needs_new_table(old_field, new_field, old_type, new_type):
            self._replace_empty_table(model, old_field, new_field)
            return
        self._drop_what_went(model, old_field, new_field, old_db_params, new_db_params)
        if old_field.column != new_field.column:
            self._rename_column(model, old_field, new_field, new_type)
        self._change_default_and_null(model, old_field, new_field)
        self._add_what_came(model, old_field, new_field, old_db_params, new_db_params)

    def _needs_new_table(self, old_field: Any, new_field: Any, old_type: str, new_type: str) -> bool:
        suffixes = [field.db_type_suffix(connection=self.connection) for field in (old_field, new_field)]
        return old_type != new_type or suffixes[0] != suffixes[1] or old_field.primary_key != new_field.primary_key

    def _replace_empty_table(self, model: type[Model], old_field: Any, new_field: Any) -> None:
        """Give an empty table its new shape by making it anew; refuse when it holds rows.

        It is renamed before the check, so that no row can arrive between the check and the DROP.
        """
        table, target = model._meta.db_table, new_field.model
        if (
            old_field.primary_key
            and target._meta.related_objects
            and self._type_of(old_field) != self._type_of(new_field)
        ):
            raise NotSupportedError(f"The type of {new_field} cannot change: other tables refer to it.")
        aside = f"{table[:50]}__replaced"
        rename = self.sql_rename_table % {"old_table": self.quote_name(table), "new_table": self.quote_name(aside)}
        self.execute(rename, None)
        if not self.collect_sql and self.connection.ops.tables_with_rows([aside]):
            back = self.sql_rename_table % {"old_table": self.quote_name(aside), "new_table": self.quote_name(table)}
            self.execute(back, None)
            raise NotSupportedError(
                f"The type of {new_field} cannot change while {table} holds rows: "
                "add a new column, copy the values over in batches, and remove the old one."
            )
        self.execute(self.sql_delete_table % {"table": self.quote_name(aside)}, None)
        self.deferred_sql = [
            sql for sql in self.deferred_sql if not (isinstance(sql, Statement) and sql.references_table(table))
        ]
        sql, params = self.table_sql(target)
        self.execute(sql, params or None)
        self.deferred_sql.extend(self._model_indexes_sql(target))

    def _type_of(self, field: Any) -> str | None:
        return field.db_type(connection=self.connection)

    def _drop_what_went(
        self, model: type[Model], old_field: Any, new_field: Any, old_params: dict[str, Any], new_params: dict[str, Any]
    ) -> None:
        own = {constraint.name for constraint in (*model._meta.constraints, *model._meta.indexes)}
        column = [old_field.column]
        if old_field.unique and not new_field.unique:
            for name in self._constraint_names(model, column, unique=True, primary_key=False, exclude=own):
                self.execute(self._delete_unique_sql(model, name), None)
        if old_field.db_index and not old_field.unique and (not new_field.db_index or new_field.unique):
            for name in self._constraint_names(model, column, index=True, type_="idx", exclude=own):
                self.execute(self._delete_index_sql(model, name), None)
        old_check = self._field_db_check(old_field, old_params)
        if old_check and old_check != self._field_db_check(new_field, new_params):
            for name in self._constraint_names(model, column, check=True, exclude=own):
                if not name.endswith(NOT_NULL_SUFFIX):
                    self.execute(self._delete_check_sql(model, name), None)

    def _rename_column(self, model: type[Model], old_field: Any, new_field: Any, new_type: str) -> None:
        table = model._meta.db_table
        self.execute(self._rename_field_sql(table, old_field, new_field, new_type), None)
        for sql in self.deferred_sql:
            if isinstance(sql, Statement):
                sql.rename_column_references(table, old_field.column, new_field.column)

    def _change_default_and_null(self, model: type[Model], old_field: Any, new_field: Any) -> None:
        table, column = self.quote_name(model._meta.db_table), self.quote_name(new_field.column)
        becomes_not_null = old_field.null and not new_field.null
        default = self._default_literal(new_field) if becomes_not_null or new_field.has_db_default() else None
        if default is not None:
            self._set_default(table, column, default)
        elif old_field.has_db_default():
            self._drop_default(table, column)
        if becomes_not_null:
            if default is not None:
                self._backfill(model, new_field)
            self._add_not_null(model, new_field)
        elif new_field.null and not old_field.null:
            self._drop_not_null(model, new_field)
        if default is not None and not new_field.has_db_default():
            self._drop_default(table, column)

    def _add_what_came(
        self, model: type[Model], old_field: Any, new_field: Any, old_params: dict[str, Any], new_params: dict[str, Any]
    ) -> None:
        new_check = self._field_db_check(new_field, new_params)
        if new_check and new_check != self._field_db_check(old_field, old_params):
            self._add_column_check(model, new_field, new_params["check"])
        if self._unique_should_be_added(old_field, new_field):
            self.execute(self._create_unique_sql(model, [new_field]), None)
        if new_field.db_index and not new_field.unique and (old_field.unique or not old_field.db_index):
            self.execute(self._create_index_sql(model, fields=[new_field]), None)
        if old_field.db_comment != new_field.db_comment:
            comment = self._alter_column_comment_sql(model, new_field, new_params["type"], new_field.db_comment)
            self.execute(*comment)

    # -- the steps

    def _default_literal(self, field: Any) -> str | None:
        """The value that existing rows get, as SQL; None for no value."""
        if field.has_db_default():
            return self.db_default_sql(field)[0]
        value = self.effective_default(field)
        return None if value is None else self.connection.ops.compose_sql("%s", [value])

    def _set_default(self, table: str, column: str, default: str) -> None:
        self.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {default}", None)

    def _drop_default(self, table: str, column: str) -> None:
        self.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT", None)

    def _backfill(self, model: Any, field: Any) -> None:
        """Give rows that have no value the column's default, a batch a transaction."""
        key = model._meta.pk
        key_fields: Any = key.fields if isinstance(key, CompositePrimaryKey) else [key]
        sql = self.sql_backfill % {
            "table": self.quote_name(model._meta.db_table),
            "column": self.quote_name(field.column),
            "key": ", ".join(self.quote_name(key_field.column) for key_field in key_fields),
            "limit": BATCH_ROWS,
        }
        if self.collect_sql:
            self.collected_sql.append(f"{sql};")
            return
        with self.connection.cursor() as cursor:
            while True:
                self._retried(lambda: cursor.execute(sql))
                if cursor.rowcount == 0:
                    return

    def _add_not_null(self, model: type[Model], field: Any) -> None:
        # SET NOT NULL does not exist; a valid CHECK refuses the same rows.
        self._add_check(model, field, NOT_NULL_SUFFIX, f"{self.quote_name(field.column)} IS NOT NULL")

    def _drop_not_null(self, model: type[Model], field: Any) -> None:
        table, column = self.quote_name(model._meta.db_table), self.quote_name(field.column)
        self.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL", None)
        for name in self._constraint_names(model, [field.column], check=True):
            if name.endswith(NOT_NULL_SUFFIX):
                self.execute(self._delete_check_sql(model, name), None)

    def _add_column_check(self, model: type[Model], field: Any, check: str) -> None:
        self._add_check(model, field, CHECK_SUFFIX, check)

    def _add_check(self, model: type[Model], field: Any, suffix: str, check: str) -> None:
        name = self._create_index_name(model._meta.db_table, [field.column], suffix=suffix)
        self.execute(self._create_check_sql(model, name, check), None)

    # -- indexes and constraints

    def _create_like_index_sql(self, model: type[Model], field: Any) -> None:
        return None  # in the C collation the plain index serves LIKE 'prefix%'

    def _create_index_sql(self, model: type[Model], *, expressions: Any = None, **kwargs: Any) -> Statement:
        return super()._create_index_sql(model, expressions=_without_order(expressions), **kwargs)

    def _create_unique_sql(self, model: type[Model], fields: Any, *args: Any, **kwargs: Any) -> Statement | None:
        kwargs["expressions"] = _without_order(kwargs.get("expressions"))
        return super()._create_unique_sql(model, fields, *args, **kwargs)

    def _index_columns(self, table: str, columns: Any, col_suffixes: Any, opclasses: Any) -> Columns:
        # DESC is refused and an index is read both ways; the pattern operator classes are the C collation's own order.
        if any(not opclass.endswith("_pattern_ops") for opclass in opclasses or ()):
            raise NotSupportedError(f"DSQL has no operator classes for index keys: {', '.join(opclasses)}.")
        return Columns(table, columns, self.quote_name)

    def _delete_constraint_sql(self, template: str, model: type[Model], name: str) -> Statement:
        if template == self.sql_delete_unique and not self._is_constraint(model, name):
            template = self.sql_delete_index
        return super()._delete_constraint_sql(template, model, name)

    def _is_constraint(self, model: type[Model], name: str) -> bool:
        with self.connection.cursor() as cursor:
            return self.connection.introspection.has_constraint(cursor, model._meta.db_table, name)


def _without_order(expressions: Any) -> Any:
    """Index expressions with no ASC or DESC, which are refused; an index is read both ways."""
    for expression in expressions.get_source_expressions() if expressions else ():
        (source,) = expression.get_source_expressions()
        if isinstance(source, OrderBy):
            expression.set_source_expressions([source.expression])
    return expressions
