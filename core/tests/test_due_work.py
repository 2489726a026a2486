from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from core import due_work
from core.ids import uuid7
from core.models import DueWork
from core.transactions import in_transaction
from dsql import faults
from tests.tools.shop import NOW

pytestmark = pytest.mark.django_db(transaction=True)

KIND = "test.work"
SECOND = dt.timedelta(seconds=1)


class Worker:
    """The handler: notes its calls, and answers as it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[UUID, dt.datetime]] = []
        self.answers: list[Any] = []

    def __call__(self, subject_id: UUID, now: dt.datetime) -> dt.datetime | None:
        self.calls.append((subject_id, now))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def worker(monkeypatch) -> Worker:
    worker = Worker()
    monkeypatch.setitem(due_work._handlers, KIND, worker)
    return worker


def schedule(subject_id: UUID, due_at: dt.datetime = NOW) -> None:
    in_transaction(partial(due_work.schedule, KIND, subject_id, due_at=due_at), name="test")


def row() -> DueWork:
    return DueWork.objects.get()


def test_work_is_done_once_and_when_it_is_due(worker):
    subject = uuid7()
    schedule(subject, NOW)

    assert due_work.run_due(now=NOW - SECOND) == 0
    assert due_work.run_due(now=NOW) == 1
    assert due_work.run_due(now=NOW + SECOND) == 0
    assert worker.calls == [(subject, NOW)]
    assert (row().done_at, row().last_error) == (NOW, "")


def test_the_oldest_comes_first_and_no_more_than_the_limit(worker):
    subjects = [uuid7() for _ in range(3)]
    for age, subject in enumerate(subjects):
        schedule(subject, NOW - age * SECOND)

    assert due_work.run_due(limit=2, now=NOW) == 2
    assert [subject for subject, _ in worker.calls] == [subjects[2], subjects[1]]


def test_a_handler_says_when_to_call_again(worker):
    schedule(uuid7())
    worker.answers = [NOW + 5 * SECOND, None]

    assert due_work.run_due(now=NOW) == 1
    assert due_work.run_due(now=NOW + 4 * SECOND) == 0
    assert due_work.run_due(now=NOW + 5 * SECOND) == 1
    assert row().done_at == NOW + 5 * SECOND


def test_scheduling_again_moves_the_one_row(worker):
    subject = uuid7()
    schedule(subject, NOW)
    due_work.run_due(now=NOW)

    schedule(subject, NOW + SECOND)

    assert due_work.run_due(now=NOW) == 0
    assert due_work.run_due(now=NOW + SECOND) == 1
    assert DueWork.objects.count() == 1


def test_scheduling_during_a_step_is_not_lost(worker):
    subject = uuid7()
    schedule(subject, NOW)

    def schedule_again(subject_id: UUID, now: dt.datetime) -> None:
        schedule(subject_id, NOW + SECOND)

    due_work._handlers[KIND] = schedule_again
    assert due_work.run_due(now=NOW) == 1
    due_work._handlers[KIND] = worker

    assert row().done_at is None
    assert due_work.run_due(now=NOW + SECOND) == 1
    assert worker.calls == [(subject, NOW + SECOND)]


def test_a_failure_is_tried_again_later_and_later_and_then_parked(worker):
    schedule(uuid7())
    worker.answers = [ValueError("no luck")] * due_work.ATTEMPTS_MAX
    now, pauses = NOW, []

    for _ in range(due_work.ATTEMPTS_MAX - 1):
        assert due_work.run_due(now=now) == 0
        pauses.append((row().due_at - now) // SECOND)
        assert due_work.run_due(now=row().due_at - SECOND / 2) == 0
        now = row().due_at
    assert pauses == [2, 4, 8, 16, 32, 64, 128]
    assert due_work.run_due(now=now) == 0

    assert (row().attempts, row().parked_at, row().last_error) == (8, now, "ValueError: no luck")
    assert due_work.run_due(now=now + dt.timedelta(days=1)) == 0
    assert len(worker.calls) == due_work.ATTEMPTS_MAX


def test_a_parked_row_works_again_when_it_is_scheduled_again(worker):
    subject = uuid7()
    schedule(subject)
    DueWork.objects.update(parked_at=NOW, attempts=8, last_error="ValueError: no luck")

    schedule(subject)

    assert due_work.run_due(now=NOW) == 1
    assert (row().parked_at, row().done_at, row().last_error) == (None, NOW, "")


def test_one_failure_does_not_hold_up_the_rest(worker):
    first, second = uuid7(), uuid7()
    schedule(first, NOW - SECOND)
    schedule(second, NOW)
    worker.answers = [ValueError("no luck")]

    assert due_work.run_due(now=NOW) == 1
    assert [subject for subject, _ in worker.calls] == [first, second]


def test_a_killed_workers_row_comes_free_when_its_lease_ends(worker):
    schedule(uuid7())
    worker.answers = [KeyboardInterrupt()]  # as a kill leaves it: leased, and nothing noted
    due_work._handlers[KIND] = lambda subject_id, now: exec("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        due_work.run_due(now=NOW)
    due_work._handlers[KIND] = worker
    worker.answers = []

    assert due_work.run_due(now=NOW + due_work.LEASE - SECOND) == 0
    assert due_work.run_due(now=NOW + due_work.LEASE) == 1
    assert row().done_at == NOW + due_work.LEASE


def test_two_workers_racing_for_one_row_do_it_once(worker, race):
    schedule(uuid7())

    results = race(*[partial(due_work.run_due, now=NOW)] * 8)

    assert sorted(results) == [0] * 7 + [1]
    assert len(worker.calls) == 1


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("failures", [1, 5])
def test_failed_commits_do_not_repeat_the_work(worker, failures):
    schedule(uuid7())

    with faults.fail_commits(failures):
        assert due_work.run_due(now=NOW) == 1

    assert len(worker.calls) == 1
    assert row().done_at == NOW


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("losses", [1, 2])
def test_a_lease_whose_answer_was_lost_only_delays_the_work(worker, losses):
    subject, other = uuid7(), uuid7()
    schedule(subject, NOW - SECOND)
    schedule(other, NOW)

    with faults.lose_commit_answers(losses):
        assert due_work.run_due(now=NOW) == 1
    assert due_work.run_due(now=NOW + due_work.LEASE) == 1

    assert worker.calls == [(other, NOW), (subject, NOW + due_work.LEASE)]
    assert DueWork.objects.filter(done_at=None).count() == 0


def test_kinds_that_nobody_handles_wait(worker):
    in_transaction(partial(due_work.schedule, "of.another.release", uuid7(), due_at=NOW), name="test")

    assert due_work.run_due(now=NOW) == 0
    assert row().attempts == 0
