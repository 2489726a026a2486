"""Reading values: times in UTC by the driver's own loader, which is written in C."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any

from django.db.backends.postgresql.psycopg_any import get_adapters_template, register_tzloader
from psycopg import adapt
from psycopg.postgres import types
from psycopg.pq import Format
from psycopg.types.datetime import TimestamptzLoader

TIMESTAMPTZ = types["timestamptz"].oid


@lru_cache
def utc_adapters(use_tz: bool) -> adapt.AdaptersMap:
    """Django's adapters for connections in UTC, with the driver's loader for times.

    Django's puts its own zone into each value, in Python. In a session whose TimeZone is UTC the driver's gives the
    same: aware times in `datetime.UTC`.
    """
    adapters = adapt.AdaptersMap(get_adapters_template(use_tz, dt.UTC))
    adapters.register_loader("timestamptz", TimestamptzLoader)
    return adapters


def zone_of(connection: Any) -> dt.tzinfo | None:
    """The zone in which `connection` gives times; None for times without one."""
    loader = connection.adapters.get_loader(TIMESTAMPTZ, Format.TEXT)
    return getattr(loader, "timezone", dt.UTC)


def load_in_zone(cursor: Any, zone: dt.tzinfo | None) -> None:
    """Give the times that `cursor` reads in another zone than its connection does, the way Django does."""
    register_tzloader(zone, cursor)
