"""Times read from the database: by the driver's own loader in UTC, as Django gives them, and in other zones."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import NotSupportedError, connection
from psycopg import adapters
from psycopg.pq import Format

from dsql.base import DatabaseWrapper
from dsql.loading import TIMESTAMPTZ

pytestmark = pytest.mark.django_db(transaction=True)

NOON = "SELECT timestamptz '2026-07-01 12:00:00.25+00', timestamptz '2026-07-01 12:00:00.25-03', NULL::timestamptz"


@contextmanager
def wrapper(**changes: Any) -> Iterator[DatabaseWrapper]:
    settings = copy.deepcopy(connection.settings_dict)
    settings["OPTIONS"].pop("pool", None)
    made = DatabaseWrapper(settings | changes, "another")
    try:
        yield made
    finally:
        made.close()


def noon(made: Any) -> Any:
    with made.cursor() as cursor:
        cursor.execute(NOON)
        return cursor.fetchone()


def test_times_in_utc_are_read_by_the_driver_and_are_what_django_gives() -> None:
    with wrapper() as made:
        first, second, nothing = noon(made)
        loader = made.connection.adapters.get_loader(TIMESTAMPTZ, Format.TEXT)

    assert loader is adapters.get_loader(TIMESTAMPTZ, Format.TEXT)
    assert first == dt.datetime(2026, 7, 1, 12, 0, 0, 250_000, tzinfo=dt.UTC)
    assert second == dt.datetime(2026, 7, 1, 15, 0, 0, 250_000, tzinfo=dt.UTC)
    assert nothing is None
    assert first.tzinfo is second.tzinfo is dt.UTC
    assert str(first) == "2026-07-01 12:00:00.250000+00:00"


@pytest.mark.parametrize(("zone", "hours"), [("Europe/Paris", (14, 17)), ("UTC", (12, 15))])
def test_a_zone_of_the_connections_own_is_the_zone_of_its_times(zone: str, hours: tuple[int, int]) -> None:
    with wrapper(TIME_ZONE=zone) as made:
        first, second, nothing = noon(made)

    assert (first.hour, second.hour) == hours
    assert first.tzinfo == second.tzinfo == ZoneInfo(zone)
    assert nothing is None


def test_the_zone_may_change_while_the_connection_is_open() -> None:
    with wrapper() as made:
        made.ensure_connection()
        made.timezone = made.timezone_name = None  # type: ignore[assignment, misc]

        assert noon(made)[0] == dt.datetime(2026, 7, 1, 12, 0, 0, 250_000)


def test_without_zones_times_are_naive(settings: Any) -> None:
    settings.USE_TZ = False
    with wrapper() as made:
        first, *_ = noon(made)

    assert first.tzinfo is None


def test_a_cursor_of_the_server_is_an_ordinary_one_or_refused_in_words() -> None:
    with wrapper() as made:
        with made.chunked_cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == [(1,)]
        with pytest.raises(NotSupportedError, match="no server-side cursors"):
            made._cursor(name="a_name")
