"""What the rules of several formats share, pure: taking commands one by one, and moving money as they go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar
from uuid import UUID

from core.errors import Refusal
from ledger import rules as ledger_rules
from ledger.rules import Balance, Transfer

C = TypeVar("C")
O = TypeVar("O")  # noqa: E741


class HasMoney(Protocol):
    """A state with the balances and transfers that its batch may need."""

    balances: dict[UUID, Balance]  # wallet account → balance
    payments: dict[UUID, Transfer]  # transfers that commands of the batch may refer to, by id


def decide_each(commands: Sequence[C], one: Callable[[C], O]) -> list[O | Refusal]:
    """Each command's outcome in the order they came: what `one` gives, or the refusal that it raises."""
    outcomes: list[O | Refusal] = []
    for command in commands:
        try:
            outcomes.append(one(command))
        except Refusal as refusal:
            outcomes.append(refusal)
    return outcomes


def move_money(state: HasMoney, transfers: list[Transfer], transfer: Transfer) -> None:
    """Apply the transfer to the state and have it written. Raises InsufficientFunds, and then nothing has changed."""
    ledger_rules.apply(state.balances, transfer)
    transfers.append(transfer)
    state.payments[transfer.id] = transfer


def add(sums: dict[Any, int], key: Any, change: int) -> None:
    sums[key] = sums.get(key, 0) + change
