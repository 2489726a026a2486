"""What people type, made fit to be shown to others: one place, used by services, so that every face gets the same."""

from __future__ import annotations

import unicodedata

from django.utils.translation import gettext as _

from core.errors import Invalid
from core.language import number

# Joiners that scripts and emoji need between visible characters.
_JOINERS = {"\u200c", "\u200d"}
# Not of the categories for marks and controls, and still nothing to see.
_BLANK = {"\u115f", "\u1160", "\u2800", "\u3164", "\uffa0"}


def clean_line(text: str, *, field: str, most: int, least: int = 1) -> str:
    """One line that can be seen: normalised (NFC), blanks folded, no controls and nothing that turns the text around it.

    Raises Invalid, naming the field, for text of fewer than `least` or more than `most` characters after that.
    """
    found = " ".join(_visible(text).split())
    return _measured(found, field=field, most=most, least=least)


def clean_text(text: str, *, field: str, most: int, least: int = 0) -> str:
    """`clean_line` for each line of a text, whose lines stay."""
    lines = [" ".join(_visible(line).split()) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return _measured("\n".join(lines).strip("\n"), field=field, most=most, least=least)


def _visible(text: str) -> str:
    kept = []
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if character.isspace() or category == "Zs":
            kept.append(" ")
        elif category in ("Cc", "Cs", "Co", "Cn") or (category == "Cf" and character not in _JOINERS):
            continue
        else:
            kept.append(character)
    return "".join(kept)


def _measured(text: str, *, field: str, most: int, least: int) -> str:
    is_seen = any(
        character not in _JOINERS | _BLANK and not character.isspace() and unicodedata.category(character)[0] != "M"
        for character in text
    )
    if least and not is_seen:
        raise Invalid(_("There is nothing to read in this."), field=field)
    if not is_seen:
        return ""
    if not least <= len(text) <= most:
        raise Invalid(_("This can have up to {most} characters.").format(most=number(most)), field=field)
    return text
