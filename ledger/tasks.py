from __future__ import annotations

from celery import shared_task
from django.db import connection

from core import clock
from ledger import services


@shared_task(ignore_result=True)
def checkpoint_accounts() -> None:
    """Bring the checkpoints of collecting accounts forward, some at a time, so that a balance never sums years."""
    try:
        while services.checkpoint_accounts(now=clock.now()):
            pass  # ends: each account is past its news once
    finally:
        connection.close()
