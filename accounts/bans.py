"""Users who are turned out. A ban ends every session at once, because sessions read the user, and every permission to buy
(`accounts/permits.py`)."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.utils.translation import gettext as _

from accounts import audit, permits
from accounts.models import Ban, User
from core.errors import NotAllowed
from core.text import clean_line
from core.transactions import retried_transaction

REASON_MAX = 200


@retried_transaction(replayable=True)
def ban(*, user_id: UUID, staff_id: UUID, reason: str, now: dt.datetime) -> None:
    """Turn the user out: no session, no login, no purchase. What they have bought stays theirs. A repeat changes nothing."""
    reason = clean_line(reason, field="reason", most=REASON_MAX)
    check_may(user_id, staff_id)
    if Ban.objects.filter(user_id=user_id).exists():
        return
    Ban.objects.create(user_id=user_id, staff_id=staff_id, reason=reason, at=now)
    User.objects.filter(id=user_id).update(is_active=False)
    permits.end(user_id, now)
    audit.write("turned_out", user_id=user_id, now=now, by=staff_id, reason=reason)


@retried_transaction(replayable=True)
def let_in_again(*, user_id: UUID, staff_id: UUID, reason: str, now: dt.datetime) -> None:
    """End the ban. A repeat changes nothing."""
    check_may(user_id, staff_id)
    audit.write("let_in_again", user_id=user_id, now=now, by=staff_id, reason=reason)
    Ban.objects.filter(user_id=user_id).delete()
    User.objects.filter(id=user_id).update(is_active=True)


def check_may(user_id: UUID, staff_id: UUID) -> None:
    """Whoever looks after fans may not turn out those who look after them."""
    is_staff = User.objects.filter(id=user_id, is_staff=True).exists()
    if is_staff and not User.objects.filter(id=staff_id, is_superuser=True).exists():
        raise NotAllowed(_("Only a superuser can turn staff out, or let them in again."))
