from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from allauth.account.adapter import get_adapter
from allauth.account.forms import ResetPasswordForm
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from accounts import audit, news, permits
from accounts.models import CLOSED, MailWish, NewsKind, Notification, User, normal_email
from core import due_work
from core.errors import Conflict, Invalid
from core.ids import uuid7
from core.language import Said, is_zone
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


@retried_transaction(replayable=True)
def prefer(*, user_id: UUID, language: str, zone: str) -> None:
    """What the user is written to in, and by which clocks; "" is nothing chosen. Raises Invalid."""
    if language and language not in dict(settings.LANGUAGES):
        raise Invalid(_("We do not speak this language yet."), field="language")
    if zone and not is_zone(zone):
        raise Invalid(_("There is no such time zone."), field="zone")
    User.objects.filter(id=user_id).update(language=language, zone=zone)


class EmailTaken(Conflict):
    code = "email_taken"
    detail = N_("Another account has this address.")


@retried_transaction(replayable=True)
def change_email(*, user_id: UUID, email: str, now: dt.datetime, by: UUID | None = None) -> tuple[str, str]:
    """Give the account another address, which its owner must confirm; all sessions end. (the address before, the new one).

    The caller writes to both (`tell_of_new_email`). Raises Invalid, EmailTaken. A repeat changes nothing.
    """
    email = normal_email(email)
    try:
        validate_email(email)
    except ValidationError:
        raise Invalid(_("This is not an e-mail address."), field="email") from None
    if email.endswith(CLOSED):
        raise Invalid(_("Nobody can have this address."), field="email")
    user = User.objects.get(id=user_id)
    before = user.email
    if before == email:
        return before, email
    others = User.objects.filter(email=email).exclude(id=user_id).exists()
    if others or EmailAddress.objects.filter(email=email).exclude(user_id=user_id).exists():
        raise EmailTaken(field="email")
    user.email = email
    user.save(update_fields=["email"])
    EmailAddress.objects.filter(user_id=user_id).delete()
    EmailAddress.objects.create(user=user, email=email, verified=False, primary=True)
    permits.end(user_id, now)
    audit.write("email_changed", user_id=user_id, now=now, by=by)
    return before, email


def tell_of_new_email(request: HttpRequest, *, user_id: UUID, before: str, after: str) -> None:
    """In the user's language, not that of staff: to the address before what happened, to the new one how to confirm it."""
    user = User.objects.get(id=user_id)
    context = {"from_email": before, "to_email": after}
    with translation.override(user.language or settings.LANGUAGE_CODE):
        get_adapter(request).send_notification_mail("account/email/email_changed", user, context, email=before)
        EmailAddress.objects.get(user=user, email=after).send_confirmation(request)


def invite(request: HttpRequest, user: User) -> None:
    """Mail the user a link by which they choose a password. Of an account that staff made."""
    form = ResetPasswordForm({"email": user.email})
    with translation.override(user.language or settings.LANGUAGE_CODE):
        if form.is_valid():
            form.save(request)


@dataclass(frozen=True, slots=True)
class Message:
    """What one user is to be told. `path` is a page of this site."""

    user_id: UUID
    title: Said  # in the language of who is told
    text: Said
    path: str
    kind: NewsKind = NewsKind.MINE


@joins_transaction
def notify(messages: Iterable[Message], *, key: str, now: dt.datetime, always_by_mail: bool = False) -> None:
    """Put each message in its user's list, and have it mailed soon to who wants that, or to everybody. A user who was told under
    the same key before is not told again."""
    told = list(messages)
    wishes = MailWish.objects.filter(user_id__in={message.user_id for message in told}).values_list("user_id", "kind")
    wanted = set(wishes)
    languages = languages_of({message.user_id for message in told})
    rows = []
    for message in told:
        with translation.override(languages[message.user_id]):
            title, text = str(message.title), str(message.text)
        mail_due_at = now if always_by_mail or (message.user_id, message.kind) in wanted else None
        rows.append(
            Notification(id=uuid7(), user_id=message.user_id, key=key, title=title, text=text, path=message.path,
                         made_at=now, mail_due_at=mail_due_at)
        )  # fmt: skip
    Notification.objects.bulk_create(rows, ignore_conflicts=True)
    if any(row.mail_due_at for row in rows):
        due_work.schedule(news.MAIL, news.ROUND, due_at=now)


def languages_of(user_ids: Collection[UUID]) -> Mapping[UUID, str]:
    """What each is written to in."""
    chosen = User.objects.filter(id__in=user_ids).exclude(language="").values_list("id", "language")
    return dict.fromkeys(user_ids, settings.LANGUAGE_CODE) | dict(chosen)


@retried_transaction(replayable=True)
def wish_for_mail(*, user_id: UUID, kinds: Collection[NewsKind]) -> None:
    """News of these kinds, and of no other, come by mail too."""
    MailWish.objects.filter(user_id=user_id).exclude(kind__in=kinds).delete()
    MailWish.objects.bulk_create([MailWish(user_id=user_id, kind=kind) for kind in kinds], ignore_conflicts=True)


@retried_transaction(replayable=True)
def mark_read(*, user_id: UUID, now: dt.datetime) -> None:
    """The user has seen what there was."""
    Notification.objects.filter(user_id=user_id, read_at=None, made_at__lte=now).update(read_at=now)
