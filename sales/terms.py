"""Sealed terms: the promises of a sale as a canonical text, and its SHA-256, fixed when the sale is published.

The text is one `name: value` line per term in alphabetical order, UTF-8, each ended by a newline, so that anybody can write it
down from the page, hash it and compare.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping

from sales.rows import TermsRow

TermValue = str | int | dt.datetime | None


def canonical_text(terms: Mapping[str, TermValue]) -> str:
    return "".join(f"{name}: {_written(terms[name])}\n" for name in sorted(terms))


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _written(value: TermValue) -> str:
    if value is None:
        return "none"
    if isinstance(value, dt.datetime):
        assert value.tzinfo is not None, value
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds")
    if isinstance(value, int):
        return str(value)
    # A line break inside a value could pretend to be another term.
    return " ".join(value.split())


def sealed(row: TermsRow, *columns: str) -> dict[str, TermValue]:
    """Columns of a format's terms to be sealed as they are, under their own names."""
    return {name: getattr(row, name) for name in columns}
