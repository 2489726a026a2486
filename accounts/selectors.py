from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model

from accounts.models import MailWish, Notification
from core.paging import Page, page_of


def is_verified(user_id: UUID) -> bool:
    """Whether the user has shown that an e-mail address is theirs. Only verified fans may buy."""
    return EmailAddress.objects.filter(user_id=user_id, verified=True).exists()


def verified_addresses(user_id: UUID) -> set[str]:
    """Those that the user has shown to be theirs, in small letters."""
    found = EmailAddress.objects.filter(user_id=user_id, verified=True).values_list("email", flat=True)
    return {email.lower() for email in found}


def language_of_address(email: str) -> str:
    """What whoever has shown that the address is theirs is written to in; "" for nobody, and where nothing was chosen."""
    found = EmailAddress.objects.filter(email=email, verified=True).values_list("user__language", flat=True)
    return next(iter(found), "")


def page_of_notifications(user_id: UUID, cursor: str = "") -> Page[Notification]:
    """The newest first."""
    return page_of(Notification.objects.filter(user_id=user_id), cursor, by=("-made_at", "-id"))


def newest_notifications(user_id: UUID, count: int) -> list[Notification]:
    return list(Notification.objects.filter(user_id=user_id).order_by("-made_at", "-id")[:count])


def mail_wishes(user_id: UUID) -> set[str]:
    """The kinds of news that the user wants by mail too."""
    return set(MailWish.objects.filter(user_id=user_id).values_list("kind", flat=True))


def count_unread(user_id: UUID) -> int:
    return Notification.objects.filter(user_id=user_id, read_at=None).count()


def display_names(user_ids: Collection[UUID]) -> dict[UUID, str]:
    """The names that users gave themselves, where they did."""
    named = get_user_model().objects.filter(id__in=user_ids).exclude(display_name="")
    return dict(named.values_list("id", "display_name"))


def addresses(user_ids: Collection[UUID]) -> dict[UUID, str]:
    """Their e-mail addresses, for whoever has to deliver something to them."""
    return dict(get_user_model().objects.filter(id__in=user_ids).values_list("id", "email"))
