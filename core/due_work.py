"""Work that must happen: the row is the queue.

`schedule` writes a row in the transaction that causes the work. Celery beat looks every second, and a service may nudge a
worker to look at once. A lost message delays, a repeated one changes nothing, a killed worker's row comes free when its lease
ends. A handler does one bounded step and says when to be called again; it is safe to run twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from uuid import UUID

import structlog
from django.db.models import F

from core import clock, metrics
from core.models import DueWork
from core.transactions import joins_transaction, retried_transaction

log = structlog.get_logger(__name__)

LEASE = dt.timedelta(seconds=30)
ATTEMPTS_MAX = 8  # then the row is parked, for staff to look at
BACKOFF_MAX_S = 300

# A handler gets the subject and now; it gives the time of its next step, or None when nothing is left to do.
Handler = Callable[[UUID, dt.datetime], dt.datetime | None]
_handlers: dict[str, Handler] = {}


def handles(kind: str) -> Callable[[Handler], Handler]:
    """Register the handler of a kind of work. Called at import, from an app's `work.py`."""

    def register(handler: Handler) -> Handler:
        assert kind not in _handlers, kind
        _handlers[kind] = handler
        return handler

    return register


@joins_transaction
def schedule(kind: str, subject_id: UUID, *, due_at: dt.datetime) -> None:
    """Write the row, or move the due time of the one that is there. Part of the caller's transaction."""
    DueWork.objects.bulk_create(
        [DueWork(kind=kind, subject_id=subject_id, due_at=due_at, leased_until=due_at)],
        update_conflicts=True,
        unique_fields=["kind", "subject_id"],
        update_fields=["due_at", "leased_until"],
    )
    DueWork.objects.filter(kind=kind, subject_id=subject_id).update(
        done_at=None, parked_at=None, attempts=0, last_error=""
    )


def run_due(*, limit: int = 100, now: dt.datetime | None = None) -> int:
    """Do one step of up to `limit` due rows, oldest first. Returns how many steps were done."""
    seen_at = now or clock.now()
    due = DueWork.objects.filter(
        done_at=None, parked_at=None, due_at__lte=seen_at, leased_until__lte=seen_at, kind__in=_handlers
    ).order_by("due_at")[:limit]
    return sum(_run_one(row, seen_at) for row in list(due))


def _run_one(row: DueWork, now: dt.datetime) -> bool:
    if not _lease(row.id, row.leased_until, row.attempts, now):
        return False  # another worker has it
    try:
        next_at = _handlers[row.kind](row.subject_id, now)
    except Exception as error:  # whatever it was, the row must learn of it: it is tried again later, then parked
        log.exception("due_work_failed", kind=row.kind, subject_id=str(row.subject_id), attempts=row.attempts + 1)
        _note_failure(row.id, error, now)
        metrics.DUE_WORK.labels(row.kind, "failed").inc()
        return False
    _note_step(row.id, row.due_at, next_at, now)
    metrics.DUE_WORK.labels(row.kind, "done" if next_at is None else "step").inc()
    return True


@retried_transaction(replayable=True)
def _lease(row_id: UUID, leased_until: dt.datetime, attempts: int, now: dt.datetime) -> bool:
    # The WHERE clause decides between two workers that both saw the row. A lost answer reads like another worker's success:
    # nobody takes the row until its lease ends, as after a kill.
    taken = DueWork.objects.filter(id=row_id, leased_until=leased_until, done_at=None).update(
        leased_until=now + LEASE, attempts=attempts + 1
    )
    return taken == 1


@retried_transaction(replayable=True)
def _note_step(row_id: UUID, due_at: dt.datetime, next_at: dt.datetime | None, now: dt.datetime) -> None:
    # Only if nobody has given the row a new due time meanwhile: that would be work this step has not seen.
    rows = DueWork.objects.filter(id=row_id, due_at=due_at)
    if next_at is None:
        rows.update(done_at=now)
    else:
        rows.update(due_at=next_at, attempts=0, last_error="")
    DueWork.objects.filter(id=row_id).update(leased_until=F("due_at"))


@retried_transaction(replayable=True)
def _note_failure(row_id: UUID, error: Exception, now: dt.datetime) -> None:
    row = DueWork.objects.get(id=row_id)
    row.last_error = f"{type(error).__name__}: {error}"[:500]
    if row.attempts >= ATTEMPTS_MAX:
        row.parked_at = now
    else:
        row.due_at = now + dt.timedelta(seconds=min(2**row.attempts, BACKOFF_MAX_S))
    row.leased_until = row.due_at
    row.save(update_fields=["last_error", "parked_at", "due_at", "leased_until"])
