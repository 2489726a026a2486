from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError

from core import due_work
from core.errors import Busy
from core.ids import uuid7
from core.models import DueWork
from core.transactions import in_transaction
from drops.settlement import EXPIRE_HOLDS
from dsql import faults
from sales import services as sales
from tests.tools.shop import NOW

pytestmark = pytest.mark.django_db(transaction=True)

KIND = "test.work"
MONEY = "test.money"
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


@pytest.fixture
def urgent_worker(monkeypatch) -> Worker:
    worker = Worker()
    monkeypatch.setitem(due_work._handlers, MONEY, worker)
    monkeypatch.setattr(due_work, "_urgent", {*due_work._urgent, MONEY})
    return worker


def schedule(subject_id: UUID, due_at: dt.datetime = NOW, kind: str = KIND) -> None:
    in_transaction(partial(due_work.schedule, kind, subject_id, due_at=due_at), name="test")


def schedule_by(subject_id: UUID, due_at: dt.datetime, now: dt.datetime = NOW) -> None:
    in_transaction(partial(due_work.schedule_by, KIND, subject_id, due_at=due_at, now=now), name="test")


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


def test_the_oldest_comes_first_and_no_more_than_a_rounds_share(worker):
    subjects = [uuid7() for _ in range(due_work.OTHER_STEPS + 1)]
    for age, subject in enumerate(subjects):
        schedule(subject, NOW - age * SECOND)
    oldest_first = subjects[::-1]

    assert due_work.run_due(now=NOW) == due_work.OTHER_STEPS
    assert [subject for subject, _ in worker.calls] == oldest_first[:-1]
    assert due_work.run_due(now=NOW) == 1
    assert [subject for subject, _ in worker.calls] == oldest_first


def test_urgent_work_comes_first_however_much_older_the_rest_is(worker, urgent_worker):
    order = []
    due_work._handlers[KIND] = lambda subject_id, now: order.append(KIND)
    due_work._handlers[MONEY] = lambda subject_id, now: order.append(MONEY)
    for age in range(100):
        schedule(uuid7(), NOW - age * SECOND)
    schedule(uuid7(), NOW, kind=MONEY)

    due_work.run_due(now=NOW)

    assert order == [MONEY] + [KIND] * due_work.OTHER_STEPS


def test_a_flood_of_urgent_work_leaves_a_share_to_the_rest(worker, urgent_worker):
    for age in range(due_work.URGENT_STEPS + 5):
        schedule(uuid7(), NOW - age * SECOND, kind=MONEY)
    schedule(uuid7())

    due_work.run_due(now=NOW)

    assert len(urgent_worker.calls) == due_work.URGENT_STEPS
    assert len(worker.calls) == 1


def test_rows_that_fail_let_the_next_ones_of_their_kind_come(worker):
    """What fails stays as late as it is, and would always be the oldest."""
    stuck = [uuid7() for _ in range(due_work.OTHER_STEPS)]
    for subject in stuck:
        schedule(subject, NOW - SECOND)
    schedule(fine := uuid7())
    worker.answers = [Busy()] * 2 * len(stuck)

    due_work.run_due(now=NOW)
    due_work.run_due(now=NOW + 60 * SECOND)

    assert fine in [subject for subject, _ in worker.calls]


def test_money_and_closing_are_urgent():
    assert {sales.CLOSE, sales.SETTLE, sales.UNWIND, EXPIRE_HOLDS} <= due_work._urgent


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


@pytest.mark.parametrize("moved", [dt.timedelta(0), -SECOND])
def test_scheduling_again_for_the_same_time_or_an_earlier_one_during_a_step_is_not_lost(worker, moved):
    schedule(subject := uuid7())

    def schedule_again(subject_id: UUID, now: dt.datetime) -> None:
        schedule(subject_id, NOW + moved)

    due_work._handlers[KIND] = schedule_again
    due_work.run_due(now=NOW)
    due_work._handlers[KIND] = worker

    assert due_work.run_due(now=NOW) == 1
    assert worker.calls == [(subject, NOW)]


def test_the_earlier_of_a_steps_own_time_and_one_scheduled_meanwhile_counts(worker):
    schedule(subject := uuid7())

    def schedule_for_later(subject_id: UUID, now: dt.datetime) -> dt.datetime:
        schedule(subject_id, NOW + 60 * SECOND)
        return NOW + SECOND

    due_work._handlers[KIND] = schedule_for_later
    due_work.run_due(now=NOW)
    due_work._handlers[KIND] = worker

    assert due_work.run_due(now=NOW + SECOND) == 1
    assert worker.calls == [(subject, NOW + SECOND)]


def test_scheduling_during_a_step_that_fails_is_not_put_off(worker):
    schedule(subject := uuid7())

    def schedule_and_fail(subject_id: UUID, now: dt.datetime) -> None:
        schedule(subject_id, NOW)
        raise ValueError("no luck")

    due_work._handlers[KIND] = schedule_and_fail
    due_work.run_due(now=NOW)
    due_work._handlers[KIND] = worker

    assert due_work.run_due(now=NOW) == 1
    assert worker.calls == [(subject, NOW)]


@pytest.mark.parametrize("ending", [None, NOW + SECOND, ValueError("too late"), Busy()])
def test_a_step_longer_than_its_lease_leaves_the_next_workers_lease_alone(worker, ending):
    schedule(uuid7())
    later = NOW + due_work.LEASE

    def take_too_long(subject_id: UUID, now: dt.datetime) -> dt.datetime | None:
        due_work._handlers[KIND] = lambda subject_id, now: NOW + 60 * SECOND
        assert due_work._lease(row(), uuid7(), later)  # by now another worker has the row
        if isinstance(ending, Exception):
            raise ending
        return ending

    due_work._handlers[KIND] = take_too_long
    due_work.run_due(now=NOW)

    assert (row().leased_until, row().done_at) == (later + due_work.LEASE, None)


def test_a_failure_is_tried_again_later_and_later_and_then_parked(worker):
    schedule(uuid7())
    worker.answers = [ValueError("no luck")] * due_work.ATTEMPTS_MAX
    now, pauses = NOW, []

    for _ in range(due_work.ATTEMPTS_MAX - 1):
        assert due_work.run_due(now=now) == 0
        next_at = row().leased_until
        pauses.append((next_at - now) // SECOND)
        assert due_work.run_due(now=next_at - SECOND / 2) == 0
        now = next_at
    assert pauses == [2, 4, 8, 16, 32, 64, 128]
    assert due_work.run_due(now=now) == 0

    assert (row().attempts, row().parked_at, row().last_error) == (8, now, "ValueError: no luck")
    assert row().due_at == NOW  # as late as it is
    assert due_work.run_due(now=now + dt.timedelta(days=1)) == 0
    assert len(worker.calls) == due_work.ATTEMPTS_MAX


class ReadOnly(OperationalError):
    sqlstate = "25006"


@pytest.mark.parametrize("trouble", [Busy(), OperationalError("out of reach"), ReadOnly("a server that only reads")])
def test_what_is_nobodys_fault_is_tried_again_soon_and_never_parks(worker, trouble):
    schedule(uuid7())
    worker.answers = [trouble] * (due_work.ATTEMPTS_MAX + 1)
    now = NOW

    for _ in range(due_work.ATTEMPTS_MAX + 1):
        assert due_work.run_due(now=now) == 0
        shortest, longest = (SECOND * pause for pause in due_work.BUSY_BACKOFF_S)
        assert shortest <= row().leased_until - now <= longest
        now = row().leased_until

    assert (row().attempts, row().parked_at, row().due_at) == (0, None, NOW)
    assert due_work.run_due(now=now) == 1


def test_a_busy_moment_does_not_forgive_failures(worker):
    schedule(uuid7())
    worker.answers = [ValueError("no luck"), Busy()]

    due_work.run_due(now=NOW)
    due_work.run_due(now=row().leased_until)

    assert (row().attempts, row().last_error) == (1, "ValueError: no luck")


def test_parked_work_can_be_set_free(worker):
    schedule(uuid7())
    DueWork.objects.update(parked_at=NOW, attempts=8, last_error="ValueError: no luck")

    assert due_work.set_free([row().id], now=NOW + SECOND) == 1
    assert due_work.set_free([row().id], now=NOW + SECOND) == 0

    assert due_work.run_due(now=NOW + SECOND) == 1


FAR = due_work.NEAR + 60 * SECOND


def test_work_scheduled_by_a_time_comes_at_the_earliest_that_was_asked_for(worker):
    subject = uuid7()
    for due_at in (NOW + 2 * FAR, NOW + FAR, NOW + 3 * FAR):
        schedule_by(subject, due_at)

    assert row().due_at == NOW + FAR
    assert due_work.run_due(now=NOW + FAR - SECOND) == 0
    assert due_work.run_due(now=NOW + FAR) == 1


@pytest.mark.parametrize("ended", ["done_at", "parked_at"])
def test_work_scheduled_by_a_time_begins_again_after_its_end(worker, ended):
    schedule_by(subject := uuid7(), NOW)
    DueWork.objects.update(**{ended: NOW})

    schedule_by(subject, NOW + FAR)

    assert (row().due_at, row().done_at, row().parked_at) == (NOW + FAR, None, None)


def test_work_scheduled_by_a_time_is_not_written_for_nothing(worker):
    """Every purchase may ask: they must not all meet on this row."""
    schedule_by(subject := uuid7(), NOW + FAR)

    with faults.observe(lambda kind, sql, connection: writes.append(sql) if "UPDATE" in (sql or "") else None):
        writes: list[str] = []
        schedule_by(subject, NOW + FAR)
        assert writes == []
        schedule_by(subject, NOW + FAR, now=NOW + FAR - due_work.NEAR)
        assert len(writes) == 1  # its step is near


def test_work_scheduled_by_a_time_keeps_the_count_and_the_pause_of_a_row_that_fails(worker):
    schedule(subject := uuid7())
    worker.answers = [ValueError("no luck")]
    due_work.run_due(now=NOW)

    schedule_by(subject, NOW + FAR)

    assert (row().attempts, row().due_at, row().leased_until) == (1, NOW, NOW + 2 * SECOND)


def test_a_step_under_way_cannot_overlook_what_was_scheduled_meanwhile(worker):
    schedule(subject := uuid7())

    def schedule_another(subject_id: UUID, now: dt.datetime) -> None:
        schedule_by(subject_id, NOW + FAR)

    due_work._handlers[KIND] = schedule_another
    due_work.run_due(now=NOW)
    due_work._handlers[KIND] = worker

    assert due_work.run_due(now=NOW) == 1  # for nothing perhaps, but it sees everything
    assert worker.calls == [(subject, NOW)]


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
def test_a_lease_whose_answer_was_lost_is_known_by_its_id(worker, losses):
    subject, other = uuid7(), uuid7()
    schedule(subject, NOW - SECOND)
    schedule(other, NOW)

    with faults.lose_commit_answers(losses):
        assert due_work.run_due(now=NOW) == 2

    assert worker.calls == [(subject, NOW), (other, NOW)]
    assert DueWork.objects.filter(done_at=None).count() == 0


def test_kinds_that_nobody_handles_wait(worker):
    in_transaction(partial(due_work.schedule, "of.another.release", uuid7(), due_at=NOW), name="test")

    assert due_work.run_due(now=NOW) == 0
    assert row().attempts == 0
