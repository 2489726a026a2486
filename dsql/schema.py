"""Migrations in what DDL DSQL has.

Each statement is a transaction of its own. Indexes and validations run as jobs that we wait for, so a migration is
recorded only when they are done. A column cannot be added with a default or a constraint, nor its type changed;
those changes become several statements, or on an empty table a new table.
"""

# The stubs leave out the private half of Django's backends, which a backend has to override.
# mypy: disable-error-code="attr-defined, misc, override"

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import NotSupportedError
from django.db.backends.ddl_references import Columns, Statement
from django.db.models import CompositePrimaryKey, Field, Index, Model
from django.db.models.expressions import OrderBy

from dsql.operations import BATCH_ROWS
from dsql.remade import altered_model, model_without
from dsql.steps import StepRunner, retried
from dsql.types import IDENTITY_SUFFIX

NOT_NULL_SUFFIX = "_notnull"
CHECK_SUFFIX = "_check"
PLAIN_METHOD = " USING btree"
LIMIT_PLACE = "{limit}"
FOREIGN_KEY_SUFFIX = "_fk_%(to_table)s_%(to_column)s"


class DatabaseSchemaEditor(StepRunner):
    sql_create_index = (
        "CREATE INDEX ASYNC %(name)s ON %(table)s%(using)s (%(columns)s)%(include)s%(extra)s%(condition)s"
    )
    sql_create_index_concurrently = sql_create_index
    sql_delete_index_concurrently = StepRunner.sql_delete_index
    sql_create_unique_index = (
        "CREATE UNIQUE INDEX ASYNC %(name)s ON %(table)s (%(columns)s)%(include)s%(nulls_distinct)s%(condition)s"
    )
    sql_create_unique = "CREATE UNIQUE INDEX ASYNC %(name)s ON %(table)s (%(columns)s)%(nulls_distinct)s"
    # Told apart from the other constraints because a unique guard may be a bare index; see _delete_constraint_sql.
    sql_delete_unique = "ALTER TABLE %(table)s DROP CONSTRAINT IF EXISTS %(name)s"
    sql_delete_fk = "ALTER TABLE %(table)s DROP CONSTRAINT %(name)s"
    sql_add_identity = f"ALTER TABLE %(table)s ALTER COLUMN %(column)s ADD {IDENTITY_SUFFIX}"
    sql_drop_identity = "ALTER TABLE %(table)s ALTER COLUMN %(column)s DROP IDENTITY IF EXISTS"
    sql_add_bare_column = "ALTER TABLE %(table)s ADD COLUMN %(column)s %(type)s"
    sql_backfill = (
        "UPDATE %(table)s SET %(column)s = DEFAULT WHERE (%(key)s) IN "
        "(SELECT %(key)s FROM %(table)s WHERE %(column)s IS NULL LIMIT %(limit)s)"
    )

    # -- tables

    def table_sql(self, model: Any) -> tuple[str, Any]:
        """CREATE TABLE with every plain unique guard inside it, where it is valid from the first row on."""
        deferred_before = len(self.deferred_sql)
        sql, params = super().table_sql(model)
        together = list(model._meta.unique_together)
        deferred = slice(deferred_before, deferred_before + len(together))
        # Inside CREATE TABLE a guard on the key alone would become one with the key, and could not be dropped later.
        inline = [fields for fields in together if list(fields) != [model._meta.pk.name]]
        pairs = zip(self.deferred_sql[deferred], together, strict=True)
        self.deferred_sql[deferred] = [statement for statement, fields in pairs if fields not in inline]
        guards = [self._inline_unique_sql(model, fields) for fields in inline]
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
        if field.generated or field.primary_key:
            self._replace_empty_table(model, field.model, self._refusal_to_add(field))
            return
        db_params = field.db_parameters(connection=self.connection)
        if db_params["type"] is None:
            return
        _refuse_collation(field, db_params)
        table, column = self.quote_name(model._meta.db_table), self.quote_name(field.column)
        self.execute(self.sql_add_bare_column % {"table": table, "column": column, "type": db_params["type"]}, None)
        self.fill_and_close(model, field)
        if db_params["check"]:
            self._add_column_check(model, field, db_params["check"])
        if field.unique:
            self.execute(self._create_unique_sql(model, [field]), None)
        if field.db_comment:
            self.execute(*self._alter_column_comment_sql(model, field, db_params["type"], field.db_comment))
        if self._enforced_target(field):
            self.deferred_sql.append(self._create_fk_sql(model, field, FOREIGN_KEY_SUFFIX))
        self.deferred_sql.extend(self._field_indexes_sql(model, field))

    def remove_field(self, model: type[Model], field: Any) -> None:
        if field.primary_key:
            self._replace_empty_table(model, model_without(model, field), self._refusal_to_change_key(model))
            return
        super().remove_field(model, field)

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
        if old_db_params.get("collation") != new_db_params.get("collation"):
            _refuse_collation(new_field, new_db_params)
        if old_type != new_type or old_field.primary_key != new_field.primary_key:
            target = altered_model(model, old_field, new_field)
            self._replace_empty_table(model, target, self._refusal_to_alter(model, old_field, new_field))
            return
        self._drop_what_went(model, old_field, new_field, old_db_params, new_db_params)
        if old_field.column != new_field.column:
            self._rename_column(model, old_field, new_field, new_type)
        self._change_identity(model, old_field, new_field)
        self._change_default_and_null(model, old_field, new_field)
        self._add_what_came(model, old_field, new_field, old_db_params, new_db_params)

    def _refusal_to_add(self, field: Any) -> str:
        if field.primary_key:
            return self._refusal_to_change_key(field.model)
        table = field.model._meta.db_table
        return (
            f"The generated column {field} cannot be added while {table} holds rows: DSQL makes generated columns only "
            "together with their table. Add an ordinary column and fill it, or use an annotation."
        )

    def _refusal_to_change_key(self, model: type[Model]) -> str:
        return (
            f"The primary key of {model._meta.db_table} cannot change while it holds rows: make a new model with the key "
            "it should have, copy the rows in batches, and delete the old model."
        )

    def _refusal_to_alter(self, model: type[Model], old_field: Any, new_field: Any) -> str:
        if old_field.primary_key or new_field.primary_key:
            return self._refusal_to_change_key(model)
        name = f"model_name={model._meta.model_name!r}, name={new_field.name!r}"
        return (
            f"The type of {new_field} cannot change while {model._meta.db_table} holds rows, because DSQL cannot alter "
            f"a column's type: write dsql.migrations.AlterFieldByCopy({name}, field=...) in place of AlterField."
        )

    def _replace_empty_table(self, model: type[Model], target: type[Model], refusal: str) -> None:
        """Give an empty table its new shape by making it anew; refuse with `refusal` when it holds rows."""
        table = model._meta.db_table
        key = target._meta.pk
        if (list(relations_to(target)) or list(relations_to(model))) and self._type_of(model._meta.pk) != self._type_of(
            key
        ):
            raise NotSupportedError(f"The type of {key} cannot change: other tables refer to it.")
        aside = f"{table[:50]}__replaced"
        self._set_aside(table, aside, refusal)
        self.execute(self.sql_delete_table % {"table": self.quote_name(aside)}, None)
        self.deferred_sql = [
            sql for sql in self.deferred_sql if not (isinstance(sql, Statement) and sql.references_table(table))
        ]
        sql, params = self.table_sql(target)
        self.execute(sql, params or None)
        self.deferred_sql.extend(self._model_indexes_sql(target))
        for relation in relations_to(target):
            if self._enforced_target(relation):
                self.deferred_sql.append(self._create_fk_sql(relation.model, relation, FOREIGN_KEY_SUFFIX))

    def _set_aside(self, table: str, aside: str, refusal: str) -> None:
        """Rename an empty table; a table with rows keeps its name and NotSupportedError is raised.

        It is renamed before it is looked at, so that no row can arrive between the look and the DROP.
        """
        there, back = (
            self.sql_rename_table % {"old_table": self.quote_name(old), "new_table": self.quote_name(new)}
            for old, new in ((table, aside), (aside, table))
        )
        if self.collect_sql:
            self.execute(there, None)
            return

        def set_aside(is_repeat: bool) -> None:
            if not is_repeat or self._is_there(("table", table)):
                retried(lambda: self._send(there))
            if retried(lambda: self.connection.ops.tables_with_rows([aside])):
                retried(lambda: self._send(back))
                raise NotSupportedError(refusal)

        self.step(there, set_aside)

    def _type_of(self, field: Any) -> str | None:
        return field.db_type(connection=self.connection)

    def _drop_what_went(
        self, model: type[Model], old_field: Any, new_field: Any, old_params: dict[str, Any], new_params: dict[str, Any]
    ) -> None:
        own = {constraint.name for constraint in (*model._meta.constraints, *model._meta.indexes)}
        column = [old_field.column]
        target = self._enforced_target(new_field)
        if self._enforced_target(old_field) != target:
            for name, *actual_target in self._foreign_keys(model, old_field):
                if actual_target != target:
                    self.execute(self._delete_fk_sql(model, name), None)
        if old_field.unique and not new_field.unique:
            for name in self._constraint_names(model, column, unique=True, primary_key=False, exclude=own):
                self.execute(self._delete_unique_sql(model, name), None)
        if old_field.db_index and not old_field.unique and (not new_field.db_index or new_field.unique):
            for name in self._constraint_names(model, column, unique=False, index=True, type_="idx", exclude=own):
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

    def _change_identity(self, model: type[Model], old_field: Any, new_field: Any) -> None:
        old, new = (field.db_type_suffix(connection=self.connection) for field in (old_field, new_field))
        if old == new:
            return
        names = {"table": self.quote_name(model._meta.db_table), "column": self.quote_name(new_field.column)}
        self.execute((self.sql_add_identity if new else self.sql_drop_identity) % names, None)
        if new:
            start = self.answer("next {table}.{column}".format(**names), lambda: self._next_key(**names))
            self.execute("ALTER TABLE {table} ALTER COLUMN {column} RESTART WITH {n}".format(**names, n=start), None)

    def _next_key(self, table: str, column: str) -> int:
        if self.collect_sql:
            return 1
        with self.connection.cursor() as cursor:
            retried(lambda: cursor.execute(f"SELECT coalesce(max({column}), 0) + 1 FROM {table}"))  # noqa: S608
            return cursor.fetchone()[0]

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
        target = self._enforced_target(new_field)
        # The constraint is there already when it is the other table that was renamed.
        if (
            target
            and target != self._enforced_target(old_field)
            and target not in [actual_target for _, *actual_target in self._foreign_keys(model, new_field)]
            and not self._is_still_to_come(model, new_field)
        ):
            self.execute(self._create_fk_sql(model, new_field, FOREIGN_KEY_SUFFIX), None)
        if old_field.db_comment != new_field.db_comment:
            comment = self._alter_column_comment_sql(model, new_field, new_params["type"], new_field.db_comment)
            self.execute(*comment)

    # -- the steps

    def _default_literal(self, field: Any) -> str | None:
        """The value that existing rows get, as SQL; None for no value."""
        if field.has_db_default():
            sql, _ = self.db_default_sql(field)
            return None if sql == "NULL" else sql
        return self.answer(f"default of {field}", lambda: self._python_default(field))

    def _python_default(self, field: Any) -> str | None:
        value = self.effective_default(field)
        return None if value is None else self.connection.ops.compose_sql("%s", [value])

    def fill_and_close(self, model: type[Model], field: Any) -> None:
        """Give rows without a value the field's default, and refuse NULL from then on unless it is allowed."""
        table, column = self.quote_name(model._meta.db_table), self.quote_name(field.column)
        default = self._default_literal(field)
        if default is not None:
            self._set_default(table, column, default)
            self._backfill(model, field)
        if not field.null:
            self._add_not_null(model, field)
        if default is not None and not field.has_db_default():
            self._drop_default(table, column)

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
            "limit": LIMIT_PLACE,
        }
        if self.collect_sql:
            self.collected_sql.append(f"{sql.replace(LIMIT_PLACE, str(BATCH_ROWS))};")
            return
        # Filled rows are not looked for again, so a repeat needs no other care.
        self.step(sql, lambda is_repeat: self.in_batches(lambda limit: self._fill_batch(sql, limit)))

    def _fill_batch(self, sql: str, limit: int) -> bool:
        with self.connection.cursor() as cursor:
            cursor.execute(sql.replace(LIMIT_PLACE, str(limit)))
            return cursor.rowcount > 0

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

    # -- foreign keys

    def _enforced_target(self, field: Any) -> list[str] | None:
        """Table and column that the database itself holds `field` to; None when it does not."""
        if not (self.connection.features.supports_foreign_keys and field.remote_field and field.db_constraint):
            return None
        return [field.target_field.model._meta.db_table, field.target_field.column]

    def _foreign_keys(self, model: type[Model], field: Any) -> list[list[str]]:
        """The constraints on the column as they are now: name, table and column referred to."""
        return self.answer(f"foreign keys of {field}", lambda: self._read_foreign_keys(model, field.column))

    def _is_still_to_come(self, model: type[Model], field: Any) -> bool:
        """Whether the column's constraint waits among the deferred statements, which follow the renames by themselves."""
        return any(
            isinstance(sql, Statement)
            and sql.template == self.sql_create_fk
            and sql.references_column(model._meta.db_table, field.column)
            for sql in self.deferred_sql
        )

    def _read_foreign_keys(self, model: type[Model], column: str) -> list[list[str]]:
        with self.connection.cursor() as cursor:
            found = self.connection.introspection.get_constraints(cursor, model._meta.db_table)
        return [
            [name, *info["foreign_key"]]
            for name, info in found.items()
            if info["foreign_key"] and info["columns"] == [column]
        ]

    # -- indexes and constraints

    def rename_index(self, model: type[Model], old_index: Index, new_index: Index) -> None:
        # ALTER INDEX RENAME is not among what DSQL documents. The new index is there before the old one goes.
        self.add_index(model, new_index)
        self.remove_index(model, old_index)

    def _create_like_index_sql(self, model: type[Model], field: Any) -> None:
        return None  # in the C collation the plain index serves LIKE 'prefix%'

    def _create_index_sql(
        self, model: type[Model], *, expressions: Any = None, using: str = "", **kwargs: Any
    ) -> Statement:
        # DSQL's one kind of index is a btree, and USING is refused.
        kwargs["using"] = "" if using == PLAIN_METHOD else using
        return super()._create_index_sql(model, expressions=_without_order(expressions), **kwargs)

    def _create_unique_sql(self, model: type[Model], fields: Any, *args: Any, **kwargs: Any) -> Statement | None:
        kwargs["expressions"] = _without_order(kwargs.get("expressions"))
        return super()._create_unique_sql(model, fields, *args, **kwargs)

    def _index_columns(self, table: str, columns: Any, col_suffixes: Any, opclasses: Any) -> Columns:
        # DESC is refused and an index is read both ways; the pattern operator classes are the C collation's own order.
        if any(not opclass.endswith("_pattern_ops") for opclass in opclasses or ()):
            raise NotSupportedError(f"DSQL has no operator classes for index keys: {', '.join(opclasses)}.")
        return Columns(table, columns, self.quote_name)

    def _constraint_names(self, model: Any, column_names: Any = None, unique: Any = None, **kwargs: Any) -> list[str]:
        wanted = {name: sorted(value) if isinstance(value, set) else value for name, value in sorted(kwargs.items())}
        names = self.answer(
            f"constraints of {model._meta.db_table}: {column_names} unique={unique} {wanted}",
            lambda: super(DatabaseSchemaEditor, self)._constraint_names(model, column_names, unique, **kwargs),
        )
        if self.collect_sql and unique and column_names and not names:
            # `sqlmigrate` before `migrate`: there is no table to ask yet, and unique guards are named by one rule.
            return [str(self._unique_constraint_name(model._meta.db_table, column_names, quote=False))]
        return names

    def _unique_supported(self, *, deferrable: Any = None, **kwargs: Any) -> bool:
        if deferrable is not None:
            # Django would leave the constraint out without a word.
            raise NotSupportedError("DSQL has no deferrable unique constraints: leave `deferrable` out.")
        return super()._unique_supported(**kwargs)

    def _delete_constraint_sql(self, template: str, model: type[Model], name: str) -> Statement:
        if template == self.sql_delete_unique and not self._is_constraint(model, name):
            template = self.sql_delete_index
        return super()._delete_constraint_sql(template, model, name)

    def _is_constraint(self, model: type[Model], name: str) -> bool:
        table = model._meta.db_table
        return self.answer(f"is {name} a constraint of {table}", lambda: self._read_is_constraint(table, name))

    def _read_is_constraint(self, table: str, name: str) -> bool:
        with self.connection.cursor() as cursor:
            return self.connection.introspection.has_constraint(cursor, table, name)


def relations_to(model: type[Model]) -> Iterator[Any]:
    """The fields of other models that refer to `model`, those of many-to-many tables included."""
    relations: Any = model._meta._get_fields(forward=False, reverse=True, include_hidden=True, include_parents=False)
    for relation in relations:
        if not relation.many_to_many and relation.related_model is not model:
            yield relation.field


def _refuse_collation(field: Any, db_params: dict[str, Any]) -> None:
    if db_params.get("collation"):
        raise NotSupportedError(f"DSQL has one collation, that of bytes: leave db_collation out of {field}.")


def _without_order(expressions: Any) -> Any:
    """Index expressions with no ASC or DESC, which are refused; an index is read both ways."""
    for expression in expressions.get_source_expressions() if expressions else ():
        (source,) = expression.get_source_expressions()
        if isinstance(source, OrderBy):
            expression.set_source_expressions([source.expression])
    return expressions
