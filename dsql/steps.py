"""The steps of a migration: one statement a transaction, jobs awaited and their results verified.

With a journal (see `dsql.journal`) a step that a killed run had finished is not done again, and one that it had
begun is first looked at: done, half done, or not done.
"""

# The stubs leave out the private half of Django's backends, which a backend has to override.
# mypy: disable-error-code="attr-defined, misc, override"

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from django.db import DatabaseError, IntegrityError, OperationalError
from django.db.backends.ddl_references import Statement
from django.db.backends.postgresql import schema

from dsql.operations import BATCH_ROWS
from dsql.statements import Facts, Kind, read
from dsql.strict.refusals import LIMIT_EXCEEDED
from dsql.transactions import is_conflict, sqlstate_of

T = TypeVar("T")

# After any DDL in the cluster the first statement of another connection may be refused with OC001.
DDL_ATTEMPTS_MAX = 8
DDL_PAUSE_S = 0.1
INDEX_STATE_SQL = """
    SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relname = %s AND c.relname = %s AND pg_catalog.pg_table_is_visible(t.oid)
"""
CONSTRAINT_STATE_SQL = """
    SELECT con.convalidated FROM pg_constraint con JOIN pg_class t ON t.oid = con.conrelid
    WHERE t.relname = %s AND con.conname = %s AND pg_catalog.pg_table_is_visible(t.oid)
"""
EXISTS_SQL = {
    "table": "SELECT 1 FROM pg_class t WHERE t.relname = %s AND pg_catalog.pg_table_is_visible(t.oid)",
    "column": """
        SELECT 1 FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid
        WHERE t.relname = %s AND a.attname = %s AND NOT a.attisdropped AND pg_catalog.pg_table_is_visible(t.oid)
    """,
    "identity": """
        SELECT 1 FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid
        WHERE t.relname = %s AND a.attname = %s AND a.attidentity <> '' AND pg_catalog.pg_table_is_visible(t.oid)
    """,
    "constraint": CONSTRAINT_STATE_SQL,
}
# The name comes with its schema on a cluster.
RUNNING_JOBS_SQL = """
    SELECT job_id FROM sys.jobs
    WHERE split_part(object_name, '.', -1) = %s AND status NOT IN ('completed', 'failed', 'cancelled')
"""
VALIDATE_AT_ONCE = re.compile(
    r"^\s*ALTER\s+TABLE\s+(?!ASYNC\b)(.+\s+VALIDATE\s+CONSTRAINT\s)", re.IGNORECASE | re.DOTALL
)
NOT_VALID = " NOT VALID"
ASYNC_PREFIXES = ("CREATE INDEX ASYNC", "CREATE UNIQUE INDEX ASYNC", "ALTER TABLE ASYNC")


def retried(run: Callable[[], T]) -> T:
    """The result of `run`, which is run again, after a pause, while the database answers with a conflict."""
    for attempt in range(1, DDL_ATTEMPTS_MAX):
        try:
            return run()
        except OperationalError as error:
            if not is_conflict(error):
                raise
            time.sleep(DDL_PAUSE_S * attempt)
    return run()


class StepRunner(schema.DatabaseSchemaEditor):
    """The half of the schema editor that runs what the other half asks for."""

    sql_create_check = "ALTER TABLE %(table)s ADD CONSTRAINT %(name)s CHECK (%(check)s) NOT VALID"
    sql_create_fk = (
        "ALTER TABLE %(table)s ADD CONSTRAINT %(name)s FOREIGN KEY (%(column)s) "
        "REFERENCES %(to_table)s (%(to_column)s)%(deferrable)s NOT VALID"
    )
    sql_validate_constraint = "ALTER TABLE ASYNC %(table)s VALIDATE CONSTRAINT %(name)s"

    def execute(self, sql: Any, params: Any = ()) -> None:
        """Run one statement as a step: in a transaction of its own, again after a conflict, its job awaited.

        A CHECK or a foreign key is one step with its validation. Raises IntegrityError when a job ends without
        success; the invalid index or constraint is dropped first.
        """
        text = str(sql)
        if params:
            text = self.connection.ops.compose_sql(text, params)
        text = self._in_dialect(text)
        validation = self._validation_of(sql)
        if self.collect_sql or self.connection.in_atomic_block:
            # Collects it, or refuses it: DDL cannot share a transaction.
            for statement in filter(None, (text, validation)):
                super().execute(statement, None)
            return
        facts = read(text)
        if facts.kind is Kind.WRITE:
            self._write_once(text)
        elif facts.kind is Kind.INDEX:
            self.step(text, lambda is_repeat: self._build_index(text, facts, is_repeat))
        elif facts.kind is Kind.VALIDATION:
            self.step(text, lambda is_repeat: self._validate(text, facts, is_repeat))
        elif validation:
            self.step(text, lambda is_repeat: self._add_valid(text, validation, facts, is_repeat))
        else:
            self.step(text, lambda is_repeat: self._run_ddl(text, facts, is_repeat))

    def step(self, text: str, run: Callable[[bool], None]) -> None:
        """Do `run` once in the life of the migration, whose journal knows it as `text`.

        `run(True)` is called when a killed run had begun it; it must then find out what is left to do.
        """
        if self.connection.journal:
            self.connection.journal.step(text, run)
        else:
            run(False)

    def answer(self, question: str, ask: Callable[[], T]) -> T:
        """What `ask` finds out about the schema or the clock; a resumed migration gets the first run's answer.

        A plan made from the same answers asks for the same steps, so the done ones can be told apart.
        """
        if self.collect_sql or not self.connection.journal:
            return ask()
        return self.connection.journal.answer(question, ask)

    def in_batches(self, run: Callable[[int], bool]) -> None:
        """Call `run` with a number of rows until it says that no more are left; with fewer once they are too large."""
        limit = BATCH_ROWS
        is_more = True
        while is_more:
            try:
                is_more = retried(partial(run, limit))
            except DatabaseError as error:
                if sqlstate_of(error) != LIMIT_EXCEEDED or limit == 1:
                    raise
                limit //= 2  # so many wide rows are more than the 10 MiB that a transaction may change

    def run_deferred(self) -> None:
        """Run what operations have put off to the end."""
        statements, self.deferred_sql = self.deferred_sql, []
        for sql in statements:
            self.execute(sql, None)

    def _in_dialect(self, text: str) -> str:
        # As Django's operations for PostgreSQL write it.
        text = VALIDATE_AT_ONCE.sub(r"ALTER TABLE ASYNC \1", text).replace(NOT_VALID * 2, NOT_VALID)
        is_foreign = text.upper().startswith(ASYNC_PREFIXES) and not self.connection.speaks_dsql
        return text.replace(" ASYNC", "", 1) if is_foreign else text

    def _validation_of(self, sql: Any) -> str | None:
        if not isinstance(sql, Statement) or sql.template not in (self.sql_create_check, self.sql_create_fk):
            return None
        return self._in_dialect(self.sql_validate_constraint % {name: sql.parts[name] for name in ("table", "name")})

    # -- one step each

    def _write_once(self, text: str) -> None:
        if self.connection.journal:
            self.connection.journal.write(text, lambda: self._send(text))
        else:
            retried(lambda: self._send(text))

    def _run_ddl(self, text: str, facts: Facts, is_repeat: bool) -> None:
        try:
            retried(lambda: self._send(text))
        except DatabaseError as error:
            if not (is_repeat and sqlstate_of(error) in facts.errors_of_repeat and self._is_there(facts.leaves)):
                raise

    def _build_index(self, text: str, facts: Facts, is_repeat: bool) -> None:
        if self._state_of_index(facts) is False:
            self._wait_for_jobs(facts.name)  # an earlier run may have left it building
        state = self._state_of_index(facts)
        if state is False:
            self._drop_index(facts.name)  # its build failed, and it would never become valid
        elif state and is_repeat:
            return
        try:
            details = self._run_job(text)
        except DatabaseError:
            self._drop_if_invalid(facts)
            raise
        if self._drop_if_invalid(facts):
            raise IntegrityError(f"{text} failed: {details}")

    def _add_valid(self, text: str, validation: str, facts: Facts, is_repeat: bool) -> None:
        state = self._state_of_constraint(facts) if is_repeat else None
        if state is None:
            retried(lambda: self._send(text))
        if state:
            return
        try:
            self._validate(validation, facts, is_repeat)
        except DatabaseError:
            # Without this a repeat of the migration would stumble over the constraint it has left behind.
            table, name = map(self.quote_name, (facts.table, facts.name))
            retried(lambda: self._send(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
            raise

    def _validate(self, text: str, facts: Facts, is_repeat: bool) -> None:
        if is_repeat:
            self._wait_for_jobs(facts.name)
            if self._state_of_constraint(facts):
                return
        details = self._run_job(text)
        if self._state_of_constraint(facts) is False:
            raise IntegrityError(f"{text} failed: {details}")

    # -- statements

    def _send(self, text: str) -> None:
        super().execute(text, None) if not self.connection.in_atomic_block else self._send_in_block(text)

    def _send_in_block(self, text: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(text)

    def _run_job(self, text: str) -> str:
        """Run the statement and wait for its job; returns what the job has to say, which matters when it failed."""
        if not text.upper().startswith(ASYNC_PREFIXES):
            retried(lambda: self._send(text))
            return ""
        with self.connection.cursor() as cursor:
            retried(lambda: cursor.execute(text))
            row = cursor.fetchone()  # none when IF NOT EXISTS found it there
        if not row:
            return ""
        self._wait(row[0])
        return self._ask("SELECT details FROM sys.jobs WHERE job_id = %s", row[0]) or ""

    def _wait(self, job_id: str) -> None:
        # A build of many rows takes many minutes, which no deadline of a statement must cut short.
        with self.connection.statement_deadline(None), self.connection.cursor() as cursor:
            retried(lambda: cursor.execute("CALL sys.wait_for_job(%s)", [job_id]))

    def _wait_for_jobs(self, name: str) -> None:
        if not self.connection.speaks_dsql:
            return
        with self.connection.cursor() as cursor:
            cursor.execute(RUNNING_JOBS_SQL, [name])
            job_ids = [row[0] for row in cursor.fetchall()]
        for job_id in job_ids:
            self._wait(job_id)

    def _drop_if_invalid(self, facts: Facts) -> bool:
        is_invalid = self._state_of_index(facts) is False
        if is_invalid:
            self._drop_index(facts.name)
        return is_invalid

    def _drop_index(self, name: str) -> None:
        retried(lambda: self._send(f"DROP INDEX IF EXISTS {self.quote_name(name)}"))

    # -- looking at the catalog

    def _state_of_index(self, facts: Facts) -> bool | None:
        """Whether the index is valid; None when there is none."""
        return self._ask(INDEX_STATE_SQL, facts.table, facts.name)

    def _state_of_constraint(self, facts: Facts) -> bool | None:
        """Whether the constraint is valid; None when there is none."""
        return self._ask(CONSTRAINT_STATE_SQL, facts.table, facts.name)

    def _is_there(self, thing: tuple[str, ...]) -> bool:
        if not thing:
            return True
        kind, *names = thing
        return self._ask(EXISTS_SQL[kind], *names) is not None

    def _ask(self, sql: str, *names: str) -> Any:
        with self.connection.cursor() as cursor:
            retried(lambda: cursor.execute(sql, names))
            row = cursor.fetchone()
        return row and row[0]
