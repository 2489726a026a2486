"""Stored proofs: who wishes for one, who runs it, and who hears of a broken check.

Viewers never run a check. They see the newest stored run, and when it is old they leave a wish in its row; one process at a
time fulfils wishes and keeps all sales proved in turn.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.core.cache import cache
from django.db import DatabaseError
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from psycopg_pool import PoolTimeout

from core import clock, metrics
from core.errors import Busy
from core.invariants import Finding
from core.transactions import joins_transaction, retried_transaction
from sales import proof, selectors
from sales.formats import get_format, list_formats
from sales.models import UNENDED_STATES, ProofRun, Sale, SaleState
from sales.proof import BOOKS, BOOKS_WHOLE, Proof

log = structlog.get_logger(__name__)

# A running sale's proof is old after this time, but a run that took long stays for ten times as long: whoever looks, proofs
# take a tenth of a core.
FRESH_S = 5.0
REST_FACTOR = 10
SETTLED_AGAIN = dt.timedelta(hours=6)
BOOKS_WHOLE_AGAIN = dt.timedelta(hours=24)
ROUND_BUDGET_S = 20.0
ROUND_SALES = 200
TOTALS_KEPT_S = 12 * 3_600  # longer than a settled sale's run

LOCK = "prover"
LOCK_S = 30  # a killed prover's turn ends after this time
LOCK_RENEWED_EVERY_S = 5


# Runs as viewers see them


def find_run(subject_id: UUID) -> ProofRun | None:
    return ProofRun.objects.filter(subject_id=subject_id).first()


def runs_of(subject_ids: Collection[UUID]) -> dict[UUID, ProofRun]:
    return {run.subject_id: run for run in ProofRun.objects.filter(subject_id__in=subject_ids)}


def read_proof(run: ProofRun | None) -> Proof | None:
    """The stored answers; None when no run has come to its end yet."""
    if run is None or run.ran_at is None or run.took_ms is None:
        return None
    findings = [Finding.from_json(stored) for stored in json.loads(run.findings)]
    return Proof(findings, run.ran_at, run.took_ms, run.snapshots, run.since)


def is_old(run: ProofRun | None, now: dt.datetime) -> bool:
    """Whether rows that still change should be looked at again."""
    if run is None or run.tried_at is None:
        return True
    rest_s = max(FRESH_S, REST_FACTOR * run.tried_ms / 1000)
    return now - run.tried_at > dt.timedelta(seconds=rest_s)


def look_at(sale: Sale, *, now: dt.datetime) -> ProofRun | None:
    """The sale's newest run for a viewer. Leaves a wish for the next one when it is old; a settled sale's never is."""
    run = find_run(sale.id)
    if run is not None and run.tried_at is not None and sale.state == SaleState.SETTLED:
        return run
    return _wished(sale.id, run, now) if is_old(run, now) else run


def look_again(sale: Sale, *, now: dt.datetime) -> None:
    """Somebody pressed the button. However many do, and of whatever sale, a run follows the last one after its rest."""
    run = find_run(sale.id)
    if is_old(run, now):
        _wished(sale.id, run, now)


def look_at_books(*, now: dt.datetime) -> ProofRun | None:
    """The newest run of the books, which beat repeats."""
    found = runs_of([BOOKS, BOOKS_WHOLE])
    ran = [run for run in found.values() if run.ran_at is not None]
    if ran:
        return max(ran, key=lambda run: run.ran_at or now)
    return _wished(BOOKS, found.get(BOOKS), now)


def _wished(subject_id: UUID, run: ProofRun | None, now: dt.datetime) -> ProofRun | None:
    # One viewer in FRESH_S writes; the others of a crowd do not even try.
    if (run is None or run.asked_at is None) and cache.add(f"proof-wish:{subject_id}", True, timeout=int(FRESH_S)):
        try:
            wish(subject_id, now=now)
        except Busy:
            pass  # the next viewer asks
        return find_run(subject_id)
    return run


def totals_beside(sale: Sale, run: ProofRun | None) -> dict[str, Any]:
    """What the format shows beside that run. It reads all of a sale's orders, so it is made once for a run, not for each viewer."""
    if run is None or run.ran_at is None:
        return get_format(sale.format).presenter.proof(sale)
    key = f"proof-totals:{sale.id}:{run.ran_at.timestamp()}"
    found = cache.get(key)
    if found is None:
        found = get_format(sale.format).presenter.proof(sale)
        cache.set(key, found, timeout=TOTALS_KEPT_S)
    return found  # type: ignore[no-any-return]


# Wishes


@retried_transaction(replayable=True)
def wish(subject_id: UUID, *, now: dt.datetime) -> None:
    """Have the subject proved soon. A wish that is there already stays: one run serves everybody."""
    if not ProofRun.objects.filter(subject_id=subject_id, asked_at__isnull=False).exists():
        wish_anew(subject_id, now=now)


@joins_transaction
def wish_anew(subject_id: UUID, *, now: dt.datetime) -> None:
    """Have the rows proved as they are after this transaction: a run that is under way does not count."""
    ProofRun.objects.bulk_create(
        [ProofRun(subject_id=subject_id, asked_at=now)],
        update_conflicts=True,
        unique_fields=["subject_id"],
        update_fields=["asked_at"],
    )


# Running


def prove_now(sale: Sale) -> Proof:
    """Run the sale's checks and store the run."""
    run = find_run(sale.id)
    found = proof.prove_sale(sale, books=False)
    _store(sale.id, found, run.asked_at if run else None)
    totals_beside(sale, find_run(sale.id))  # so that the first viewer need not wait for them
    return found


def fulfil_wishes(*, limit: int = 100) -> int:
    """Run what was wished for, the oldest wish first, unless another process does. Returns how many were run."""
    with _my_turn() as is_mine:
        wishes = ProofRun.objects.filter(asked_at__isnull=False).order_by("asked_at")
        subjects = list(wishes.values_list("subject_id", flat=True)[:limit]) if is_mine else []
        for subject_id in subjects:
            _prove(subject_id)
        if subjects:
            show_broken()
    return len(subjects)


def prove_in_turn(*, budget_s: float = ROUND_BUDGET_S) -> int:
    """Prove the sales that are due, newest and running first, for about `budget_s`. Returns how many were run.

    A sale whose last run took longer than that is only wished for.
    """
    ends_at = time.monotonic() + budget_s
    done = 0
    with _my_turn() as is_mine:
        for sale_id, last_ms in _due_sales(clock.now()) if is_mine else []:
            if time.monotonic() >= ends_at:
                break
            if last_ms > budget_s * 1000:
                wish(sale_id, now=clock.now())
            else:
                _prove(sale_id)
                done += 1
        if done:
            show_broken()
    return done


def wish_for_books(*, now: dt.datetime) -> None:
    """What beat asks for: the books' news each time, all of them when that was long ago."""
    whole = find_run(BOOKS_WHOLE)
    is_enough = whole is not None and whole.tried_at is not None and now - whole.tried_at < BOOKS_WHOLE_AGAIN
    # What is broken is looked at as a whole until it holds again.
    wish(BOOKS if whole and is_enough and whole.holds else BOOKS_WHOLE, now=now)


def _due_sales(now: dt.datetime) -> Iterator[tuple[UUID, int]]:
    """(sale, milliseconds of its last run): those that change, newest first; then those that should not, oldest run first."""
    sales = selectors.published_sales()
    changing = sales.filter(opens_at__lte=now, state__in=[*UNENDED_STATES, SaleState.CLOSED, SaleState.SETTLING])
    newest = list(changing.order_by("-opens_at").values_list("id", flat=True)[:ROUND_SALES])
    runs = runs_of(newest)
    for sale_id in newest:
        run = runs.get(sale_id)
        if is_old(run, now):
            yield sale_id, run.tried_ms if run else 0
    tried = ProofRun.objects.filter(subject_id=OuterRef("id"))
    over = sales.filter(state__in=[SaleState.SETTLED, SaleState.CANCELLED]).annotate(
        last=Subquery(tried.values("tried_at")), last_ms=Subquery(tried.values("tried_ms"))
    )
    due = over.filter(Q(last=None) | Q(last__lt=now - SETTLED_AGAIN)).order_by(F("last").asc(nulls_first=True))
    for sale_id, last_ms in due.values_list("id", "last_ms")[:ROUND_SALES]:
        yield sale_id, last_ms or 0


def _prove(subject_id: UUID) -> None:
    """One run, stored. A run that fails is noted, and its wish is over too: the next viewer, or beat, asks again."""
    run = find_run(subject_id)
    asked_at = run.asked_at if run else None
    began_at = clock.now()
    try:
        found = _run(subject_id, asked_at)
    except (DatabaseError, PoolTimeout, Busy) as error:
        log.exception("proof_failed", subject_id=str(subject_id))
        metrics.DUE_WORK.labels("sales.prove", "failed").inc()
        _store_failure(subject_id, f"{type(error).__name__}: {error}", began_at, asked_at)
        return
    metrics.DUE_WORK.labels("sales.prove", "done").inc()
    for finding in found.findings:
        if not finding.holds:
            name, expected, number = finding.check.name, finding.expected, finding.found
            log.error("invariant_broken", subject_id=str(subject_id), check=name, expected=expected, found=number)


def _run(subject_id: UUID, asked_at: dt.datetime | None) -> Proof:
    if subject_id not in (BOOKS, BOOKS_WHOLE):
        return prove_now(Sale.objects.get(id=subject_id))
    found = proof.prove_books_since() if subject_id == BOOKS else proof.prove_books()
    _store(subject_id, found, asked_at)
    return found


@retried_transaction(replayable=True)
def _store(subject_id: UUID, found: Proof, asked_at: dt.datetime | None) -> None:
    """Keep the run unless a newer one is there. Only the wish that was seen before the run is fulfilled by it."""
    rows = _row(subject_id)
    rows.filter(Q(ran_at=None) | Q(ran_at__lt=found.ran_at)).update(
        ran_at=found.ran_at, took_ms=found.took_ms, snapshots=found.snapshots, since=found.since, holds=found.holds,
        findings=json.dumps([finding.as_json() for finding in found.findings]), tried_at=found.ran_at,
        tried_ms=found.took_ms, error="",
    )  # fmt: skip
    rows.filter(asked_at=asked_at).update(asked_at=None)


@retried_transaction(replayable=True)
def _store_failure(subject_id: UUID, error: str, began_at: dt.datetime, asked_at: dt.datetime | None) -> None:
    rows = _row(subject_id)
    took_ms = int((clock.now() - began_at).total_seconds() * 1000)
    rows.update(tried_at=began_at, tried_ms=took_ms, error=error[:300])
    rows.filter(asked_at=asked_at).update(asked_at=None)


def _row(subject_id: UUID) -> QuerySet[ProofRun]:
    rows = ProofRun.objects.filter(subject_id=subject_id)
    if not rows.exists():
        ProofRun.objects.create(subject_id=subject_id)
    return rows


def show_broken() -> None:
    """Set each check's gauge by the stored runs: 1 as long as it is broken somewhere."""
    broken = {
        finding["name"]
        for (findings,) in ProofRun.objects.filter(holds=False).values_list("findings")
        for finding in json.loads(findings)
        if not finding["holds"]
    }
    known = {check.name for format in list_formats() for check in format.checks}
    for name in known | {check.name for check in proof.BOOKS_CHECKS} | broken:
        metrics.INVARIANT_BROKEN.labels(name).set(name in broken)


# One prover at a time


@contextmanager
def _my_turn() -> Iterator[bool]:
    """Whether nobody else is proving; until the block ends nobody will.

    It keeps the load down and no promise leans on it, so that the cache may lose it: two provers read the same rows.
    """
    mine = uuid4().hex
    if not cache.add(LOCK, mine, timeout=LOCK_S):
        yield False
        return
    is_over = threading.Event()
    renewing = threading.Thread(target=_renew_until, args=[is_over], daemon=True)
    renewing.start()
    try:
        yield True
    finally:
        is_over.set()
        renewing.join()
        if cache.get(LOCK) == mine:
            cache.delete(LOCK)


def _renew_until(is_over: threading.Event) -> None:
    while not is_over.wait(LOCK_RENEWED_EVERY_S):
        cache.touch(LOCK, LOCK_S)
