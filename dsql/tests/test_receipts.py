"""Receipts: an operation happens once, however often it is asked for."""

from __future__ import annotations

import datetime
import threading
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from dsql import faults, transactions
from dsql.ids import uuid7
from dsql.receipts import forget
from dsql.receipts.models import Receipt
from dsql.transactions import RetriesExhausted, retried_transaction, run_transaction

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "sleep", lambda seconds: None)


def add_group(name: str = "g") -> dict[str, Any]:
    """Not replayable by itself: a second run would add a second group."""
    return {"id": Group.objects.create(name=f"{name} {Group.objects.count()}").id}


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_lost_answers_do_not_repeat_the_operation(lost: int) -> None:
    hooks: list[int] = []

    def body() -> dict[str, Any]:
        transaction.on_commit(lambda: hooks.append(1))
        return add_group()

    with faults.lose_commit_answers(times=lost) as injection:
        result = run_transaction(body, operation_id=uuid7())

    assert injection.injected == lost
    assert result == {"id": Group.objects.get().id}
    assert hooks == [1]


def test_conflicts_run_it_again_whole() -> None:
    with faults.fail_commits(times=2) as injection:
        run_transaction(add_group, operation_id=uuid7())

    assert (injection.injected, Group.objects.count(), Receipt.objects.count()) == (2, 1, 1)


def test_a_repeat_by_the_caller_returns_the_first_outcome() -> None:
    operation_id, hooks = uuid7(), []

    def body() -> dict[str, Any]:
        transaction.on_commit(lambda: hooks.append(1))
        return add_group()

    first = run_transaction(body, operation_id=operation_id)

    assert run_transaction(body, operation_id=operation_id) == first
    assert (Group.objects.count(), hooks) == (1, [1])
    assert run_transaction(body, operation_id=uuid7()) != first


def test_a_first_call_and_a_repeat_return_equal_things() -> None:
    operation_id = uuid7()

    def body() -> Any:
        return {"pair": (1, 2), "id": operation_id, "at": datetime.date(2026, 1, 2)}

    first = run_transaction(body, operation_id=operation_id)

    assert first == {"pair": [1, 2], "id": str(operation_id), "at": "2026-01-02"}
    assert run_transaction(body, operation_id=operation_id) == first


def test_nothing_is_a_result_too() -> None:
    operation_id, calls = uuid7(), []
    for _ in range(2):
        assert run_transaction(lambda: calls.append(1), operation_id=operation_id) is None
    assert calls == [1]


def test_what_json_cannot_hold_is_refused_with_nothing_written() -> None:
    def body() -> object:
        add_group()
        return object()

    with pytest.raises(TypeError):
        run_transaction(body, operation_id=uuid7())
    assert (Group.objects.count(), Receipt.objects.count()) == (0, 0)


def test_a_failed_operation_leaves_no_receipt_and_can_be_repeated() -> None:
    operation_id = uuid7()
    with faults.fail_commits(times=100), pytest.raises(RetriesExhausted):
        run_transaction(add_group, operation_id=operation_id, deadline_s=0)

    run_transaction(add_group, operation_id=operation_id)

    assert Group.objects.count() == 1


def test_two_at_once_with_one_id_do_it_once(in_thread: Any) -> None:
    operation_id, both_looked, seen = uuid7(), threading.Barrier(2), set[int]()
    results: list[Any] = []
    hooks: list[int] = []

    def body() -> dict[str, Any]:
        transaction.on_commit(lambda: hooks.append(1))
        if threading.get_ident() not in seen:  # only the first attempts meet
            seen.add(threading.get_ident())
            both_looked.wait(timeout=5)
        return add_group(str(threading.get_ident()))

    def work() -> None:
        results.append(run_transaction(body, operation_id=operation_id, deadline_s=10))

    for thread in [in_thread(work), in_thread(work)]:
        thread.join()

    assert (Group.objects.count(), len(hooks)) == (1, 1)
    assert results == [{"id": Group.objects.get().id}] * 2


def test_without_the_app_the_caller_is_told(settings: Any) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "dsql.receipts"]

    with pytest.raises(ImproperlyConfigured, match=r"dsql\.receipts"):
        run_transaction(add_group, operation_id=uuid7())


def test_old_receipts_are_forgotten_in_batches(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(forget, "BATCH_ROWS", 2)
    now = timezone.now()
    for number in range(5):
        Receipt.objects.create(id=UUID(int=number), made_by=uuid7(), made_at=now - datetime.timedelta(days=31))
    kept = Receipt.objects.create(id=uuid7(), made_by=uuid7(), made_at=now - datetime.timedelta(days=29))
    commits: list[int] = []

    with faults.before_commit(lambda: commits.append(1)):
        call_command("dsql_forget_receipts", older_than=30)

    assert capsys.readouterr().out == "5 receipts forgotten\n"
    assert list(Receipt.objects.all()) == [kept]
    assert len(commits) == 4  # three batches, and one that found nothing
    with pytest.raises(CommandError):
        call_command("dsql_forget_receipts", older_than=0)


def test_the_decorator_makes_each_call_a_transaction() -> None:
    told: list[str] = []

    @retried_transaction(on_attempt=lambda event, *_: told.append(event))
    def add(name: str) -> int:
        assert connection.in_atomic_block
        return Group.objects.create(name=name).id

    with faults.fail_commits(times=1):
        assert add("a") == Group.objects.get().id
    assert (told, add.__name__) == (["conflict", "ok"], "add")


def test_the_migration_is_up_to_date() -> None:
    call_command("makemigrations", "dsql_receipts", check=True, dry_run=True, verbosity=0)
