"""Work that is scheduled while a worker looks for it, in every order that two preemptions allow."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest

from core import due_work
from core.ids import uuid7
from core.models import DueWork
from core.transactions import in_transaction, retried_transaction
from tests.tools.explorer import Scene, ScheduleFailed
from tests.tools.shop import NOW

pytestmark = pytest.mark.django_db(transaction=True)

EXPIRE = "test.expire"
HOLD = "test.hold"  # a toy: a row with a time at which it is to end
EXPIRES_AT = NOW + dt.timedelta(seconds=60)


@retried_transaction(replayable=True)
def expire_toys(subject_id: UUID, now: dt.datetime) -> dt.datetime | None:
    """End what is over; the time at which the next one is."""
    DueWork.objects.filter(kind=HOLD, done_at=None, due_at__lte=now).update(done_at=now)
    return DueWork.objects.filter(kind=HOLD, done_at=None).order_by("due_at").values_list("due_at", flat=True).first()


def hold_toy(subject_id: UUID, now: dt.datetime) -> None:
    def body() -> None:
        DueWork.objects.create(kind=HOLD, subject_id=uuid7(), due_at=EXPIRES_AT, leased_until=EXPIRES_AT)
        due_work.schedule_by(EXPIRE, subject_id, due_at=EXPIRES_AT, now=now)

    in_transaction(body, name="test")


@pytest.fixture
def hold_and_look(monkeypatch):
    """A hold is placed while a worker does the step that finds nothing more to do, shortly after `due_at`."""
    monkeypatch.setitem(due_work._handlers, EXPIRE, expire_toys)

    def make(due_at: dt.datetime) -> Scene:
        subject = uuid7()
        in_transaction(lambda: due_work.schedule(EXPIRE, subject, due_at=due_at), name="test")
        actors = {"a": lambda: hold_toy(subject, NOW), "b": lambda: due_work.run_due(now=NOW)}

        def check(results: dict[str, Any]) -> None:
            assert results == {"a": None, "b": results["b"]}
            while due_work.run_due(now=EXPIRES_AT):
                pass
            assert not DueWork.objects.filter(kind=HOLD, done_at=None).exists(), "a hold that nobody ends"

        return Scene(actors, check)

    return make


@pytest.mark.parametrize("early", [0, 5])
def test_no_hold_is_overlooked_by_the_step_that_ends_the_work(explored, hold_and_look, early):
    explored("hold_and_look", lambda: hold_and_look(NOW - dt.timedelta(seconds=early)))


def test_the_search_finds_scheduling_that_trusts_what_it_read(explored, hold_and_look, monkeypatch):
    monkeypatch.setattr(due_work, "NEAR", dt.timedelta(days=-1))

    with pytest.raises(ScheduleFailed, match="a hold that nobody ends"):
        explored("hold_and_look_unguarded", lambda: hold_and_look(NOW))
