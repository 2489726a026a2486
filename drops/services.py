"""What fans and sellers ask of a drop. What touches its stock is a command of `rules.decide` and goes through its lane."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from core.lanes import Lanes
from core.money import Money
from core.transactions import joins_transaction, retried_transaction
from drops import loading, rules
from drops.models import Drop
from drops.rules import OrderValue
from drops.writing import write_decision
from sales import gates
from sales import services as sales
from sales.drafting import SaleDraft, check_worth, draft_once
from sales.lanes import SaleLane
from sales.rows import LIMIT_MAX
from sales.telling import tell_fan


class OrderLane(SaleLane[rules.Command, OrderValue]):
    """All commands for one drop that reach this process."""

    name = "drops.order"
    format = "drop"

    def __init__(self, sale_id: UUID) -> None:
        super().__init__(sale_id)
        self._had_units = True

    def load_terms(self) -> rules.DropTerms:
        return loading.load_terms(self.sale_id)

    def load(self, terms: rules.DropTerms, batch: Sequence[rules.Command]) -> rules.State:
        return loading.load_state(terms, batch, self.slot, expects_units=self._had_units)

    def decide(self, state: rules.State, batch: Sequence[rules.Command]) -> rules.Decision:
        return rules.decide(state, batch)

    def write(self, state: rules.State, decision: rules.Decision) -> None:
        write_decision(state, decision, gate=gates.home_gate(self.slot))

    def is_new(self, command: rules.Command, outcome: OrderValue) -> bool:
        return isinstance(command, rules.PlaceOrder) and outcome.id == command.order_id

    def committed(self, state: rules.State) -> None:
        self._had_units = state.stock.units_left > 0


lanes: Lanes[OrderLane] = Lanes(OrderLane)


def place_order(drop_id: UUID, command: rules.PlaceOrder) -> OrderValue:
    """Buy, or hold. A repeat of the same key returns the first order. Raises the refusals of `rules.decide`, or Busy."""
    return lanes[drop_id].call(command)


def confirm_order(*, drop_id: UUID, order_id: UUID, fan_id: UUID, now: dt.datetime) -> OrderValue:
    """Pay for the held units. A repeat returns the paid order."""
    return lanes[drop_id].call(rules.ConfirmOrder(order_id, fan_id, now))


def cancel_order(*, drop_id: UUID, order_id: UUID, fan_id: UUID, now: dt.datetime) -> OrderValue:
    """Give the units back, and get the money back. A repeat returns the cancelled order."""
    return lanes[drop_id].call(rules.CancelOrder(order_id, fan_id, now))


def refund_order(*, drop_id: UUID, order_id: UUID, now: dt.datetime) -> OrderValue:
    """The seller gives the buyer everything back, until it is settled. A repeat returns the order."""
    order = lanes[drop_id].call(rules.RefundOrder(order_id, now))
    tell_fan(
        sale_id=drop_id, fan_id=order.fan_id, about=f"back:{order_id}", title=_("{sale}: your order was given back"),
        text=format_lazy(_("{amount} is in your wallet again."), amount=Money(order.total_minor, order.currency)), now=now,
    )  # fmt: skip
    return order


@joins_transaction
def run_commands(drop_id: UUID, commands: Sequence[rules.Command]) -> None:
    """Decide and write commands inside the open transaction: for chunks of due work, which are batches already."""
    if commands:
        OrderLane(drop_id).run_step(commands)


# The seller's side.


@joins_transaction
def make_draft(draft: SaleDraft, **terms: Any) -> Drop:
    """A draft of a drop, `terms` by the names of its columns. A repeat returns it. Raises Invalid, or IdTaken."""
    return draft_once(Drop(**terms), draft, format="drop", check=_check_worth)


draft_drop = retried_transaction(replayable=True, name="draft_drop")(make_draft)
open_drop = sales.opens(make_draft, name="open_drop")


def _check_worth(drop: Drop) -> None:
    # Without a limit an order still asks for no more than LIMIT_MAX.
    units_an_order = min(drop.units_total, drop.limit_per_fan or LIMIT_MAX)
    check_worth(drop.price_minor, units_an_order=units_an_order, units=drop.units_total, field="price_minor")
