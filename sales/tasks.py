from __future__ import annotations

import structlog
from celery import shared_task
from django.db import connection

from core import metrics
from sales import proof

log = structlog.get_logger(__name__)


@shared_task(ignore_result=True)
def check_books() -> None:
    """Run the ledger's checks; a broken one is an alarm in the log and in the metrics."""
    try:
        for finding in proof.prove_books().findings:
            metrics.INVARIANT_BROKEN.labels(finding.check.name).set(0 if finding.holds else 1)
            if not finding.holds:
                log.error("invariant_broken", check=finding.check.name, expected=finding.expected, found=finding.found)
    finally:
        connection.close()
