from __future__ import annotations

import datetime as dt
from uuid import UUID

from accounts import news
from core.due_work import handles


@handles(news.MAIL)
def mail(round_id: UUID, now: dt.datetime) -> dt.datetime | None:
    return news.mail_step(now=now)
