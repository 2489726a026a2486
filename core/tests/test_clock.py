from __future__ import annotations

import datetime as dt
import time

import pytest
import time_machine
from django.db import connection

from core import clock


@pytest.fixture(autouse=True)
def _clock_as_it_was():
    yield
    clock._offset_s = 0.0


@pytest.mark.django_db
def test_two_healthy_clocks_are_equal():
    assert clock.measure() == 0.0
    assert abs(clock.now() - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=1)


@pytest.mark.django_db
@pytest.mark.parametrize("wrong_by_s", [-7_200, -5, 5, 7_200])
def test_a_wrong_clock_is_put_right_by_the_databases(wrong_by_s):
    right = time.time()
    connection.ensure_connection()  # the pool's own timers must not see the jump

    with time_machine.travel(right + wrong_by_s, tick=True):
        offset_s = clock.measure()
        told = clock.now().timestamp()

    assert offset_s == pytest.approx(-wrong_by_s, abs=1)
    assert told == pytest.approx(right, abs=5)


def test_the_time_is_in_utc():
    assert clock.now().tzinfo is dt.UTC
