"""The rules of a drop, pure: no database, clock or randomness. A command carries the time it was received and its ids.

`decide` is the whole machine. Everything that can happen to a drop's units is a command: buying, holding, confirming, giving
back, a hold running out, a refund.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from uuid import UUID

from django.utils.translation import gettext_noop as N_
from msgspec import Struct
from msgspec.structs import replace

from drops.errors import CannotCancel, HoldNotOffered, LimitReached, OrderNotFound, OrderNotHeld, SoldOut
from ledger import rules as ledger_rules
from ledger.rules import Transfer
from sales.deciding import MoneyState, ThingsDecision, add, decide_each, move_money, wallet_of
from sales.errors import CannotRefund, Frozen, IdempotencyConflict
from sales.proceeds import refund_transfers
from sales.standing import SaleTerms, Standing, check_not_stopped, check_open
from sales.stock import Stock

HELD = "held"
PAID = "paid"
CANCELLED = "cancelled"
EXPIRED = "expired"
SETTLED = "settled"
REFUNDED = "refunded"


class DropTerms(SaleTerms, frozen=True, gc=False):
    drop_id: UUID
    price_minor: int
    limit_per_fan: int | None
    hold_s: int
    cancel_s: int


class OrderValue(Struct, frozen=True, gc=False):
    """An order as a value; the same facts as its row."""

    id: UUID
    drop_id: UUID
    fan_id: UUID
    idempotency_key: UUID
    quantity: int
    unit_price_minor: int
    currency: str
    state: str
    is_hold: bool
    transfer_id: UUID
    terms_sha256: str
    placed_at: dt.datetime
    expires_at: dt.datetime | None
    frozen_ms: int  # of the sale when it was placed: what comes after moves the order's deadlines
    changed_at: dt.datetime

    @property
    def total_minor(self) -> int:
        return self.quantity * self.unit_price_minor


class PlaceOrder(Struct, frozen=True, gc=False):
    """Buy `quantity` units now, or, with `hold`, keep them until confirmed. The ids are made when it is received."""

    order_id: UUID
    transfer_id: UUID
    fan_id: UUID
    idempotency_key: UUID
    quantity: int
    hold: bool
    received_at: dt.datetime


class ConfirmOrder(Struct, frozen=True, gc=False):
    """The buyer takes the held units: the money is captured."""

    order_id: UUID
    fan_id: UUID
    received_at: dt.datetime


class CancelOrder(Struct, frozen=True, gc=False):
    """The buyer gives the units back: a hold at any time, a purchase as long as the terms allow."""

    order_id: UUID
    fan_id: UUID
    received_at: dt.datetime


class ExpireHold(Struct, frozen=True, gc=False):
    """A hold's deadline has passed; nobody asked."""

    order_id: UUID
    received_at: dt.datetime


class RefundOrder(Struct, frozen=True, gc=False):
    """The seller gives the buyer everything back, held or paid; a cancelled sale also what was settled by then."""

    order_id: UUID
    received_at: dt.datetime


Command = PlaceOrder | ConfirmOrder | CancelOrder | ExpireHold | RefundOrder


@dataclass(slots=True)
class State(MoneyState):
    """What one transaction's snapshot shows of the drop, as far as its batch needs it. `decide` changes it as it goes."""

    terms: DropTerms
    standing: Standing
    stock: Stock
    units_by_fan: dict[UUID, int] = field(default_factory=dict)  # only kept when the terms set a limit
    orders: dict[UUID, OrderValue] = field(default_factory=dict)
    orders_by_key: dict[tuple[UUID, UUID], OrderValue] = field(default_factory=dict)
    run_out: list[UUID] = field(default_factory=list)  # held orders past their end that nobody has given back yet


@dataclass(slots=True)
class Decision(ThingsDecision[OrderValue]):
    bucket_changes: dict[int, int] = field(default_factory=dict)  # number → change of its units
    limit_changes: dict[UUID, int] = field(default_factory=dict)  # fan → change of units


def decide(state: State, commands: Sequence[Command]) -> Decision:
    """Give each command its outcome in the order they came: an order, or the refusal its sender will read."""
    decision = Decision()
    decision.outcomes = decide_each(commands, partial(_decide_one, state, decision))
    decision.bucket_changes = state.stock.changes
    return decision


def _decide_one(state: State, decision: Decision, command: Command) -> OrderValue:
    match command:
        case PlaceOrder():
            return _place(state, decision, command)
        case ConfirmOrder():
            return _confirm(state, decision, command)
        case CancelOrder():
            return _cancel(state, decision, command)
        case ExpireHold():
            return _expire(state, decision, command)
        case RefundOrder():
            return _refund(state, decision, command)


def _place(state: State, decision: Decision, command: PlaceOrder) -> OrderValue:
    terms = state.terms
    earlier = state.orders_by_key.get((command.fan_id, command.idempotency_key))
    if earlier is not None:
        return _same_order(earlier, terms.drop_id, command)
    if command.hold and not terms.hold_s:
        raise HoldNotOffered
    check_open(state.standing, command.received_at)
    if state.stock.units_left < command.quantity:
        _give_back_run_out(state, decision)
    if state.stock.units_left < command.quantity:
        raise SoldOut(units_left=state.stock.units_left, quantity=command.quantity)
    has = state.units_by_fan.get(command.fan_id, 0)
    if terms.limit_per_fan is not None and has + command.quantity > terms.limit_per_fan:
        raise LimitReached(limit_per_fan=terms.limit_per_fan, units=has)

    order = _new_order(state, command)
    wallet_id = wallet_of(state, order.fan_id, needed_minor=order.total_minor, currency=terms.currency)
    # Money last: it is the only step that both refuses and changes the state.
    move_money(state, decision.transfers, _payment(terms, order, wallet_id))
    state.stock.take(command.quantity)
    if terms.limit_per_fan is not None:
        state.units_by_fan[command.fan_id] = has + command.quantity
        add(decision.limit_changes, command.fan_id, command.quantity)
    state.orders[order.id] = state.orders_by_key[(order.fan_id, order.idempotency_key)] = order
    decision.set(order.id, None, order)
    return order


def _same_order(earlier: OrderValue, drop_id: UUID, command: PlaceOrder) -> OrderValue:
    """A repeat of a purchase gets the order of the first; the key with another request is the caller's mistake."""
    asked = (drop_id, command.quantity, command.hold)
    if (earlier.drop_id, earlier.quantity, earlier.is_hold) != asked:
        raise IdempotencyConflict(order_id=str(earlier.id))
    return earlier


def _new_order(state: State, command: PlaceOrder) -> OrderValue:
    terms, standing, at = state.terms, state.standing, command.received_at
    return OrderValue(
        id=command.order_id,
        drop_id=terms.drop_id,
        fan_id=command.fan_id,
        idempotency_key=command.idempotency_key,
        quantity=command.quantity,
        unit_price_minor=terms.price_minor,
        currency=terms.currency,
        state=HELD if command.hold else PAID,
        is_hold=command.hold,
        transfer_id=command.transfer_id,
        terms_sha256=terms.sha256,
        placed_at=at,
        # A hold never outlives the sale: what is not confirmed by then goes back before settling.
        expires_at=min(at + dt.timedelta(seconds=terms.hold_s), standing.closes_at) if command.hold else None,
        frozen_ms=standing.frozen_ms,
        changed_at=at,
    )


def _payment(terms: DropTerms, order: OrderValue, wallet_id: UUID) -> Transfer:
    if order.is_hold:
        assert order.expires_at is not None
        return ledger_rules.hold(
            id=order.transfer_id, debit=wallet_id, credit=terms.escrow_account_id, amount_minor=order.total_minor,
            currency=order.currency, code="hold", subject_id=order.id, at=order.placed_at, expires_at=order.expires_at,
        )  # fmt: skip
    return ledger_rules.pay(
        id=order.transfer_id, debit=wallet_id, credit=terms.escrow_account_id, amount_minor=order.total_minor,
        currency=order.currency, code="purchase", subject_id=order.id, at=order.placed_at,
    )  # fmt: skip


def _confirm(state: State, decision: Decision, command: ConfirmOrder) -> OrderValue:
    order = _own_order(state, command)
    if order.state == PAID and order.is_hold:
        return order  # a repeat
    check_not_stopped(state.standing)
    if order.state != HELD:
        raise OrderNotHeld(state=order.state)
    ends_at = hold_ends_at(order, frozen_ms=state.standing.frozen_ms)
    if command.received_at >= ends_at:
        raise OrderNotHeld(N_("The time to confirm has run out."), expires_at=ends_at.isoformat())
    pending = state.payments[order.transfer_id]
    captured = ledger_rules.post(pending, amount_minor=order.total_minor, code="capture", at=command.received_at)
    move_money(state, decision.transfers, captured)
    return _change(state, decision, order, PAID, command.received_at)


def _cancel(state: State, decision: Decision, command: CancelOrder) -> OrderValue:
    order = _own_order(state, command)
    if order.state in (CANCELLED, REFUNDED):
        return order  # a repeat
    check_not_stopped(state.standing)
    if order.state == HELD:
        return _give_back(state, decision, order, CANCELLED, command.received_at)
    standing = state.standing
    deadline = may_cancel_until(
        order, cancel_s=state.terms.cancel_s, closes_at=standing.closes_at, frozen_ms=standing.frozen_ms
    )
    if order.state != PAID or command.received_at >= deadline:
        raise CannotCancel(state=order.state, until=deadline.isoformat())
    return _give_back(state, decision, order, REFUNDED, command.received_at)


class Deadlines(Protocol):
    """An order, as a value or as a row."""

    @property
    def placed_at(self) -> dt.datetime: ...
    @property
    def expires_at(self) -> dt.datetime | None: ...
    @property
    def frozen_ms(self) -> int: ...


def hold_ends_at(order: Deadlines, *, frozen_ms: int) -> dt.datetime:
    """When a hold runs out: the time it was given, and as long as staff kept the sale frozen since (`frozen_ms` is the sale's)."""
    assert order.expires_at is not None, order
    return order.expires_at + dt.timedelta(milliseconds=frozen_ms - order.frozen_ms)


def may_cancel_until(order: Deadlines, *, cancel_s: int, closes_at: dt.datetime, frozen_ms: int) -> dt.datetime:
    """Until when a paid order can be given back, also when the seller closes early. Source: the sealed terms' `cancel_s`.

    Never past the sale's own close; `closes_at` is later than sealed by `frozen_ms`.
    """
    return min(order.placed_at + dt.timedelta(seconds=cancel_s, milliseconds=frozen_ms - order.frozen_ms), closes_at)


def _expire(state: State, decision: Decision, command: ExpireHold) -> OrderValue:
    order = _known_order(state, command.order_id)
    if order.state != HELD or command.received_at < hold_ends_at(order, frozen_ms=state.standing.frozen_ms):
        return order  # confirmed, given back, or not due yet: nothing to do
    return _give_back(state, decision, order, EXPIRED, command.received_at)


def _give_back_run_out(state: State, decision: Decision) -> None:
    """Units of a hold that is over are for sale, whether or not a worker has come by."""
    for order_id in state.run_out:
        order = state.orders[order_id]
        if order.state == HELD:
            _give_back(state, decision, order, EXPIRED, state.standing.now)
    state.run_out.clear()


def _refund(state: State, decision: Decision, command: RefundOrder) -> OrderValue:
    order = _known_order(state, command.order_id)
    if state.standing.state == "frozen":
        raise Frozen  # nothing moves, for the seller neither
    if order.state == HELD:
        return _give_back(state, decision, order, CANCELLED, command.received_at)
    if order.state in (CANCELLED, EXPIRED, REFUNDED):
        return order  # a repeat
    if order.state == SETTLED and state.standing.state != "cancelled":
        raise CannotRefund(N_("It is settled by now, so it is refunded from the proceeds."), state=order.state)
    return _give_back(state, decision, order, REFUNDED, command.received_at)


def _own_order(state: State, command: ConfirmOrder | CancelOrder) -> OrderValue:
    order = _known_order(state, command.order_id)
    if order.fan_id != command.fan_id:
        raise OrderNotFound
    return order


def _known_order(state: State, order_id: UUID) -> OrderValue:
    order = state.orders.get(order_id)
    if order is None or order.drop_id != state.terms.drop_id:
        raise OrderNotFound
    return order


def _give_back(state: State, decision: Decision, order: OrderValue, to: str, at: dt.datetime) -> OrderValue:
    """Money back to the wallet, units back to the stock, the fan's limit eased."""
    for back in _money_back(state, order, to, at):
        move_money(state, decision.transfers, back)
    state.stock.give_back(order.quantity)
    if state.terms.limit_per_fan is not None:
        state.units_by_fan[order.fan_id] = state.units_by_fan.get(order.fan_id, 0) - order.quantity
        add(decision.limit_changes, order.fan_id, -order.quantity)
    return _change(state, decision, order, to, at)


def _money_back(state: State, order: OrderValue, to: str, at: dt.datetime) -> list[Transfer]:
    """Out of the sale, or from the seller and the house once it was passed on to them."""
    payment, terms, total_minor = state.payments[order.transfer_id], state.terms, order.total_minor
    if to == EXPIRED:
        return [ledger_rules.expire(payment, at=at)]
    if order.state == HELD:
        return [ledger_rules.void(payment, code="release", at=at)]
    if order.state == SETTLED:
        wallet_id = payment.debit_account_id
        return refund_transfers(terms, payment.id, wallet=wallet_id, paid_minor=total_minor, subject_id=order.id, at=at)
    moved = payment if payment.amount_minor else ledger_rules.post(
        payment, amount_minor=total_minor, code="capture", at=order.changed_at
    )  # fmt: skip
    return [ledger_rules.reverse(moved, code="refund", at=at)]


def _change(state: State, decision: Decision, order: OrderValue, to: str, at: dt.datetime) -> OrderValue:
    changed = replace(order, state=to, changed_at=at)
    state.orders[order.id] = state.orders_by_key[(order.fan_id, order.idempotency_key)] = changed
    decision.set(order.id, order, changed)
    return changed
