"""The words that people read, and their German: found where they are marked, kept in the catalogues of gettext, app by app.

An app's words are in its own `locale/`; those of `templates/` in the one at the root, and those of scripts too, as `djangojs`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.apps import apps
from django.conf import settings
from django.utils.module_loading import module_has_submodule
from django.utils.translation.template import templatize

from core.errors import sentences

LANGUAGES = [code for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
# What marks a string, and which of its arguments are words. `N_` marks what is translated later, where it is shown.
KEYWORDS: dict[str, Any] = {
    "_": None, "_l": None, "N_": None, "gettext": None, "gettext_lazy": None, "gettext_noop": None,
    "ngettext": (1, 2), "ngettext_lazy": (1, 2), "pgettext": ((1, "c"), 2), "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3), "npgettext_lazy": ((1, "c"), 2, 3),
}  # fmt: skip
SCRIPT_KEYWORDS: dict[str, Any] = {"t": None, "tn": (1, 2)}
_LEFT_OUT = {"tests", "migrations", "locale", "vendor"}


class Book:
    """The catalogue of one folder: an app's, or the root's."""

    def __init__(self, home: Path, domain: str, sources: Iterable[Path]) -> None:
        self.home = home
        self.domain = domain
        self.sources = sorted(sources)

    def file(self, language: str, ending: str) -> Path:
        return self.home / "locale" / language / "LC_MESSAGES" / f"{self.domain}.{ending}"

    def marked(self) -> Catalog:
        """What is marked now, without its places: they would change with every line that is added above."""
        catalogue = Catalog()
        for source in self.sources:
            for message, context in _marked_in(source):
                catalogue.add(message, context=context)
        return catalogue

    def kept(self, language: str) -> Catalog:
        file = self.file(language, "po")
        if not file.exists():
            return Catalog(locale=language)
        with file.open("rb") as opened:
            return read_po(opened, locale=language)

    def updated(self, language: str) -> Catalog:
        """What is kept, with what is marked now and without what is no more. What is new has no words yet."""
        catalogue = self.kept(language)
        catalogue.update(self.marked(), no_fuzzy_matching=True, update_header_comment=False, update_creation_date=False)
        catalogue.obsolete.clear()
        return catalogue


def books() -> list[Book]:
    root = settings.BASE_DIR
    homes = [Path(app.path) for app in apps.get_app_configs() if Path(app.path).is_relative_to(root)]
    homes = [home for home in homes if ".venv" not in home.parts]
    found = [Book(home, "django", [*_files(home, "py"), *_files(home, "html"), *_files(home, "txt")]) for home in homes]
    scripts = [
        script for home in [root / "static", *(home / "static" for home in homes)] for script in _files(home, "js")
    ]
    return [*found, Book(root, "django", _files(root / "templates", "html", "txt")), Book(root, "djangojs", scripts)]


def written(catalogue: Catalog) -> bytes:
    """As the text of a .po file."""
    file = io.BytesIO()
    write_po(file, catalogue, width=0, sort_output=True, omit_header=False, ignore_obsolete=True)
    return file.getvalue()


def compiled(catalogue: Catalog) -> bytes:
    """As gettext reads it: a .mo file."""
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def _files(home: Path, *endings: str) -> Iterator[Path]:
    for ending in endings:
        for file in home.rglob(f"*.{ending}"):
            if not _LEFT_OUT & set(file.relative_to(home).parts):
                yield file


def _marked_in(source: Path) -> Iterator[tuple[str | tuple[str, ...], str | None]]:
    text = source.read_text()
    method, keywords = "python", KEYWORDS
    if source.suffix in (".html", ".txt"):
        text = f"({templatize(text)})"  # in brackets, where a template's indentation means nothing
    elif source.suffix == ".js":
        method, keywords = "javascript", SCRIPT_KEYWORDS
    options = {"encoding": "utf-8"}
    for _line, message, _comments, context in extract(method, io.BytesIO(text.encode()), keywords, options=options):
        yield message, context


def refusals() -> set[str]:
    """The sentence of every refusal. The hot path says them in English, and the page in its reader's language."""
    for app in apps.get_app_configs():
        # Whatever has been imported so far, none is missing.
        if Path(app.path).is_relative_to(settings.BASE_DIR) and module_has_submodule(app.module, "errors"):
            import_module(f"{app.name}.errors")
    return set(sentences().values())
