from __future__ import annotations

from celery import shared_task
from django.db import connection

from core import clock, due_work


@shared_task(acks_late=True, ignore_result=True)
def look_for_due_work() -> None:
    """Do what is due. Beat sends this each second; running it twice at once, or never for a while, does no harm."""
    clock.measure()
    try:
        while due_work.run_due():
            pass  # a long settlement is many short steps: each is due again at once
    finally:
        connection.close()
