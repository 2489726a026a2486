from __future__ import annotations

import datetime as dt
from uuid import UUID

from core.due_work import handles
from drops import settlement


@handles(settlement.EXPIRE_HOLDS, urgent=True)
def expire_holds(drop_id: UUID, now: dt.datetime) -> dt.datetime | None:
    return settlement.expire_holds(drop_id=drop_id, now=now)
