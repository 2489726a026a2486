"""What happened to accounts and by staff: a row that staff can read, and a line in the log, with the client's address.

A row is never changed or deleted. Times are the database's; addresses are of the request that is under way, if there is one.
"""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import structlog

from accounts.models import SecurityEvent
from core import clock, rate_limit
from core.ids import uuid7
from core.transactions import joins_transaction, retried_transaction

log = structlog.get_logger("audit")
FACTS_MAX = 500  # characters of one


@joins_transaction
def write(event: str, *, user_id: UUID | None, now: dt.datetime, by: UUID | None = None, **facts: Any) -> None:
    """Part of the transaction that does it: it is written exactly when that happens."""
    said = {name: str(value)[:FACTS_MAX] for name, value in facts.items()}
    client = str(structlog.contextvars.get_contextvars().get("client", ""))
    SecurityEvent.objects.create(id=uuid7(), event=event, user_id=user_id, by_id=by, client=client, facts=said, at=now)
    log.info(event, user_id=str(user_id or ""), by=str(by or ""), **said)


@retried_transaction()
def _write_alone(event: str, user_id: UUID | None, now: dt.datetime, facts: dict[str, Any]) -> None:
    write(event, user_id=user_id, now=now, **facts)


def note(event: str, *, user_id: UUID | None = None, **facts: Any) -> None:
    """For what happens outside our own transactions, such as a login. It never fails what it notes."""
    try:
        _write_alone(event, user_id, clock.now(), facts)
    except Exception as error:  # the database may be away; the log has it then
        log.warning(event, user_id=str(user_id or ""), **facts, not_written=str(error))


def note_seldom(event: str, about: str, *, user_id: UUID | None = None, **facts: Any) -> None:
    """Like `note`, for what a stranger can bring about as often as they like: once a minute for the same `about` and client."""
    client = structlog.contextvars.get_contextvars().get("client", "")
    if rate_limit.count(f"audit:{event}", f"{about} {client}", window_s=60) == 1:
        note(event, user_id=user_id, **facts)
    else:
        log.info(event, user_id=str(user_id or ""), **facts)
