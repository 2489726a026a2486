from __future__ import annotations

import pytest

from core.errors import Invalid
from core.text import clean_line, clean_text


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  A   print ", "A print"),
        ("A\tprint\nof mine", "A print of mine"),
        ("\u202e99.00 print", "99.00 print"),  # would stand the price on its head
        ("A\u2066 print\u2069", "A print"),
        ("pri\u200bnt", "print"),
        ("\ufeffprint", "print"),
        ("e\u0301tude", "\u00e9tude"),
        ("\U0001f469\u200d\U0001f52c prints", "\U0001f469\u200d\U0001f52c prints"),  # an emoji of two
        ("a\x00b\x07c", "abc"),
        ("\u0645\u0637\u0628\u0648\u0639\u0629", "\u0645\u0637\u0628\u0648\u0639\u0629"),
    ],
)
def test_what_is_kept_of_a_line(typed: str, kept: str) -> None:
    assert clean_line(typed, field="title", most=120) == kept


@pytest.mark.parametrize("typed", ["", "   ", "\u200b", "\ufeff\u200d", "\u2800\u2800", "\u3164", "\u0301", "\x00"])
def test_what_cannot_be_seen_is_refused(typed: str) -> None:
    with pytest.raises(Invalid) as refused:
        clean_line(typed, field="title", most=120)
    assert refused.value.data == {"field": "title"}
    assert clean_text(typed, field="story", most=120) == ""


def test_length_counts_what_is_kept() -> None:
    assert clean_line("a" * 120 + "\u200b" * 9 + "   ", field="title", most=120) == "a" * 120
    with pytest.raises(Invalid):
        clean_line("a" * 121, field="title", most=120)


def test_a_text_keeps_its_lines() -> None:
    assert clean_text("One  \r\n\r\n two\u202e\r\n", field="story", most=100) == "One\n\ntwo"
