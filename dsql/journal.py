"""The journal of a half-done migration, so that one that was killed or failed goes on where it stopped.

DDL cannot be rolled back together with what went before, so `migrate` writes down each operation and each step that
it has finished, and what its plans found in the catalog (a resumed plan must not see its own work and plan anew). The
rows of a migration are deleted when it is done. Only `migrate` journals; a schema editor used elsewhere does not.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from django.apps.registry import Apps
from django.contrib.contenttypes.management import RenameContentType
from django.core.management.base import CommandError
from django.db import DatabaseError, IntegrityError, NotSupportedError, models, transaction
from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.writer import OperationWriter
from django.utils import timezone

from dsql.fields import UUIDv7Field
from dsql.operations import BATCH_ROWS
from dsql.steps import retried
from dsql.transactions import is_unavailable, sqlstate_of

T = TypeVar("T")

NO_NUMBER = -1
TEXT_LENGTH_MAX = 10_000


class Entry(models.Model):
    """One row: a finished operation, a step that was begun or finished, or an answer that a plan was made from.

    `number` is the operation's place in the migration, when that is known. `text` is the operation's description, the
    step's SQL, or the question. Steps and answers of an operation are deleted when it is finished.
    """

    class Kind(models.TextChoices):
        OPERATION = "operation"
        STEP = "step"
        ANSWER = "answer"

    id = UUIDv7Field(primary_key=True)
    app = models.CharField(max_length=255)
    name = models.CharField(max_length=255)
    backwards = models.BooleanField()
    ordinal = models.IntegerField()
    kind = models.CharField(max_length=9, choices=Kind.choices)
    number = models.IntegerField()
    text = models.TextField()
    answer = models.TextField(default="")
    is_done = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager[Entry] = models.Manager()

    class Meta:
        apps = Apps()  # known to no registry, so that no migration is made for it
        app_label = "dsql"
        db_table = "dsql_journal"
        constraints = [
            # Of two processes that migrate at the same time, one stops at its first step.
            models.UniqueConstraint(fields=["app", "name", "backwards", "ordinal"], name="dsql_journal_one_writer"),
        ]

    def __str__(self) -> str:
        return f"{self.app}.{self.name} {self.kind} {self.text}"


class Journal:
    """The journal of one migration in one direction.

    Raises CommandError when the migration was changed in a part that is done, or when it is half done in the other
    direction.
    """

    def __init__(self, connection: Any, migration: Migration, backwards: bool) -> None:
        ensure_table(connection)
        self.connection = connection
        self.migration = migration
        self._identity = {"app": migration.app_label, "name": migration.name, "backwards": backwards}
        entries = list(self._entries.order_by("ordinal"))
        self._ordinal = max((entry.ordinal for entry in entries), default=0)
        self._finished = {entry.number: entry.text for entry in entries if entry.kind == Entry.Kind.OPERATION}
        # What is left of a finished operation is only not deleted yet.
        self._left = [entry for entry in entries if entry.number not in self._finished]
        self._number = 0
        self._asked: list[Entry] = []  # answers that no step has depended on yet, and that are not written yet
        self._own: list[Any] = []  # ids of the rows of the operation in progress
        self._refuse_other_direction()
        self._refuse_changes()
        operations: Any = migration.operations  # a list of this object's own
        operations[:] = [self._once(*numbered) for numbered in enumerate(operations)]

    @property
    def _entries(self) -> Any:
        return Entry.objects.using(self.connection.alias).filter(**self._identity)

    @property
    def progress(self) -> str:
        """What is done already, in words; "" for a fresh start."""
        steps = sum(entry.kind == Entry.Kind.STEP and entry.is_done for entry in self._left)
        if not self._finished and not self._left:
            return ""
        return f"{len(self._finished)} of {len(self.migration.operations)} operations and {steps} steps of the next"

    def close(self) -> list[str]:
        """Delete the rows: the migration is done. Returns the steps that were done and are no longer part of it."""
        self._delete(list(self._entries.values_list("pk", flat=True)))
        return [entry.text for entry in self._left if entry.kind == Entry.Kind.STEP and entry.is_done]

    # -- operations

    def _once(self, number: int, operation: Operation) -> Operation:
        """A copy of `operation` that changes the database once, however often the migration is begun."""
        journalled = copy.copy(operation)
        for name in ("database_forwards", "database_backwards"):
            setattr(journalled, name, self._change(number, getattr(operation, name)))
        return journalled

    def _change(self, number: int, change: Callable[..., None]) -> Callable[..., None]:
        def change_once(app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
            if number in self._finished:
                return
            self._number = number
            if not _meets_stale_content_type(self.migration.operations[number], from_state, self.connection.alias):
                change(app_label, schema_editor, from_state, to_state)
            if self.connection.in_atomic_block:
                self._finish(number)  # in the operation's own transaction: exactly once
                return
            schema_editor.run_deferred()  # a finished operation owes nothing to the ones after it
            retried(lambda: self._finish(number))

        return change_once

    def _finish(self, number: int) -> None:
        text = fingerprint(self.migration.operations[number])
        with transaction.atomic(using=self.connection.alias):
            self._entry(Entry.Kind.OPERATION, text, is_done=True).save(force_insert=True, using=self.connection.alias)
            if self._left:  # of an operation that the changed file has farther down
                self._entries.filter(pk__in=[entry.pk for entry in self._left]).update(number=NO_NUMBER)
        self._finished[number] = text
        own, self._own, self._asked = self._own, [], []
        if not self.connection.in_atomic_block:
            self._delete(own)

    def _delete(self, keys: list[Any]) -> None:
        for start in range(0, len(keys), BATCH_ROWS):
            batch = self._entries.filter(pk__in=keys[start : start + BATCH_ROWS])
            retried(batch.delete)

    def _refuse_changes(self) -> None:
        operations = dict(enumerate(self.migration.operations))
        for number, text in self._finished.items():
            if number not in operations or fingerprint(operations[number]) != text:
                raise CommandError(
                    f"{self.migration} was changed after a part of it was done: its operation {number + 1} was "
                    f"'{text}'. Put it back, or undo what is done by hand and drop the journal: "
                    f"manage.py dsql_journal {self.migration.app_label} {self.migration.name} --forget"
                )

    def _refuse_other_direction(self) -> None:
        others = Entry.objects.using(self.connection.alias).filter(
            app=self.migration.app_label, backwards=not self._identity["backwards"]
        )
        if other := others.first():
            done, command = ("un", "migrate backwards") if other.backwards else ("", "migrate forwards")
            raise CommandError(
                f"{other.app}.{other.name} is half {done}applied: first {command} to its end, or undo what is done "
                f"by hand and drop the journal: manage.py dsql_journal {other.app} {other.name} --forget"
            )

    # -- steps

    def step(self, text: str, run: Callable[[bool], None]) -> None:
        """Do `run(is_repeat)` unless it is done. `is_repeat` says that an earlier run began it and was cut off."""
        text = _storable(text)
        entry = self._take(Entry.Kind.STEP, text)
        if entry and entry.is_done:
            return
        is_repeat = entry is not None
        entry, before = (entry, []) if entry else self._begin(text)
        try:
            run(is_repeat)
        except DatabaseError as error:
            if not is_repeat and self._is_answer(error):
                # The database said no, so nothing is begun: after a repair the next run must look at it afresh.
                retried(lambda: self._entries.filter(pk__in=[entry.pk, *before]).delete())
            raise
        retried(lambda: self._entries.filter(pk=entry.pk).update(is_done=True))

    def write(self, text: str, run: Callable[[], None]) -> None:
        """Do `run`, which changes rows, in one transaction with its mark: exactly once."""
        text = _storable(text)
        if self._take(Entry.Kind.STEP, text):
            return
        mark = self._entry(Entry.Kind.STEP, text, is_done=True)

        def run_and_mark() -> None:
            with transaction.atomic(using=self.connection.alias):
                run()
                mark.save(force_insert=True, using=self.connection.alias)

        retried(run_and_mark)
        self._own.append(mark.pk)

    def answer(self, question: str, ask: Callable[[], T]) -> T:
        """The answer of an earlier run, or that of `ask`, which must be fit for JSON."""
        if entry := self._take(Entry.Kind.ANSWER, question):
            return json.loads(entry.answer)
        found = ask()
        if not self.connection.in_atomic_block:
            self._asked.append(self._entry(Entry.Kind.ANSWER, question, answer=json.dumps(found), is_done=True))
        return found

    def _begin(self, text: str) -> tuple[Entry, list[Any]]:
        """Write that a step begins, after the answers it may depend on; also returns the keys of those."""
        entry = self._entry(Entry.Kind.STEP, text)
        entries, self._asked = [*self._asked, entry], []
        try:
            retried(lambda: Entry.objects.using(self.connection.alias).bulk_create(entries))
        except IntegrityError as error:
            raise CommandError(f"Another process is at work on {self.migration}.") from error
        keys = [entry.pk for entry in entries]
        self._own += keys
        return entry, keys

    def _entry(self, kind: str, text: str, **values: Any) -> Entry:
        self._ordinal += 1
        return Entry(**self._identity, ordinal=self._ordinal, kind=kind, number=self._number, text=text, **values)

    def _take(self, kind: str, text: str) -> Entry | None:
        # By its text and not by its place: what a plan asks for in the order of a set may come in another order.
        for entry in self._left:
            if (entry.kind, entry.text) == (kind, text):
                self._left.remove(entry)
                self._own.append(entry.pk)
                return entry
        return None

    def _is_answer(self, error: DatabaseError) -> bool:
        if isinstance(error, IntegrityError | NotSupportedError):
            return True  # some of them are raised by the plan itself, after it has cleaned up
        is_open = self.connection.connection is not None and not self.connection.connection.closed
        return is_open and sqlstate_of(error) is not None and not is_unavailable(error)


def _meets_stale_content_type(operation: Operation, from_state: Any, alias: str) -> bool:
    """Whether `operation` renames a content type to a name that is taken.

    Django lets that fail and goes on with the old name, in a nested block. Without savepoints the error would end the
    operation's whole transaction, its note in the journal included, in each run of `migrate` anew.
    """
    if not isinstance(operation, RenameContentType):
        return False
    content_types = from_state.apps.get_model("contenttypes", "ContentType").objects.using(alias)
    names = content_types.filter(app_label=operation.app_label).values_list("model", flat=True)
    return {operation.old_model, operation.new_model} <= set(names)


def fingerprint(operation: Operation) -> str:
    """What tells a changed operation from an unchanged one: its description and a digest of its source."""
    try:
        source, _ = OperationWriter(operation, indentation=0).serialize()
    except Exception:  # anybody may write an operation, and what cannot be serialized fails in many ways
        source = ""
    return f"{operation.describe()} [{hashlib.sha256(source.encode()).hexdigest()[:12]}]"


def _storable(text: str) -> str:
    """`text` itself, or when it is long its beginning and a digest: a value has at most 1 MiB."""
    if len(text) <= TEXT_LENGTH_MAX:
        return text
    return f"{text[:TEXT_LENGTH_MAX]}... [{hashlib.sha256(text.encode()).hexdigest()}]"


def has_table(connection: Any) -> bool:
    """Whether `connection`'s database has a journal at all."""
    with connection.cursor() as cursor:
        return Entry._meta.db_table in connection.introspection.table_names(cursor)


def ensure_table(connection: Any) -> None:
    """Make the journal's table when it is not there; outside migrations, as Django makes django_migrations."""
    if has_table(connection):
        return
    with connection.schema_editor() as editor:
        editor.create_model(Entry)


def unfinished(connection: Any, applied: Collection[tuple[str, str]]) -> list[tuple[str, str, bool]]:
    """The half-done migrations, as (app, name, backwards). Rows that a finished one has left behind are deleted.

    `applied` are the migrations that count as applied. One can be finished and have rows when the process was
    killed between the record in django_migrations and the end of its journal.
    """
    if not has_table(connection):
        return []
    entries = Entry.objects.using(connection.alias)
    found = sorted(set(entries.values_list("app", "name", "backwards")))
    half_done = [(app, name, backwards) for app, name, backwards in found if ((app, name) in applied) == backwards]
    for app, name, backwards in set(found) - set(half_done):
        entries.filter(app=app, name=name, backwards=backwards).delete()
    return half_done
