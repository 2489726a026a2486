from __future__ import annotations

import structlog
from celery import shared_task
from django.db import connection

from core import alarms, clock, due_work
from core.blame import Blame, blame

log = structlog.get_logger(__name__)


@shared_task(acks_late=True, ignore_result=True)
def look_for_due_work() -> None:
    """Do what is due. Beat sends this each second; running it twice at once, or never for a while, does no harm."""
    try:
        clock.measure()
        while due_work.run_due():
            alarms.refresh()  # a long settlement is many short steps: each is due again at once
        alarms.refresh()
    except Exception as error:
        if blame(error) is not Blame.PASSING:
            raise
        log.warning("due_work_out_of_reach", error=str(error))  # the next look is a second away
    finally:
        connection.close()
