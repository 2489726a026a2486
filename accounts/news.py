"""News by mail, for who wishes for it. On the site everybody is told anyway."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import structlog
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from accounts.models import Notification, User
from core import letters
from core.transactions import retried_transaction

log = structlog.get_logger(__name__)

MAIL = "accounts.mail"
ROUND = UUID("00000000-0000-7000-8000-0000000000c0")  # one round for all: mail servers take one after the other anyway
MAILS_A_STEP = 20


def mail_step(*, now: dt.datetime) -> dt.datetime | None:
    """Send the news that are due by mail, the oldest first. Each is taken off before it is sent: rather none than two."""
    due = list(Notification.objects.filter(mail_due_at__isnull=False).order_by("mail_due_at", "id")[:MAILS_A_STEP])
    for news in due:
        if _take_off(news_id=news.id):
            _mail(news)
    return now if due else None


@retried_transaction(replayable=True)
def _take_off(*, news_id: UUID) -> bool:
    return bool(Notification.objects.filter(id=news_id, mail_due_at__isnull=False).update(mail_due_at=None))


def _mail(news: Notification) -> None:
    user = User.objects.filter(id=news.user_id, is_active=True).first()
    if user is None or not EmailAddress.objects.filter(user=user, email=user.email, verified=True).exists():
        return
    subject = f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}{news.title}"
    here = settings.SITE_ORIGIN
    text = f"{news.title}\n\n{news.text}\n\n{here}{news.path}\n\nWhat comes by mail is yours to say: {here}/account/notifications/"
    mail = EmailMultiAlternatives(subject, text, to=[user.email])
    mail.attach_alternative(letters.as_html(subject, text), "text/html")
    try:
        mail.send()
    except OSError as error:  # the mail server's matter; on the site it is told
        log.warning("news_not_mailed", error=str(error))
