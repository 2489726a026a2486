from __future__ import annotations

import datetime as dt
from uuid import UUID

from core.due_work import handles
from rallies import settlement, telling


@handles(telling.WATCH)
def watch(rally_id: UUID, now: dt.datetime) -> dt.datetime | None:
    return telling.watch(rally_id=rally_id, now=now)


@handles(settlement.REPEAT)
def repeat(rally_id: UUID, now: dt.datetime) -> dt.datetime | None:
    settlement.repeat_rally(rally_id=rally_id, now=now)
    return None
