from __future__ import annotations

from celery import shared_task
from django.db import connection

from core import clock
from sales import prover

# A message is acknowledged at once: a run may take longer than an unacknowledged one stays away, and beat sends the next anyway.


@shared_task(ignore_result=True, acks_late=False)
def fulfil_proof_wishes() -> None:
    """Run the checks that somebody wished for. One process at a time does; the others leave at once."""
    try:
        prover.fulfil_wishes()
    finally:
        connection.close()


@shared_task(ignore_result=True, acks_late=False)
def prove_in_turn() -> None:
    """Run the sales' own checks, newest and running first. A broken one is an alarm in the log and in the metrics."""
    try:
        prover.prove_in_turn()
    finally:
        connection.close()


@shared_task(ignore_result=True)
def check_books() -> None:
    """Have the ledger's checks run."""
    try:
        prover.wish_for_books(now=clock.now())
    finally:
        connection.close()
