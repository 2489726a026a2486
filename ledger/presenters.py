from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from core.language import Said
from core.money import Money
from ledger.selectors import StatementLine, Wallet

# A transfer's code in the words of the wallet's owner.
WORDS = {
    "top_up": _("Added to the wallet"),
    "purchase": _("Purchase"),
    "late_join": _("Late join"),
    "hold": _("Set aside for units on hold"),
    "capture": _("Hold paid"),
    "release": _("Hold ended, money back"),
    "refund": _("Refund"),
}


@dataclass(frozen=True, slots=True)
class WalletBalance:
    currency: str
    available: Money
    held: Money


ICONS = {
    "top_up": "plus",
    "purchase": "ticket",
    "hold": "hourglass",
    "capture": "check",
    "release": "rotate-ccw",
    "refund": "rotate-ccw",
}


@dataclass(frozen=True, slots=True)
class StatementRow:
    line: StatementLine
    words: Said
    icon: str


def balances(wallets: Mapping[str, Wallet]) -> list[WalletBalance]:
    return [
        WalletBalance(
            currency, Money(wallet.balance.available_minor, currency), Money(wallet.balance.held_minor, currency)
        )
        for currency, wallet in wallets.items()
    ]


def in_words(lines: Sequence[StatementLine]) -> list[StatementRow]:
    return [
        StatementRow(
            line, WORDS.get(line.code, line.code.replace("_", " ").capitalize()), ICONS.get(line.code, "arrow-right")
        )
        for line in lines
    ]
