from __future__ import annotations

import datetime as dt
from uuid import UUID

from auctions.english import telling
from core.due_work import handles


@handles(telling.WATCH)
def watch(sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    return telling.watch(sale_id=sale_id, now=now)
