"""A sale's frame: the small public state that viewers see, with a version that only grows.

The version is the sale row's own plus the sum over the sale's gates, each of which grows by one with every batch of purchases. Read
in one snapshot, a later state always has a higher version and equal versions mean equal states, whichever process reads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction

from live import publisher
from sales.formats import get_format
from sales.models import Sale

_encode = msgspec.json.encode


def read_frame(sale_id: UUID) -> dict[str, Any]:
    """The frame as committed now, in one statement and so from one snapshot."""
    rules = get_format(_format_of(sale_id)).rules
    with connection.cursor() as cursor:
        cursor.execute(
            _SALE + f" CROSS JOIN ({rules.frame_sql}) AS facts WHERE sale.id = %(sale_id)s", {"sale_id": sale_id}
        )
        (format, state, version, opens_at, closes_at), facts = _divided(cursor)
    return {
        "sale_id": str(sale_id),
        "version": version,
        "format": format,
        "state": state,
        "opens_at": opens_at.isoformat(),
        "closes_at": closes_at.isoformat(),
        **rules.frame_facts(facts),
    }


_SALE = """
    SELECT sale.format, sale.state, (sale.version + gate.version)::bigint,
           sale.opens_at + sale.frozen_ms * interval '1 millisecond', sale.closes_at + sale.frozen_ms * interval '1 millisecond',
           facts.*
      FROM sales_sale AS sale
     CROSS JOIN (SELECT coalesce(sum(version), 0) AS version FROM sales_gate WHERE sale_id = %(sale_id)s) AS gate
"""


def _divided(cursor: Any) -> tuple[Any, dict[str, Any]]:
    """What every frame has, and the format's facts by the names of their columns."""
    row, names = cursor.fetchone(), [column[0] for column in cursor.description]
    return row[:5], dict(zip(names[5:], row[5:], strict=True))


@lru_cache(maxsize=10_000)
def _format_of(sale_id: UUID) -> str:
    return Sale.objects.only("format").get(id=sale_id).format  # which never changes


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
