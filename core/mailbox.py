"""Where mail goes on a machine without a mail server: a folder, one file a message, shown at `/dev/mail/`. Never in production."""

from __future__ import annotations

import email
from collections.abc import Sequence
from email.message import EmailMessage as Message
from email.policy import default
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from core.ids import uuid7

KEPT = 200  # of the newest; a machine that stands for months must not fill up


class FolderBackend(BaseEmailBackend):
    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        here = folder()
        here.mkdir(parents=True, exist_ok=True)
        for message in email_messages:
            half = here / f".{uuid7()}"  # written whole before anybody sees it
            half.write_bytes(message.message().as_bytes())
            half.rename(here / f"{uuid7()}.eml")
        for old in newest_first(here)[KEPT:]:
            old.unlink(missing_ok=True)
        return len(email_messages)


def folder() -> Path:
    return Path(str(settings.EMAIL_FILE_PATH))


def newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.eml"), reverse=True)  # their names are in the order of time


def read(path: Path) -> Message:
    with path.open("rb") as file:
        return email.message_from_binary_file(file, policy=default)  # type: ignore[return-value]


def text_of(message: Message) -> str:
    body = message.get_body(("plain", "html"))
    return "" if body is None else str(body.get_content())
