"""Tell a worker to look for due work now instead of within a second. Only a hint: losing it loses nothing."""

from __future__ import annotations

import structlog

log = structlog.get_logger(__name__)


def look_now() -> None:
    from core.tasks import look_for_due_work  # imported late: Celery is not needed to import a service

    try:
        look_for_due_work.apply_async(expires=5, retry=False)
    except Exception as error:  # the broker may be down in many ways; beat looks within a second anyway
        log.info("nudge_failed", error=str(error))
