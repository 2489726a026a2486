"""How much one payment may bring into a wallet, and how many payments a larger sum takes. Pure."""

from __future__ import annotations

from typing import NamedTuple

from django.utils.translation import gettext as _

from core import language
from core.money import EXPONENTS, SOLD_CURRENCIES


class Limits(NamedTuple):
    """Of one payment, in minor units."""

    lowest_minor: int
    highest_minor: int


_CENTS = Limits(1_00, 1_000_00)
# About the same worth in each: below the lowest a provider's own fee would be most of it.
LIMITS = {"EUR": _CENTS, "USD": _CENTS, "GBP": _CENTS, "CHF": _CENTS, "JPY": Limits(100, 150_000)}
assert set(LIMITS) == set(SOLD_CURRENCIES), LIMITS


class Missing(NamedTuple):
    """How a missing sum is brought in: the amount of the next payment, and how many it takes."""

    amount_minor: int
    payments: int


def missing(minor: int, currency: str) -> Missing:
    """`minor` above zero, in payments that each stay within the limits. `static/js/buy.js` counts the same way."""
    limits = LIMITS[currency]
    amount_minor = min(max(minor, limits.lowest_minor), limits.highest_minor)
    return Missing(amount_minor, max(1, -(-minor // limits.highest_minor)))


def limits_in_words() -> str:
    """`"1.00 to 1,000.00 (JPY 100 to 150,000)"`: most currencies' limits, then those of each that differs."""
    usual, *_more = ranges = [_range(currency) for currency in LIMITS]
    others = [f"{currency} {words}" for currency, words in zip(LIMITS, ranges, strict=True) if words != usual]
    return f"{usual} ({', '.join(others)})" if others else usual


def _range(currency: str) -> str:
    lowest, highest = (language.decimal(minor, EXPONENTS[currency]) for minor in LIMITS[currency])
    return _("{lowest} to {highest}").format(lowest=lowest, highest=highest)
