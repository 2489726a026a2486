from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from allauth.account.models import EmailAddress

from accounts.models import Notification, User, normal_email
from core.ids import uuid7
from core.text import clean_line
from core.transactions import joins_transaction, retried_transaction

NAME_MAX = 60


@retried_transaction(replayable=True)
def register_verified(*, email: str, password: str | None, display_name: str = "", is_staff: bool = False) -> UUID:
    """A user whose address is known to be theirs (set up by an operator, not by sign-up). A repeat returns the same user."""
    existing = User.objects.filter(email=normal_email(email)).first()
    if existing:
        return existing.id
    make = User.objects.create_superuser if is_staff else User.objects.create_user
    user = make(email, password, display_name=display_name)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user.id


@retried_transaction(replayable=True)
def rename(*, user_id: UUID, display_name: str) -> None:
    """Change how we address the user; an empty name is none. Raises Invalid."""
    name = clean_line(display_name, field="display_name", most=NAME_MAX, least=0)
    User.objects.filter(id=user_id).update(display_name=name)


@dataclass(frozen=True, slots=True)
class Message:
    """What one user is to be told. `path` is a page of this site."""

    user_id: UUID
    title: str
    text: str
    path: str


@joins_transaction
def notify(messages: Iterable[Message], *, key: str, now: dt.datetime) -> None:
    """Put each message in its user's list. A user who was told under the same key before is not told again."""
    Notification.objects.bulk_create(
        (
            Notification(
                id=uuid7(), user_id=message.user_id, key=key, title=message.title, text=message.text, path=message.path,
                made_at=now,
            )
            for message in messages
        ),
        ignore_conflicts=True,
    )  # fmt: skip


@retried_transaction(replayable=True)
def mark_read(*, user_id: UUID, now: dt.datetime) -> None:
    """The user has seen what there was."""
    Notification.objects.filter(user_id=user_id, read_at=None, made_at__lte=now).update(read_at=now)
