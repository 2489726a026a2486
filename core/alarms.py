"""What staff must hear of, counted from rows: parked work, late work, stuck rows.

Whoever looks for due work refreshes the gauges, so they are right after a restart too, and fall when the cause is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import structlog
from django.db.models import Count, Min, Q

from core import clock, due_work, metrics
from core.models import DueWork

EVERY_S = 10.0

log = structlog.get_logger(__name__)

Counter = Callable[[], int]
_stuck: dict[str, Counter] = {}
_refresh_at = 0.0


def counts_stuck(what: str) -> Callable[[Counter], Counter]:
    """Register how the rows that were set aside are counted. Called at import, from an app's `work.py`."""

    def register(count: Counter) -> Counter:
        assert what not in _stuck, what
        _stuck[what] = count
        return count

    return register


def refresh() -> None:
    """Bring the gauges up to date, unless this process did so a moment ago."""
    global _refresh_at
    if time.monotonic() < _refresh_at:
        return
    _refresh_at = time.monotonic() + EVERY_S
    _unless_it_fails(measure_due_work)
    for what, count in _stuck.items():
        _unless_it_fails(partial(measure_stuck, what, count))


def stuck_now() -> dict[str, int]:
    """How many rows stand aside, by what they are."""
    return {what: count() for what, count in _stuck.items()}


def measure_due_work() -> None:
    now = clock.now()
    is_parked = Q(parked_at__isnull=False)
    open_work = DueWork.objects.filter(done_at=None).values_list("kind").order_by()
    counted = open_work.annotate(parked=Count("id", filter=is_parked), oldest=Min("due_at", filter=~is_parked))
    found = {kind: (parked, oldest) for kind, parked, oldest in counted}
    for kind in {*due_work.kinds(), *found}:
        parked, oldest = found.get(kind, (0, None))
        metrics.DUE_WORK_PARKED.labels(kind).set(parked)
        metrics.DUE_WORK_LATE.labels(kind).set(max(0.0, (now - oldest).total_seconds()) if oldest else 0.0)


def measure_stuck(what: str, count: Counter) -> None:
    metrics.STUCK_ROWS.labels(what).set(count())


def _unless_it_fails(measure: Callable[[], None]) -> None:
    try:
        measure()
    except Exception:  # looking for alarms must not keep anybody from the work, nor one alarm from another
        log.exception("alarms_not_measured")
