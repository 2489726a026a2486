from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from prometheus_client import REGISTRY

from core import alarms, clock, due_work, tasks
from core.errors import Busy
from core.ids import uuid7
from core.models import DueWork

pytestmark = pytest.mark.django_db(transaction=True)

KIND = "test.work"
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture(autouse=True)
def now(monkeypatch) -> dt.datetime:
    monkeypatch.setattr(alarms, "_refresh_at", 0.0)
    monkeypatch.setitem(due_work._handlers, KIND, lambda subject_id, now: None)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    monkeypatch.setattr(clock, "read", lambda: now)
    return now


def make_work(due_at: dt.datetime, **fields: Any) -> DueWork:
    return DueWork.objects.create(kind=KIND, subject_id=uuid7(), due_at=due_at, leased_until=due_at, **fields)


def gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"dropfront_{name}", labels)


def test_parked_and_late_work_show_and_clear(now):
    make_work(now - 9 * MINUTE, parked_at=now)
    make_work(now - 3 * MINUTE)
    make_work(now - 2 * MINUTE)
    make_work(now - 30 * MINUTE, done_at=now)
    make_work(now + MINUTE)

    alarms.measure_due_work()
    assert (gauge("due_work_parked", kind=KIND), gauge("due_work_late_seconds", kind=KIND)) == (1, 180)

    DueWork.objects.all().delete()
    alarms.measure_due_work()
    assert (gauge("due_work_parked", kind=KIND), gauge("due_work_late_seconds", kind=KIND)) == (0, 0)


def test_work_that_fails_or_is_busy_shows_as_late_as_it_is(now, monkeypatch):
    make_work(now - 3 * MINUTE)
    make_work(now - 2 * MINUTE)
    answers = iter([ValueError("no luck"), Busy()])

    def fail(subject_id: Any, now: dt.datetime) -> None:
        raise next(answers)

    monkeypatch.setitem(due_work._handlers, KIND, fail)
    due_work.run_due(now=now)

    alarms.measure_due_work()

    assert gauge("due_work_late_seconds", kind=KIND) == 180


def test_stuck_rows_are_counted_and_a_count_that_fails_hides_no_other(monkeypatch):
    def fail() -> int:
        raise ValueError("no such table")

    monkeypatch.setattr(alarms, "_stuck", {"broken": fail})
    alarms.counts_stuck("toys")(lambda: 3)

    alarms.refresh()

    assert gauge("stuck_rows", what="toys") == 3


def test_looking_for_work_refreshes_the_alarms_but_not_each_second(now, monkeypatch):
    counted = []
    monkeypatch.setattr(alarms, "_stuck", {"toys": lambda: counted.append(1) or 0})
    make_work(now - MINUTE)

    tasks.look_for_due_work()
    tasks.look_for_due_work()

    assert DueWork.objects.get().done_at is not None
    assert counted == [1]


def test_looking_for_work_without_a_database_is_not_a_fault(monkeypatch):
    def out_of_reach() -> None:
        raise Busy

    monkeypatch.setattr(due_work, "run_due", out_of_reach)

    tasks.look_for_due_work()


def test_staff_see_parked_and_late_work_and_set_it_free(now, admin_client):
    url = reverse("admin:core_duework_changelist")
    parked = make_work(now - 9 * MINUTE, parked_at=now, attempts=8, last_error="ValueError: no luck")
    late = make_work(now - 2 * MINUTE)
    soon = make_work(now + MINUTE)

    def shown(state: str) -> set[Any]:
        return {row.id for row in admin_client.get(url, {"state": state}).context["cl"].result_list}

    assert (shown("parked"), shown("late"), shown("open")) == ({parked.id}, {late.id}, {late.id, soon.id})
    page = admin_client.get(url, {"state": "parked"}).content.decode()
    assert all(word in page for word in (KIND, str(parked.subject_id), "ValueError: no luck"))

    admin_client.post(url, {"action": "set_free", "_selected_action": [str(parked.id)]})

    parked.refresh_from_db()
    assert (parked.parked_at, parked.attempts, parked.leased_until) == (None, 0, now)


def test_staff_who_may_only_look_set_no_work_free(now, client, django_user_model):
    user = django_user_model.objects.create_user("looks@example.org", "secret")
    django_user_model.objects.filter(id=user.id).update(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_duework"))
    client.force_login(django_user_model.objects.get(id=user.id))
    parked = make_work(now, parked_at=now, attempts=8)

    url = reverse("admin:core_duework_changelist")
    assert client.get(url).status_code == 200
    client.post(url, {"action": "set_free", "_selected_action": [str(parked.id)]})

    parked.refresh_from_db()
    assert parked.parked_at == now
