"""News by mail, for who wishes for it. On the site everybody is told anyway."""

from __future__ import annotations

import datetime as dt
import time
from uuid import UUID

from allauth.account.models import EmailAddress
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import Notification, User
from core import letters
from core.transactions import retried_transaction

MAIL = "accounts.mail"
ROUND = UUID("00000000-0000-7000-8000-0000000000c0")  # one round for all: mail servers take one after the other anyway
MAILS_A_STEP = 20
STEP_S = 10.0  # a mail server that takes its time gets no longer than this, well within a lease
AGAIN = dt.timedelta(minutes=10)  # what a mail server did not take is tried again
STALE = dt.timedelta(days=1)  # until it is news no more


def mail_step(*, now: dt.datetime) -> dt.datetime | None:
    """Send news that are due by mail, the oldest first; the time of the next step. Each is taken off before it is sent, so that a
    kill costs a mail and never sends two."""
    began_s = time.monotonic()
    due = Notification.objects.filter(mail_due_at__lte=now).order_by("mail_due_at", "id")[:MAILS_A_STEP]
    for news in due:
        if time.monotonic() - began_s > STEP_S:
            return now
        if _set_due(news_id=news.id, was=news.mail_due_at, at=None) and not _mail(news) and now - news.made_at < STALE:
            _set_due(news_id=news.id, was=None, at=now + AGAIN)
    waiting = Notification.objects.filter(mail_due_at__isnull=False).order_by("mail_due_at").first()
    return waiting.mail_due_at if waiting else None


@retried_transaction(replayable=True)
def _set_due(*, news_id: UUID, was: dt.datetime | None, at: dt.datetime | None) -> bool:
    """Whether it was this caller who changed it."""
    return bool(Notification.objects.filter(id=news_id, mail_due_at=was).update(mail_due_at=at))


def _mail(news: Notification) -> bool:
    """False when the mail server did not take it."""
    user = User.objects.filter(id=news.user_id, is_active=True).first()
    if user is None or not EmailAddress.objects.filter(user=user, email=user.email, verified=True).exists():
        return True  # there is nobody to send it to
    here = settings.SITE_ORIGIN
    with translation.override(user.language or settings.LANGUAGE_CODE):
        yours = _("What comes by mail is yours to say: {url}").format(url=f"{here}/account/notifications/")
        return letters.send(user.email, news.title, f"{news.title}\n\n{news.text}\n\n{here}{news.path}\n\n{yours}")
