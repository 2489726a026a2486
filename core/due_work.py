"""Work that must happen: the row is the queue.

`schedule` writes a row in the transaction that causes the work. Celery beat looks every second, and a service may nudge a
worker to look at once. A lost message delays, a repeated one changes nothing, a killed worker's row comes free when its lease
ends. A handler does one bounded step and says when to be called again; it is safe to run twice.

`due_at` says what is owed and stays while a step fails, so its age is how late the work is; `leased_until` says when a worker
may take the row next. `lease_id` names the step under way. Scheduling takes it off the row, and so the step learns that
there is work which it may not have seen.
"""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog
from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber

from core import clock, metrics
from core.blame import Blame, blame
from core.ids import uuid7
from core.models import DueWork
from core.sql import parts
from core.transactions import joins_transaction, retried_transaction

log = structlog.get_logger(__name__)

LEASE = dt.timedelta(seconds=30)
ATTEMPTS_MAX = 8  # then the row is parked, for staff to look at
BACKOFF_MAX_S = 300
BUSY_BACKOFF_S = (0.5, 1.5)
# A transaction that saw a row this long before its time has ended when the row's step begins.
NEAR = dt.timedelta(seconds=15)
# How many rows of a kind get a step in one round. A kind that is stuck or slow holds up the others for no longer than that.
URGENT_STEPS = 8
OTHER_STEPS = 2

# A handler gets the subject and now; it gives the time of its next step, or None when nothing is left to do.
Handler = Callable[[UUID, dt.datetime], dt.datetime | None]
_handlers: dict[str, Handler] = {}
_urgent: set[str] = set()

_FREE = {"lease_id": None, "attempts": 0, "last_error": ""}


def handles(kind: str, *, urgent: bool = False) -> Callable[[Handler], Handler]:
    """Register the handler of a kind of work. Called at import, from an app's `work.py`.

    Money and closing are urgent, and come before what only announces, tells or watches.
    """

    def register(handler: Handler) -> Handler:
        assert kind not in _handlers, kind
        _handlers[kind] = handler
        if urgent:
            _urgent.add(kind)
        return handler

    return register


def kinds() -> Sequence[str]:
    return sorted(_handlers)


@joins_transaction
def schedule(kind: str, subject_id: UUID, *, due_at: dt.datetime) -> None:
    """Write the row, or move the due time of the one that is there. Part of the caller's transaction."""
    DueWork.objects.bulk_create(
        [DueWork(kind=kind, subject_id=subject_id, due_at=due_at, leased_until=due_at)],
        update_conflicts=True,
        unique_fields=["kind", "subject_id"],
        update_fields=["due_at", "leased_until", "lease_id", "done_at", "parked_at", "attempts", "last_error"],
    )


@joins_transaction
def schedule_by(kind: str, subject_id: UUID, *, due_at: dt.datetime, now: dt.datetime) -> None:
    """`schedule`, but a step that is to come earlier stays: for work whose handler looks for itself what else is to come.

    Mostly it only reads. It writes when `due_at` is the earliest, and when the row's step is near or under way: that step may
    not see what this transaction writes, and the two must meet on the row for one of them to notice.
    """
    row = DueWork.objects.filter(kind=kind, subject_id=subject_id, done_at=None, parked_at=None).first()
    if row is None:
        schedule(kind, subject_id, due_at=due_at)
        return
    comes_at = row.due_at if row.lease_id else row.leased_until
    if row.lease_id is None and now + NEAR < comes_at <= due_at:
        return
    DueWork.objects.filter(id=row.id).update(
        due_at=min(row.due_at, due_at), leased_until=min(comes_at, due_at), lease_id=None
    )


def run_due(*, now: dt.datetime | None = None) -> int:
    """One round: a step each of the oldest due rows of every kind, the urgent first. Returns how many steps were done.

    The time is the database's, not this process': a worker whose clock is wrong closes and settles nothing early or late.
    """
    began_at, began_s = now or clock.read(), time.monotonic()

    def at() -> dt.datetime:
        return now or began_at + dt.timedelta(seconds=time.monotonic() - began_s)

    return sum(_run_one(row, at()) for row in _next_round(began_at))


def _next_round(now: dt.datetime) -> Sequence[DueWork]:
    ready = DueWork.objects.filter(done_at=None, parked_at=None, due_at__lte=now, leased_until__lte=now)
    ready = ready.filter(kind__in=_handlers).annotate(
        turn=Window(RowNumber(), partition_by="kind", order_by=[F("leased_until"), F("id")])
    )
    is_urgent = Q(kind__in=_urgent)
    rows = ready.filter(Q(is_urgent, turn__lte=URGENT_STEPS) | Q(~is_urgent, turn__lte=OTHER_STEPS))
    return sorted(rows, key=lambda row: (row.kind not in _urgent, row.leased_until))


def _run_one(row: DueWork, now: dt.datetime) -> bool:
    lease_id = uuid7()
    if not _lease(row, lease_id, now):
        return False  # another worker has it
    try:
        next_at = _handlers[row.kind](row.subject_id, now)
    except Exception as error:  # whatever it was, the row must learn of it: it is tried again later
        result = _note_trouble(row, lease_id, error, now)
        metrics.DUE_WORK.labels(row.kind, result).inc()
        return False
    _note_step(row.id, lease_id, next_at, now)
    metrics.DUE_WORK.labels(row.kind, "done" if next_at is None else "step").inc()
    return True


@retried_transaction(replayable=True)
def _lease(row: DueWork, lease_id: UUID, now: dt.datetime) -> bool:
    # The WHERE clause decides between two workers that both saw the row; after a lost answer the lease's id tells whose it is.
    is_as_seen = Q(leased_until=row.leased_until, lease_id=row.lease_id, done_at=None, parked_at=None)
    taken = DueWork.objects.filter(is_as_seen | Q(lease_id=lease_id), id=row.id).update(
        leased_until=now + LEASE, lease_id=lease_id
    )
    return taken == 1


@retried_transaction(replayable=True)
def _note_step(row_id: UUID, lease_id: UUID, next_at: dt.datetime | None, now: dt.datetime) -> None:
    mine = DueWork.objects.filter(id=row_id, lease_id=lease_id)
    if next_at is None:
        mine.update(done_at=now, **_FREE)
    elif not mine.update(due_at=next_at, leased_until=next_at, **_FREE):
        # Scheduled meanwhile: the earlier time counts. (Under another worker's lease it is that worker who says.)
        scheduled = DueWork.objects.filter(id=row_id, lease_id=None, done_at=None, parked_at=None)
        scheduled.filter(due_at__gt=next_at).update(due_at=next_at, leased_until=next_at)


def _note_trouble(row: DueWork, lease_id: UUID, error: Exception, now: dt.datetime) -> str:
    if blame(error) is Blame.PASSING:
        log.info("due_work_busy", kind=row.kind, subject_id=str(row.subject_id), error=str(error))
        _note_busy(row.id, lease_id, now)
        return "busy"
    log.exception("due_work_failed", kind=row.kind, subject_id=str(row.subject_id))
    if _note_failure(row.id, lease_id, error, now):
        log.error("due_work_parked", kind=row.kind, subject_id=str(row.subject_id), error=str(error))
    return "failed"


@retried_transaction(replayable=True)
def _note_busy(row_id: UUID, lease_id: UUID, now: dt.datetime) -> None:
    # Nothing is wrong with the work, so this counts for nothing; a moment later others have done what was in the way.
    pause = dt.timedelta(seconds=random.uniform(*BUSY_BACKOFF_S))
    DueWork.objects.filter(id=row_id, lease_id=lease_id).update(leased_until=now + pause, lease_id=None)


@retried_transaction(replayable=True)
def _note_failure(row_id: UUID, lease_id: UUID, error: Exception, now: dt.datetime) -> bool:
    """Have the row tried again later and later, then park it. Whether it is parked now."""
    row = DueWork.objects.filter(id=row_id, lease_id=lease_id).first()
    if row is None:
        return False  # scheduled meanwhile, or another worker has it
    attempts = row.attempts + 1
    is_over = attempts >= ATTEMPTS_MAX
    DueWork.objects.filter(id=row_id).update(
        attempts=attempts,
        last_error=f"{type(error).__name__}: {error}"[:500],
        parked_at=now if is_over else None,
        leased_until=now + dt.timedelta(seconds=min(2**attempts, BACKOFF_MAX_S)),
        lease_id=None,
    )
    return is_over


def set_free(row_ids: Sequence[UUID], *, now: dt.datetime) -> int:
    """Have parked work tried again now, however much. Returns how many rows were parked."""
    return sum(_set_free(some, now=now) for some in parts(row_ids))


@retried_transaction(replayable=True)
def _set_free(row_ids: Sequence[UUID], *, now: dt.datetime) -> int:
    parked = DueWork.objects.filter(id__in=row_ids, parked_at__isnull=False)
    return parked.update(parked_at=None, leased_until=now, **_FREE)
