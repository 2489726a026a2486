"""Money: whole minor units with a currency. Never a float; only a named division may round."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.utils.translation import gettext as _

from core import language
from core.errors import Invalid

# Digits after the point, ISO 4217. PLAY is play money: the ledger keeps it apart like any other currency.
EXPONENTS = {"EUR": 2, "USD": 2, "GBP": 2, "CHF": 2, "JPY": 0, "PLAY": 2}
SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}
# What a shop sells in and a wallet is filled with. Play money is neither bought nor spent on goods.
SOLD_CURRENCIES = tuple(currency for currency in EXPONENTS if currency != "PLAY")
MINOR_MAX = 10**12  # one payment. Ten billion euro: far above any order
WORTH_MAX = 10**15  # a whole sale: a thousand such payments, and still a whole number in JavaScript

# One comma or point with one or two digits behind it parts the cents, whichever the keypad has; anything else could be thousands.
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,12})(?:[.,]([0-9]{1,2}))?", re.ASCII)


class MoneyError(ValueError):
    """An amount or currency that is not written as money."""


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """`Money(1999, "EUR")` is 19.99 euro; `Money(1999, "JPY")` is 1,999 yen."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        assert self.currency in EXPONENTS, self.currency
        assert isinstance(self.minor, int), self.minor

    def __add__(self, other: Money) -> Money:
        assert self.currency == other.currency, (self.currency, other.currency)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        assert self.currency == other.currency, (self.currency, other.currency)
        return Money(self.minor - other.minor, self.currency)

    def __mul__(self, count: int) -> Money:
        assert isinstance(count, int), count
        return Money(self.minor * count, self.currency)

    def __str__(self) -> str:
        if language.language() != "en":
            return language.amount(self.minor, EXPONENTS[self.currency], self.currency)
        symbol = SYMBOLS.get(self.currency)
        sign = "-" if self.minor < 0 else ""
        amount = amount_text(abs(self.minor), self.currency, grouped=True)
        return f"{sign}{symbol}{amount}" if symbol else f"{sign}{amount} {self.currency}"

    def as_json(self) -> dict[str, int | str]:
        return {"minor": self.minor, "currency": self.currency}


def sold_in(currency: str) -> str:
    """`currency`, if goods are sold and wallets filled in it. Raises Invalid for play money and for what we do not know."""
    if currency not in SOLD_CURRENCIES:
        raise Invalid(_("This currency is not used here."), field="currency")
    return currency


def amount_text(minor: int, currency: str, *, grouped: bool = False) -> str:
    """`1999, "EUR"` → `"19.99"`; with `grouped`, thousands are set apart by commas."""
    exponent = EXPONENTS[currency]
    whole, rest = divmod(abs(minor), 10**exponent)
    text = f"{whole:,}" if grouped else str(whole)
    if exponent:
        text = f"{text}.{rest:0{exponent}d}"
    return f"-{text}" if minor < 0 else text


def parse_money(text: str, currency: str) -> Money:
    """`"19.99", "EUR"` and `"19,99", "EUR"` → `Money(1999, "EUR")`. Plain ASCII digits; raises MoneyError otherwise.

    Strict on purpose: `int` and `Decimal` of Python also take full-width digits, "1_0", " 7 " and "1e2". And `1,234` is a thousand
    to some and a little more than one to others, so nobody guesses.
    """
    if currency not in EXPONENTS:
        raise MoneyError(f"{currency!r} is not a currency we know.")
    match = _AMOUNT.fullmatch(text)
    if not match:
        raise MoneyError(_("Please write an amount like 10, 10.50 or 10,50, without marks for thousands."))
    whole, fraction = match[1], match[2] or ""
    exponent = EXPONENTS[currency]
    if len(fraction) > exponent:
        raise MoneyError(
            _("{currency} has {exponent} digits after the point.").format(currency=currency, exponent=exponent)
        )
    minor = int(whole) * 10**exponent + int(fraction.ljust(exponent, "0") or 0)
    if minor > MINOR_MAX:
        raise MoneyError(_("This amount is too large."))
    return Money(minor, currency)


def share_bps(total_minor: int, rate_bps: int) -> int:
    """`rate_bps` hundredths of a percent of `total_minor`, rounded down to a whole minor unit."""
    assert total_minor >= 0, total_minor
    assert 0 <= rate_bps <= 10_000, rate_bps
    return total_minor * rate_bps // 10_000
