from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from django.apps.registry import Apps
from django.db import (
    IntegrityError,
    InternalError,
    NotSupportedError,
    OperationalError,
    connection,
    models,
    transaction,
)
from django.db.models import F
from psycopg_pool import PoolTimeout

from dsql import faults, transactions
from dsql.fields import UUIDv7Field
from dsql.ids import uuid7
from dsql.transactions import (
    Conflict40001,
    Nested,
    OutcomeUnknown,
    RetriesExhausted,
    joins_transaction,
    run_transaction,
)

registry = Apps()


class Counter(models.Model):
    id = UUIDv7Field(primary_key=True)
    name = models.CharField(max_length=20, unique=True)
    value = models.IntegerField(default=0)

    class Meta:
        app_label = "dsql_tests"
        apps = registry
        db_table = "x_counter"


@pytest.fixture(autouse=True)
def table(make_tables: Any) -> None:
    make_tables(Counter)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which take no time; jitter is fixed at its middle."""
    taken: list[float] = []
    monkeypatch.setattr(transactions, "sleep", taken.append)
    monkeypatch.setattr(transactions, "random", lambda: 0.5)
    return taken


class Attempts:
    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    def __call__(self, event: str, attempt: int, exc: BaseException | None) -> None:
        self.events.append((event, attempt))


def add(name: str = "a") -> Any:
    return Counter.objects.create(name=name).id


@pytest.mark.parametrize("failures", range(6))
def test_a_refused_commit_is_run_again_whole(failures: int, pauses: list[float]) -> None:
    attempts, hooks = Attempts(), []

    def body() -> str:
        add()
        transaction.on_commit(lambda: hooks.append(1))
        return "done"

    with faults.fail_commits(times=failures) as injection:
        assert run_transaction(body, on_attempt=attempts) == "done"

    assert injection.injected == failures
    assert Counter.objects.count() == 1
    assert hooks == [1]
    assert attempts.events == [("conflict", n) for n in range(1, failures + 1)] + [("ok", failures + 1)]


def test_pauses_double_up_to_the_cap(pauses: list[float]) -> None:
    with faults.fail_commits(times=9):
        run_transaction(add)

    assert pauses == [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.05, 0.05, 0.05]


def test_after_the_deadline_it_gives_up_and_leaves_no_trace() -> None:
    attempts = Attempts()
    with faults.fail_commits(times=1000), pytest.raises(RetriesExhausted) as caught:
        run_transaction(add, deadline_s=0.05, on_attempt=attempts)

    assert caught.value.attempts == len(attempts.events) - 1
    assert attempts.events[-1] == ("exhausted", caught.value.attempts)
    assert isinstance(caught.value.__cause__, OperationalError)
    assert Counter.objects.count() == 0


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_conflict_at_a_statement_is_run_again(nth: int, sqlstate: str, pauses: list[float]) -> None:
    def body() -> None:
        add("a")
        add("b")

    with faults.fail_statement(nth, sqlstate) as injection:
        run_transaction(body)

    assert (injection.injected, len(pauses), Counter.objects.count()) == (1, 1, 2)


def test_a_guarded_write_that_lost_is_run_again(pauses: list[float]) -> None:
    calls = []

    def body() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise Conflict40001("moved")
        add()

    run_transaction(body)

    assert (len(calls), Counter.objects.count()) == (3, 1)


@pytest.mark.parametrize("sqlstate", ["22012", "23514", "XX000", "54000"])
def test_other_errors_are_raised_at_once(sqlstate: str, pauses: list[float]) -> None:
    with faults.fail_statement(1, sqlstate, "something else"), pytest.raises(Exception) as caught:
        run_transaction(add)

    assert transactions.sqlstate_of(caught.value) == sqlstate
    assert pauses == []


def test_server_unavailable_before_commit_is_run_again(pauses: list[float]) -> None:
    attempts = Attempts()
    with faults.fail_statement(1, "XX000", "server unavailable"):
        run_transaction(add, on_attempt=attempts)

    assert attempts.events == [("lost", 1), ("ok", 2)]
    assert Counter.objects.count() == 1


def test_a_connection_that_died_before_commit_is_replaced(pauses: list[float]) -> None:
    attempts, backends = Attempts(), []

    def body() -> None:
        add()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            backends.append(cursor.fetchone()[0])
            if len(backends) == 1:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    run_transaction(body, on_attempt=attempts)

    assert attempts.events == [("lost", 1), ("ok", 2)]
    assert backends[0] != backends[1]
    assert Counter.objects.count() == 1


def test_a_full_pool_is_not_asked_again(pauses: list[float]) -> None:
    def body() -> None:
        raise OperationalError("pool timeout") from PoolTimeout("couldn't get a connection after 1.00 sec")

    with pytest.raises(RetriesExhausted, match="No connection was free"):
        run_transaction(body)

    assert pauses == []


def test_an_idle_connection_that_died_is_replaced(pauses: list[float]) -> None:
    connection.ensure_connection()
    with psycopg.connect(connection.connection.info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 2000)", [connection.connection.info.backend_pid])

    run_transaction(add)

    assert Counter.objects.count() == 1


def test_a_lost_answer_is_unknown_when_the_body_cannot_be_replayed(pauses: list[float]) -> None:
    hooks: list[int] = []

    def body() -> None:
        add()
        transaction.on_commit(lambda: hooks.append(1))

    with faults.lose_commit_answers() as injection, pytest.raises(OutcomeUnknown):
        run_transaction(body)

    assert (injection.injected, hooks) == (1, [])
    assert Counter.objects.count() == 1  # it was there all along, which the caller could not know


@pytest.mark.parametrize("replayable", [False, True])
def test_server_unavailable_as_the_answer_to_commit_is_unknown(
    replayable: bool, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    counter_id, answers = uuid7(), ["server unavailable"]
    commit = psycopg.Connection.commit

    def unavailable(self: psycopg.Connection[Any]) -> None:
        commit(self)
        if answers:
            raise psycopg.errors.InternalError_(answers.pop())

    monkeypatch.setattr(psycopg.Connection, "commit", unavailable)

    def body() -> None:
        Counter.objects.get_or_create(id=counter_id, defaults={"name": "a"})

    if replayable:
        run_transaction(body, replayable=True)
    else:
        with pytest.raises(OutcomeUnknown):
            run_transaction(body)
    assert Counter.objects.count() == 1


@pytest.mark.parametrize("times", [1, 3])
def test_a_lost_answer_is_replayed_and_its_hooks_run_once(times: int, pauses: list[float]) -> None:
    counter_id, attempts, hooks = uuid7(), Attempts(), []

    def body() -> Any:
        transaction.on_commit(lambda: hooks.append(1))
        counter, _ = Counter.objects.get_or_create(id=counter_id, defaults={"name": "a"})
        return counter.id

    with faults.lose_commit_answers(times=times):
        assert run_transaction(body, replayable=True, on_attempt=attempts) == counter_id

    assert hooks == [1]
    assert Counter.objects.count() == 1
    assert attempts.events == [("lost", n) for n in range(1, times + 1)] + [("ok", times + 1)]


def test_a_lost_answer_past_the_deadline_is_unknown_even_if_replayable() -> None:
    with faults.lose_commit_answers(times=1000), pytest.raises(OutcomeUnknown):
        run_transaction(lambda: None, replayable=True, deadline_s=0)


@pytest.mark.parametrize("replayable", [False, True])
def test_a_taken_unique_key_is_run_again_only_if_asked(replayable: bool, pauses: list[float]) -> None:
    add("taken")

    with pytest.raises(IntegrityError):
        run_transaction(lambda: add("taken"), replayable=replayable)

    assert len(pauses) == (transactions.UNIQUE_RETRIES_MAX if replayable else 0)


def test_a_failing_hook_does_not_repeat_a_committed_transaction(pauses: list[float]) -> None:
    def hook() -> None:
        raise Conflict40001("a hook that looks like a conflict")

    def body() -> None:
        add()
        transaction.on_commit(hook)

    with pytest.raises(Conflict40001):
        run_transaction(body)

    assert (Counter.objects.count(), pauses) == (1, [])


def test_a_swallowed_error_does_not_commit_silently() -> None:
    def body() -> None:
        add("a")
        try:
            add("a")
        except IntegrityError:
            pass

    with pytest.raises(Exception, match="cannot be committed"):
        run_transaction(body)

    assert Counter.objects.count() == 0


def test_it_refuses_to_be_nested() -> None:
    with transaction.atomic(), pytest.raises(Nested):
        run_transaction(add)


def test_joining_needs_an_open_transaction() -> None:
    joined = joins_transaction(add)

    with pytest.raises(AssertionError, match="inside a transaction"):
        joined()
    run_transaction(joined)

    assert Counter.objects.count() == 1


def test_racing_increments_are_all_counted(in_thread: Any) -> None:
    add()

    def increment() -> None:
        for _ in range(5):
            run_transaction(lambda: Counter.objects.update(value=F("value") + 1), deadline_s=10)

    threads = [in_thread(increment) for _ in range(6)]
    for thread in threads:
        thread.join()

    assert Counter.objects.get().value == 30


def test_two_that_read_then_write_one_row_cannot_both_win(in_thread: Any) -> None:
    add()
    both_read = threading.Barrier(2)
    events: list[str] = []

    def body() -> None:
        value = Counter.objects.get().value
        if value == 0:
            both_read.wait(timeout=5)
        Counter.objects.update(value=value + 1)

    def work() -> None:
        run_transaction(body, on_attempt=lambda event, attempt, exc: events.append(event))

    for thread in [in_thread(work), in_thread(work)]:
        thread.join()

    assert Counter.objects.get().value == 2
    assert sorted(events) == ["conflict", "ok", "ok"]


def test_observers_see_statements_and_commits_in_order() -> None:
    seen: list[str] = []
    with faults.observe(lambda kind, sql, connection: seen.append(kind)):
        run_transaction(lambda: [add("a"), add("b")])

    assert seen == ["statement", "statement", "commit"]


def test_hooks_are_for_their_own_thread(in_thread: Any) -> None:
    seen: list[str] = []
    with faults.before_commit(lambda: seen.append("commit")), faults.before_statement(seen.append):
        in_thread(lambda: run_transaction(lambda: add("a"))).join()
        assert seen == []
        run_transaction(lambda: add("b"))

    assert len(seen) == 2
    assert seen[0].startswith("INSERT")
    assert seen[1] == "commit"


# -- savepoints


@pytest.mark.parametrize("run", [run_transaction, transaction.atomic(lambda body: body())])
def test_rows_behind_a_savepoint_are_not_kept_when_it_is_rolled_back(run: Any) -> None:
    def body() -> None:
        add("before")
        sid = transaction.savepoint()
        add("a trial")
        transaction.savepoint_rollback(sid)

    with pytest.raises(NotSupportedError, match="DSQL has no savepoints, so a part of a transaction cannot"):
        run(body)
    assert Counter.objects.count() == 0


def test_a_refused_rollback_to_a_savepoint_that_is_swallowed_ends_the_transaction_too() -> None:
    def body() -> None:
        add("a trial")
        with suppress(NotSupportedError):
            transaction.savepoint_rollback(transaction.savepoint())
        with suppress(transaction.TransactionManagementError):
            Counter.objects.count()

    with pytest.raises(InternalError, match=r"cannot be committed\. DSQL has no savepoints"):
        run_transaction(body)
    transaction.atomic(body)()
    assert Counter.objects.count() == 0


def test_a_savepoint_that_is_never_needed_does_no_harm() -> None:
    with transaction.atomic():
        sid = transaction.savepoint()
        add("a")
        transaction.savepoint_commit(sid)
    transaction.savepoint_rollback(transaction.savepoint())  # outside a transaction nobody has them

    assert Counter.objects.count() == 1


def test_an_error_swallowed_in_a_nested_block_is_explained_by_the_next_statement() -> None:
    add("a")

    @transaction.atomic
    def go_on_after_an_error() -> None:
        with suppress(IntegrityError), transaction.atomic():
            add("a")
        add("b")

    with pytest.raises(
        transaction.TransactionManagementError, match="DSQL has no savepoints: an error inside a nested"
    ):
        go_on_after_an_error()
    assert Counter.objects.count() == 1
