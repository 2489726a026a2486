"""When a user's permissions to buy came to an end: by logging out, another password, a ban, a closed account.

A buy token is read without the database, so each web process keeps the newest ends in memory and asks the database for newer ones
twice a second. A token that was made before its fan's end is no good any more. The table, and not Valkey, spreads the news: the end
is written in the transaction of what ends them, and none is lost while Valkey is away.
"""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from accounts.models import PermitsEnd
from core.transactions import joins_transaction, retried_transaction

REFRESHED_EVERY_S = 0.5
# Longer than a token lives (`sales.tokens.VALID_S`), and than two processes' clocks can differ: older ends meet no token.
REMEMBERED = dt.timedelta(minutes=10)

_ends_ms: dict[UUID, int] = {}


def ended_since(user_id: UUID, made_at_ms: int) -> bool:
    """Whether the user's permissions of that time have ended, as this process knew it less than a second ago."""
    return _ends_ms.get(user_id, -1) >= made_at_ms


def refresh(*, now: dt.datetime) -> None:
    """Read the newest ends."""
    global _ends_ms
    newest = PermitsEnd.objects.filter(at__gt=now - REMEMBERED).values_list("user_id", "at")
    _ends_ms = {user_id: to_ms(at) for user_id, at in newest}


def to_ms(at: dt.datetime) -> int:
    return int(at.timestamp() * 1_000)


@joins_transaction
def end(user_id: UUID, now: dt.datetime) -> None:
    """End all that the user may do without being asked who they are."""
    PermitsEnd.objects.bulk_create(
        [PermitsEnd(user_id=user_id, at=now)], update_conflicts=True, unique_fields=["user"], update_fields=["at"]
    )


@retried_transaction(replayable=True)
def end_now(*, user_id: UUID, now: dt.datetime) -> None:
    end(user_id, now)
