"""What the rules of several formats share, pure: taking commands one by one, and moving money as they go."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from core.errors import Refusal
from ledger import rules as ledger_rules
from ledger.errors import InsufficientFunds
from ledger.rules import Balance, Transfer

C = TypeVar("C")
O = TypeVar("O")  # noqa: E741


@dataclass(slots=True, kw_only=True)
class MoneyState:
    """The money in a batch's state, as far as its commands need it."""

    wallets: dict[UUID, UUID] = field(default_factory=dict)  # fan → wallet account
    balances: dict[UUID, Balance] = field(default_factory=dict)  # wallet account → balance
    payments: dict[UUID, Transfer] = field(default_factory=dict)  # transfers that commands may refer to, by id


@dataclass(slots=True)
class ThingsDecision(Generic[O]):
    """One outcome per command, in order, and what must be written for all of them together: of the format's things (orders,
    joins), by whatever the format knows them by, and of money."""

    outcomes: list[Any] = field(default_factory=list)
    made: dict[UUID, O] = field(default_factory=dict)  # to insert
    changed: dict[UUID, O] = field(default_factory=dict)  # to update
    was: dict[UUID, O] = field(default_factory=dict)  # what a changed one must still be
    transfers: list[Transfer] = field(default_factory=list)

    def set(self, key: UUID, before: O | None, after: O) -> None:
        if before is None or key in self.made:
            self.made[key] = after
        else:
            self.was.setdefault(key, before)
            self.changed[key] = after


def decide_each(commands: Sequence[C], one: Callable[[C], O]) -> list[O | Refusal]:
    """Each command's outcome in the order they came: what `one` gives, or the refusal that it raises."""
    outcomes: list[O | Refusal] = []
    for command in commands:
        try:
            outcomes.append(one(command))
        except Refusal as refusal:
            outcomes.append(refusal)
    return outcomes


def move_money(state: MoneyState, transfers: list[Transfer], transfer: Transfer) -> None:
    """Apply the transfer to the state and have it written. Raises InsufficientFunds, and then nothing has changed."""
    ledger_rules.apply(state.balances, transfer)
    transfers.append(transfer)
    state.payments[transfer.id] = transfer


def wallet_of(state: MoneyState, fan_id: UUID, *, needed_minor: int, currency: str) -> UUID:
    """Raises InsufficientFunds for a fan who never had money in this currency."""
    wallet_id = state.wallets.get(fan_id)
    if wallet_id is None:
        raise InsufficientFunds(available_minor=0, needed_minor=needed_minor, currency=currency)
    return wallet_id


class Move(NamedTuple):
    """One transfer of a journal. Minor units; nothing moves for 0."""

    code: str
    id: UUID
    debit: UUID
    credit: UUID
    amount_minor: int


def journal(moves: Sequence[Move], *, currency: str, subject_id: UUID, at: dt.datetime) -> list[Transfer]:
    """The moves as transfers that belong together, under the first one's id."""
    return [
        ledger_rules.pay(
            id=move.id, journal_id=moves[0].id, debit=move.debit, credit=move.credit, amount_minor=move.amount_minor,
            currency=currency, code=move.code, subject_id=subject_id, at=at,
        )
        for move in moves
        if move.amount_minor
    ]  # fmt: skip


def add(sums: dict[Any, int], key: Any, change: int) -> None:
    sums[key] = sums.get(key, 0) + change
