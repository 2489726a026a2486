"""The planned faults, each seen by plain transactions and by `run_transaction`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
from django.db import InternalError, OperationalError, connection, transaction

from dsql import faults, transactions
from dsql.tests.strict import other_connection
from dsql.transactions import OutcomeUnknown, run_transaction, sqlstate_of


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "sleep", lambda seconds: None)


def insert() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO x_big VALUES (1)")


def count() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM x_big")
        return cursor.fetchone()[0]


UNKNOWN: list[tuple[Callable[[], AbstractContextManager[faults.Injection]], type[Exception], int]] = [
    (faults.lose_commits, OperationalError, 0),
    (faults.lose_commit_answers, OperationalError, 1),
    (lambda: faults.unavailable_commits(committed=False), InternalError, 0),
    (lambda: faults.unavailable_commits(committed=True), InternalError, 1),
]
IDS = ["lost before", "lost after", "unavailable before", "unavailable after"]


@pytest.mark.parametrize(("fault", "error", "rows"), UNKNOWN, ids=IDS)
def test_commits_of_unknown_outcome(raw: Any, fault: Any, error: type[Exception], rows: int) -> None:
    with fault() as injection, pytest.raises(error):
        transaction.atomic(insert)()

    assert (injection.injected, count()) == (1, rows)


@pytest.mark.parametrize(("fault", "error", "rows"), UNKNOWN, ids=IDS)
def test_a_retried_transaction_does_not_guess(raw: Any, fault: Any, error: type[Exception], rows: int) -> None:
    with fault(), pytest.raises(OutcomeUnknown):
        run_transaction(insert)

    assert count() == rows


@pytest.mark.parametrize(("fault", "error", "rows"), UNKNOWN, ids=IDS)
def test_a_replayable_transaction_is_there_once(raw: Any, fault: Any, error: type[Exception], rows: int) -> None:
    def insert_once() -> None:
        if count() == 0:
            insert()

    with fault() as injection:
        run_transaction(insert_once, replayable=True)

    assert (injection.injected, count()) == (1, 1)


def test_a_schema_change_meets_every_other_connection_once(raw: Any, in_thread: Any) -> None:
    seen: list[Any] = []

    def work() -> None:
        count()
        ready.set()
        changed.wait(5)
        for _ in range(2):
            try:
                seen.append(count())
            except OperationalError as error:
                seen.append((sqlstate_of(error), "(OC001)" in str(error)))

    ready, changed = threading.Event(), threading.Event()
    thread = in_thread(work)
    ready.wait(5)
    with faults.schema_changed() as injection:
        changed.set()
        thread.join(5)
        assert count() == 0  # the author knows its own change

    assert seen == [("40001", True), 0]
    assert injection.injected == 1


def test_a_schema_change_between_the_last_statement_and_commit(raw: Any, in_thread: Any) -> None:
    changes: list[Any] = []

    def change() -> None:
        changes.append(faults.schema_changed())
        changes[0].__enter__()

    attempts: list[str] = []

    def work() -> None:
        insert()
        if not changes:
            in_thread(change).join(5)

    run_transaction(work, on_attempt=lambda event, attempt, exc: attempts.append(event))

    changes[0].__exit__(None, None, None)
    assert attempts == ["conflict", "ok"]
    assert count() == 1


def test_a_connection_made_after_a_schema_change_does_not_meet_it(raw: Any) -> None:
    with faults.schema_changed() as injection:
        connection.close()
        connection.close_pool()
        assert count() == 0

    assert injection.injected == 0


def test_refused_logins(raw: Any) -> None:
    with faults.refuse_connections(2) as injection:
        for _ in range(2):
            with pytest.raises(psycopg.OperationalError, match="Signature expired"):
                other_connection()
        other_connection().close()

    assert injection.injected == 2


def test_a_transaction_begins_again_while_the_cluster_wakes_up(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    connection.close_pool()
    monkeypatch.delitem(connection.settings_dict["OPTIONS"], "pool")  # which would wait in its own way
    with faults.sleeping_cluster(2) as injection:
        run_transaction(insert)

    assert (injection.injected, count()) == (2, 1)
    connection.close()


def test_statements_and_commits_of_other_aliases_are_left_alone(raw: Any) -> None:
    with (
        faults.lose_commits(using="other") as lost,
        faults.unavailable_commits(committed=False, using="other") as unavailable,
    ):
        transaction.atomic(insert)()

    assert (lost.injected, unavailable.injected, count()) == (0, 0, 1)
