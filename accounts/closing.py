"""Leaving. A user is never deleted, because money and purchases hang on the row; it is made nobody's, and nobody gets in by it.

Whatever else knows users says here why one cannot go yet, what goes with them, and what of theirs they can take along.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.utils.translation import gettext_noop as N_

from accounts import audit, permits
from accounts.models import CLOSED, MailWish, Notification, User
from core.errors import Conflict
from core.transactions import retried_transaction


class CannotClose(Conflict):
    code = "account_in_use"
    detail = N_("This account cannot be closed yet.")


@dataclass(frozen=True, slots=True)
class Part:
    """What one app has of users. `obstacles` are sentences that say what to do first; `leave` joins the transaction."""

    name: str
    obstacles: Callable[[UUID], Sequence[str]] = lambda user_id: ()
    leave: Callable[[UUID], None] = lambda user_id: None
    export: Callable[[UUID], Any] = lambda user_id: None


_parts: list[Part] = []


def register(part: Part) -> None:
    _parts.append(part)


def obstacles(user_id: UUID) -> list[str]:
    """Why the account cannot be closed yet; empty when it can."""
    return [sentence for part in _parts for sentence in part.obstacles(user_id)]


@retried_transaction(replayable=True)
def close_account(*, user_id: UUID, now: dt.datetime, by: UUID | None = None, reason: str = "") -> None:
    """Make the row nobody's: no name, no address, no way in. A repeat changes nothing. Raises CannotClose.

    `by` is the member of staff who does it, and says why.
    """
    user = User.objects.get(id=user_id)
    if user.email.endswith(CLOSED):
        return
    if found := obstacles(user_id):
        raise CannotClose(" ".join(found))
    for part in _parts:
        part.leave(user_id)
    EmailAddress.objects.filter(user_id=user_id).delete()
    Authenticator.objects.filter(user_id=user_id).delete()
    UserSession.objects.filter(user_id=user_id).delete()
    Notification.objects.filter(user_id=user_id).delete()
    MailWish.objects.filter(user_id=user_id).delete()
    user.email, user.display_name, user.is_active = f"{uuid4().hex}{CLOSED}", "", False
    user.is_staff = user.is_superuser = False
    user.set_unusable_password()
    user.save()
    permits.end(user_id, now)
    audit.write("account_closed", user_id=user_id, now=now, by=by, reason=reason)


def export(user_id: UUID) -> dict[str, Any]:
    """All that is kept of the user, in plain values."""
    user = User.objects.get(id=user_id)
    own = {
        "id": user.id,
        "email": user.email,
        "name": user.display_name,
        "joined": user.created_at,
        "notifications": list(
            Notification.objects.filter(user_id=user_id).order_by("id").values("title", "text", "path", "made_at")
        ),
    }
    own["by mail"] = list(MailWish.objects.filter(user_id=user_id).order_by("kind").values_list("kind", flat=True))
    return own | {part.name: part.export(user_id) for part in _parts}
