"""Deleting receipts that no caller will ask for any more."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS

from dsql.receipts.models import Receipt
from dsql.transactions import run_transaction

BATCH_ROWS = 1_000  # a transaction takes 3,000
BATCH_DEADLINE_S = 30.0


def forget_receipts(made_before: datetime, *, using: str = DEFAULT_DB_ALIAS) -> int:
    """Delete the receipts made before that moment, in batches. How many there were. Can be stopped and run again."""
    forgotten, last_id = 0, None
    while batch := run_transaction(
        lambda after=last_id: _forget_batch(made_before, after, using),  # type: ignore[misc]
        using=using,
        deadline_s=BATCH_DEADLINE_S,
        replayable=True,  # a repeat goes on with what is left; only the count would miss a batch
    ):
        forgotten += len(batch)
        last_id = batch[-1]
    return forgotten


def _forget_batch(made_before: datetime, after: UUID | None, using: str) -> list[UUID]:
    # In the order of the key, and from where the last batch ended: nothing is read twice.
    receipts = Receipt.objects.using(using)
    old = receipts.filter(made_at__lt=made_before).order_by("id").values_list("id", flat=True)
    batch = list((old.filter(id__gt=after) if after else old)[:BATCH_ROWS])
    receipts.filter(id__in=batch).delete()
    return batch
