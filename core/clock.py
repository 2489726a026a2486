"""One clock for everybody: the database's.

A sale opens to the second for all processes, so none of them may trust its own clock. Each process measures how far its
clock is from the database's and corrects by it. Operations read the clock once, on arrival, and pass `now` down.
"""

from __future__ import annotations

import datetime as dt
import time

from django.db import connections

_offset_s = 0.0


def now() -> dt.datetime:
    """The database's time as this process knows it, in UTC."""
    return dt.datetime.fromtimestamp(time.time() + _offset_s, dt.UTC)


def read(*, using: str = "default") -> dt.datetime:
    """The database's time, asked for now: for what happens only because its time has come."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (at,) = cursor.fetchone()
        return at  # type: ignore[no-any-return]


def measure(*, using: str = "default") -> float:
    """Measure the offset to the database's clock (seconds, positive when ours is behind) and use it from now on.

    An offset within half a round trip is noise and counts as zero, so that two healthy clocks stay equal.
    """
    global _offset_s
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT 1")  # opens the connection and BEGIN, which must not be timed
        sent = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        (there,) = cursor.fetchone()
        received = time.time()
    offset = there - (sent + received) / 2
    _offset_s = 0.0 if abs(offset) <= (received - sent) / 2 + 0.001 else offset
    return _offset_s
