"""Operations for migrations."""

# The stubs leave out the private half of Django's schema editors.
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db import NotSupportedError
from django.db.migrations import AlterField
from django.db.models import CheckConstraint, CompositePrimaryKey, Field

from dsql.schema import FOREIGN_KEY_SUFFIX, relations_to
from dsql.steps import retried

COLUMN_PLACE = "{column}"
LAST_COLUMN_SQL = """
    SELECT max(a.attnum) FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid
    WHERE t.relname = %s AND pg_catalog.pg_table_is_visible(t.oid)
"""


class AlterFieldByCopy(AlterField):
    """AlterField for a column whose type changes while its table holds rows, which DSQL cannot do in place.

    The values are cast into a new column in batches of at most 1,000 rows a transaction; the new column gets its
    guards and indexes; what was written meanwhile is copied again; then the two columns change names, the rows that
    were written between the last copy and the change of names are copied, and the old column is dropped. Killed or
    failed, `migrate` resumes it.

    `using` is SQL in which `{column}` stands for the old column, such as "round({column} * 100)"; by default the value
    is only cast. It must give the same answer each time. `reverse_using` is the same for the way back.

    What writers see:
    - Before the change of names, the old column as it was. From shortly before it the old column takes NULL.
    - Two renames make the change, two transactions. Statements that come between them name a column that is not there
      (42703), and transactions that were open fail with a conflict (40001). Run them again.
    - After it the new type at once. A process whose models still have the old type writes what the database can cast,
      and reads the new type: deploy code that copes with both first.
    - Rows written through the old column in the last moment show the older value, or NULL, until the last copy has
      passed them. A row that was written again after the change of names keeps the newer value.
    - A NOT NULL is checked only after the last copy, so NULL is not refused during the change.

    Takes two more columns while it runs. Raises NotSupportedError for keys, generated columns, columns that others
    refer to or are generated from, and when the column's name changes too. A value that cannot be cast, or that breaks
    a guard, stops the migration with that error; repair the row and run `migrate` again.
    """

    def __init__(
        self,
        model_name: str,
        name: str,
        field: Field[Any, Any],
        using: str | None = None,
        reverse_using: str | None = None,
        preserve_default: bool = True,
    ) -> None:
        super().__init__(model_name, name, field, preserve_default)
        self.using = using
        self.reverse_using = reverse_using

    def deconstruct(self) -> tuple[str, Any, dict[str, Any]]:
        name, args, kwargs = super().deconstruct()
        for option in ("using", "reverse_using"):
            if getattr(self, option) is not None:
                kwargs[option] = getattr(self, option)
        return name, args, kwargs

    def reduce(self, operation: Any, app_label: str) -> bool:
        return False  # squashed into a plain AlterField it would be refused

    def describe(self) -> str:
        return f"{super().describe()} by copying"

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._copy(app_label, schema_editor, from_state, to_state, self.using)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._copy(app_label, schema_editor, from_state, to_state, self.reverse_using)

    def _copy(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any, using: str | None) -> None:
        to_model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, to_model):
            return
        from_model = from_state.apps.get_model(app_label, self.model_name)
        old_field, new_field = (model._meta.get_field(self.name) for model in (from_model, to_model))
        if not self.preserve_default:
            new_field.default = self.field.default
        ColumnCopy(schema_editor, from_model, old_field, new_field, using or COLUMN_PLACE).run()


class ColumnCopy:
    """The plan of one AlterFieldByCopy."""

    def __init__(self, editor: Any, model: Any, old_field: Any, new_field: Any, using: str) -> None:
        self.editor = editor
        self.model, self.target = model, new_field.model
        self.old_field, self.new_field = old_field, new_field
        self.using = using
        self._refuse()
        self.table, self.column = model._meta.db_table, new_field.column
        # Never used before in this table, because column numbers are not, and so free in names of indexes too.
        self.serial = editor.answer(f"next column of {self.table}", self._next_column)
        self.new, self.old, self.seen = (f"{self.column[:40]}__{kind}{self.serial}" for kind in ("new", "old", "seen"))
        self.stand_in = copy.copy(new_field)
        self.stand_in.column = self.new

    def run(self) -> None:
        self._add_columns()
        self._walk("copy", self._copy_sql())
        self._guard_new_column()
        self._walk("copy again", self._copy_sql())
        self._swap()
        self._name_guards()
        self._walk("copy the last", self._late_copy_sql())
        if not self.new_field.null:
            self.editor.fill_and_close(self.target, self.new_field)
        for name in (self.old, self.seen):
            self._alter(f"DROP COLUMN {self._quoted(name)} CASCADE")
        if self.new_field.db_comment:
            comment = self.editor._alter_column_comment_sql(self.target, self.new_field, "", self.new_field.db_comment)
            self.editor.execute(*comment)

    def _refuse(self) -> None:
        editor, old, new = self.editor, self.old_field, self.new_field
        if old.primary_key or new.primary_key or old.name in [field.name for field in self._key_fields]:
            raise NotSupportedError(
                f"{new} is in the primary key: make a new model with the key it should have, copy the rows in batches, "
                "and delete the old model."
            )
        if old.many_to_many or new.many_to_many or old.generated or new.generated:
            raise NotSupportedError(f"{new} has no values of its own to copy: remove the field and add the new one.")
        if old.column != new.column:
            raise NotSupportedError(f"{new} also changes its column's name: do that in an operation of its own.")
        if any(relation.target_field.column == old.column for relation in relations_to(self.model)):
            raise NotSupportedError(f"Other tables refer to {new}: point them elsewhere first.")
        generated = [field for field in self.target._meta.local_fields if field.generated]
        if any(self._mentions_column(partial(field.generated_sql, editor.connection)) for field in generated):
            raise NotSupportedError(f"A generated column is made from {new}: remove that one first.")

    # -- the steps

    def _add_columns(self) -> None:
        old_type, new_type = (self._type_of(field) for field in (self.old_field, self.new_field))
        for name, column_type in ((self.new, new_type), (self.seen, old_type)):
            self._alter(f"ADD COLUMN {self._quoted(name)} {column_type}")

    def _guard_new_column(self) -> None:
        """Everything but NOT NULL, which would refuse the rows of writers who know only the old column."""
        editor, field = self.editor, self.stand_in
        check = field.db_parameters(connection=editor.connection)["check"]
        if check:
            editor._add_column_check(self.target, field, check)
        if field.unique:
            editor.execute(editor._create_unique_sql(self.target, [field]), None)
        elif field.db_index:
            editor.execute(editor._create_index_sql(self.target, fields=[field]), None)
        if editor._enforced_target(field):
            editor.execute(editor._create_fk_sql(self.target, field, FOREIGN_KEY_SUFFIX), None)
        with self._standing_in(self.new):
            for names in self.target._meta.unique_together:
                if self.new_field.name in names:
                    fields = [self.target._meta.get_field(name) for name in names]
                    editor.execute(editor._create_unique_sql(self.target, fields), None)
        for guard in self._named_guards():
            with self._standing_in(self.new):
                self._make(self._renamed(guard))

    def _swap(self) -> None:
        if not self.old_field.null:
            self.editor._drop_not_null(self.model, self.old_field)  # new rows will not have the old column
        for before, after in ((self.column, self.old), (self.new, self.column)):
            self._alter(f"RENAME COLUMN {self._quoted(before)} TO {self._quoted(after)}")
        if self.new_field.has_db_default():
            default = self.editor._default_literal(self.new_field)
            self.editor._set_default(self._quoted(self.table), self._quoted(self.column), default)
        if self.old_field.has_db_default():
            self.editor._drop_default(self._quoted(self.table), self._quoted(self.old))

    def _name_guards(self) -> None:
        """Give the guards their names: constraints are renamed, indexes are built again before the first one goes."""
        for guard in self._named_guards():
            temporary = self._renamed(guard)
            self.editor.execute(guard.remove_sql(self.target, self.editor), None)
            if isinstance(guard, CheckConstraint):
                self._alter(f"RENAME CONSTRAINT {self._quoted(temporary.name)} TO {self._quoted(guard.name)}")
            else:
                self._make(guard)
                self.editor.execute(temporary.remove_sql(self.target, self.editor), None)

    # -- copying

    def _copy_sql(self) -> str:
        column, new, seen = map(self._quoted, (self.column, self.new, self.seen))
        value = self._cast(self.column)
        return (
            f"SET {new} = {value}, {seen} = {column} "
            f"WHERE ({new} IS DISTINCT FROM {value} OR {seen} IS DISTINCT FROM {column})"
        )

    def _late_copy_sql(self) -> str:
        """For rows that changed in the old column after their last copy, and not in the new one since."""
        column, old, seen = map(self._quoted, (self.column, self.old, self.seen))
        return (
            f"SET {column} = {self._cast(self.old)}, {seen} = {old} WHERE {old} IS DISTINCT FROM {seen} "
            f"AND ({column} IS NOT DISTINCT FROM {self._cast(self.seen)} OR ({column} IS NULL AND {seen} IS NULL))"
        )

    def _cast(self, column: str) -> str:
        return f"CAST(({self.using.replace(COLUMN_PLACE, self._quoted(column))}) AS {self._type_of(self.new_field)})"

    def _walk(self, label: str, change: str) -> None:
        """UPDATE the whole table, in the order of its key. Rows that need nothing are not written, so it can repeat."""
        update = f"UPDATE {self._quoted(self.table)} {change}"
        if self.editor.collect_sql:
            self.editor.collected_sql.append(f"-- in batches by the key: {label}")
            self.editor.collected_sql.append(f"{update};")
            return
        self.editor.step(f"{label}: {update}", lambda is_repeat: self._update_in_batches(update))

    def _update_in_batches(self, update: str) -> None:
        after: tuple[Any, ...] | None = None

        def update_batch(limit: int) -> bool:
            nonlocal after
            until = self._last_key_of_batch(after, limit)
            bounds = [(key, sign) for key, sign in ((after, ">"), (until, "<=")) if key]
            with self.editor.connection.cursor() as cursor:
                conditions = "".join(f" AND {self._key} {sign} {_row(key)}" for key, sign in bounds)
                cursor.execute(_escaped(update) + conditions, [value for key, _ in bounds for value in key])
            after = until
            return until is not None

        self.editor.in_batches(update_batch)

    def _last_key_of_batch(self, after: tuple[Any, ...] | None, limit: int) -> tuple[Any, ...] | None:
        """The key of the `limit`-th row behind `after`; None when there are fewer."""
        condition = f"WHERE {self._key} > {_row(after)} " if after else ""
        order = self._key.strip("()")
        sql = f"SELECT {order} FROM {self._quoted(self.table)} {condition}ORDER BY {order} LIMIT 1 OFFSET {limit - 1}"  # noqa: S608
        with self.editor.connection.cursor() as cursor:
            retried(lambda: cursor.execute(sql, after))
            return cursor.fetchone()

    # -- names

    @property
    def _key(self) -> str:
        return f"({', '.join(self._quoted(field.column) for field in self._key_fields)})"

    @property
    def _key_fields(self) -> list[Any]:
        key = self.model._meta.pk
        return list(key.fields) if isinstance(key, CompositePrimaryKey) else [key]

    def _next_column(self) -> int:
        with self.editor.connection.cursor() as cursor:
            retried(lambda: cursor.execute(LAST_COLUMN_SQL, [self.table]))
            return (cursor.fetchone()[0] or 0) + 1

    def _named_guards(self) -> Iterator[Any]:
        """The constraints and indexes of Meta that the column is a part of, in whatever way."""
        for guard in (*self.target._meta.constraints, *self.target._meta.indexes):
            if self._mentions_column(partial(guard.create_sql, self.target, self.editor)):
                yield guard

    def _mentions_column(self, make_sql: Callable[[], Any]) -> bool:
        before = str(make_sql())
        with self._standing_in(self.new if hasattr(self, "new") else f"{self.new_field.column}__"):
            return str(make_sql()) != before

    def _renamed(self, guard: Any) -> Any:
        renamed = guard.clone()
        renamed.name = f"{guard.name[:48]}__{self.serial}"
        return renamed

    def _make(self, guard: Any) -> None:
        self.editor.execute(guard.create_sql(self.target, self.editor), None)

    @contextmanager
    def _standing_in(self, column: str) -> Iterator[None]:
        """SQL made of the model's field names `column` inside the block."""
        before, self.new_field.column = self.new_field.column, column
        try:
            yield
        finally:
            self.new_field.column = before

    def _alter(self, action: str) -> None:
        self.editor.execute(f"ALTER TABLE {self._quoted(self.table)} {action}", None)

    def _type_of(self, field: Any) -> str:
        return field.db_parameters(connection=self.editor.connection)["type"]

    def _quoted(self, name: str) -> str:
        return self.editor.quote_name(name)


def _row(key: tuple[Any, ...]) -> str:
    return f"({', '.join(['%s'] * len(key))})"


def _escaped(sql: str) -> str:
    return sql.replace("%", "%%")
