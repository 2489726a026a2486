"""A sale's frame: the small public state that viewers see, with a version that only grows.

The version is the sale row's own plus the sum over the format's rows, each of which grows by one with every write. Read in
one snapshot, a later state always has a higher version and equal versions mean equal states, whichever process reads.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction

from live import publisher
from sales.formats import get_format
from sales.models import Sale

_encode = msgspec.json.encode


def read_frame(sale_id: UUID) -> dict[str, Any]:
    """The frame as committed now."""
    with transaction.atomic():  # one snapshot for both reads
        sale = Sale.objects.only("format", "state", "version", "opens_at", "closes_at").get(id=sale_id)
        version, facts = get_format(sale.format).rules.frame_facts(sale_id)
    return {
        "sale_id": str(sale_id),
        "version": sale.version + version,
        "format": sale.format,
        "state": sale.state,
        "opens_at": sale.opens_at.isoformat(),
        "closes_at": sale.closes_at.isoformat(),
        **facts,
    }


def encode(frame: dict[str, Any]) -> bytes:
    return _encode(frame)


def send_after_commit(sale_id: UUID) -> None:
    """Have viewers told once the open transaction is committed. A failure to tell never turns into a failed write.

    Services call it before they look whether they are a repeat: when the answer to a COMMIT was lost, its hooks were lost with
    it, and the repeat is the one that can still tell.
    """
    transaction.on_commit(lambda: send(sale_id), robust=True)


def send(sale_id: UUID) -> None:
    """Have the sale's newest committed state read and published soon, in the background; calls that pile up become one."""
    publisher.send_soon(sale_id, lambda: _read_encoded(sale_id))


def _read_encoded(sale_id: UUID) -> tuple[int, bytes]:
    frame = read_frame(sale_id)
    return frame["version"], encode(frame)
