from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from core import words


class Command(BaseCommand):
    help = "Bring the catalogues up to date with the words that are marked, compile them, and list what has no translation yet."

    def handle(self, *_args: Any, **_options: Any) -> None:
        for language in words.LANGUAGES:
            for book in words.books():
                catalogue = book.updated(language)
                if not len(catalogue):
                    continue
                po = book.file(language, "po")
                po.parent.mkdir(parents=True, exist_ok=True)
                po.write_bytes(words.written(catalogue))
                book.file(language, "mo").write_bytes(words.compiled(catalogue))
                for message in catalogue:
                    if message.id and not message.string:
                        self.stdout.write(f"{po}: {message.id!r}")
