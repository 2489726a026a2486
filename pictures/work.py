from __future__ import annotations

import datetime as dt
from uuid import UUID

from core.due_work import handles
from pictures import services


@handles(services.MAKE)
def make(picture_id: UUID, now: dt.datetime) -> dt.datetime | None:
    services.make_ready(picture_id)
    return None
