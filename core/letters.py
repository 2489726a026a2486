"""Mail in our design. A letter is written once, as text; its HTML is made from that, so the two cannot say different things."""

from __future__ import annotations

import re
from typing import NamedTuple

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

log = structlog.get_logger(__name__)

_LINK = re.compile(r"https?://\S+")
_CODE = re.compile(r"[A-Z0-9]{3,8}(-[A-Z0-9]{3,8})?")


class Part(NamedTuple):
    kind: str  # "text", "link" (a paragraph that is nothing else) or "code"
    text: str


def parts(text: str) -> list[Part]:
    paragraphs = [paragraph.strip() for paragraph in re.split(r"\n\s*\n", text) if paragraph.strip()]
    return [Part(_kind(paragraph), paragraph) for paragraph in paragraphs]


def _kind(paragraph: str) -> str:
    if _LINK.fullmatch(paragraph):
        return "link"
    return "code" if _CODE.fullmatch(paragraph) else "text"


def send(to: str, subject: str, text: str) -> bool:
    """Mail it. False, and a line in the log, when the mail server did not take it."""
    mail = EmailMultiAlternatives(f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}{subject}", text, to=[to])
    mail.attach_alternative(as_html(subject, text), "text/html")
    try:
        mail.send()
    except OSError as error:  # SMTPException is one
        log.warning("mail_not_sent", error=str(error))
        return False
    return True


def as_html(subject: str, text: str) -> str:
    return render_to_string("mail/letter.html", {"subject": subject, "parts": parts(text)})
