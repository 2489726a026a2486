"""A rally after its end, pure: buying at the final price what the cap left over, and giving back what was paid."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.utils.translation import gettext as _
from msgspec.structs import replace

from core.ids import named_id
from core.money import share_bps
from ledger.rules import Transfer
from rallies.errors import AlreadyJoined, Full, InviteNeeded, NoLateJoins, Removed, TooManyUnits
from rallies.values import (
    PAID,
    REFUNDED,
    REMOVED,
    Decision,
    JoinLate,
    JoinRally,
    JoinValue,
    LateJoinValue,
    RallyTerms,
    RefundJoin,
    State,
    known_join,
    set_join,
)
from sales.deciding import Move, journal, move_money, wallet_of
from sales.errors import CannotRefund
from sales.proceeds import refund_transfers
from sales.standing import check_not_stopped


def refund(state: State, decision: Decision, command: RefundJoin) -> JoinValue:
    """Of a rally that was called off while it was settled; later `sales.refunds` does it."""
    mine = known_join(state, command.fan_id)
    if mine.state == REFUNDED:
        return mine  # a repeat
    if mine.state != PAID or state.outcome is None or state.standing.state != "cancelled":
        raise CannotRefund(state=mine.state)
    for transfer in refund_transfers(
        state.terms, mine.transfer_id, wallet=state.wallets[mine.fan_id], paid_minor=state.outcome.price_minor * mine.quantity,
        subject_id=mine.id, at=command.received_at,
    ):  # fmt: skip
        move_money(state, decision.transfers, transfer)
    refunded = replace(mine, state=REFUNDED, changed_at=command.received_at)
    set_join(state, decision, refunded)
    return refunded


def join_late(state: State, decision: Decision, command: JoinLate) -> LateJoinValue:
    terms, outcome = state.terms, state.outcome
    mine = state.late.get(command.fan_id)
    if mine is not None:
        if mine.quantity != command.quantity:
            raise AlreadyJoined(_("You have bought at the final price already."), quantity=mine.quantity)
        return mine
    _check_late(state, command)
    assert outcome is not None, "checked"
    assert state.stock is not None, "checked"
    if state.stock.units_left < command.quantity:
        raise Full(units_left=state.stock.units_left, quantity=command.quantity)
    late = LateJoinValue(
        terms.rally_id, command.fan_id, command.join_id, command.idempotency_key, command.quantity,
        command.transfer_id, terms.sha256, command.received_at,
    )  # fmt: skip
    price_minor = outcome.price_minor * late.quantity
    wallet_id = wallet_of(state, late.fan_id, needed_minor=price_minor, currency=terms.currency)
    for transfer in _late_transfers(terms, late, wallet_id, price_minor):
        move_money(state, decision.transfers, transfer)
    state.stock.take(late.quantity)
    state.late[late.fan_id] = late
    decision.late.append(late)
    return late


def _late_transfers(terms: RallyTerms, late: LateJoinValue, wallet_id: UUID, price_minor: int) -> list[Transfer]:
    fee_id, fee_minor = named_id("late_fee", late.transfer_id), share_bps(price_minor, terms.fee_bps)
    moves = [
        Move("late_join", late.transfer_id, wallet_id, terms.proceeds_account_id, price_minor),
        Move("late_fee", fee_id, terms.proceeds_account_id, terms.fees_account_id, fee_minor),
    ]
    return journal(moves, currency=terms.currency, subject_id=late.id, at=late.joined_at)


def _check_late(state: State, command: JoinLate) -> None:
    """Late joins keep what the rally promised: the limit for each fan, the invitation, and who was turned out."""
    terms, outcome = state.terms, state.outcome
    check_not_stopped(state.standing)
    if terms.late_until is None or state.stock is None or outcome is None or not outcome.did_run:
        raise NoLateJoins
    if not state.shop_is_on:
        raise NoLateJoins(_("This shop is switched off by staff."))
    if state.standing.state != "settled":
        raise NoLateJoins(_("Late joins begin when everybody who joined has been charged."))
    late_until = terms.late_until + dt.timedelta(milliseconds=state.standing.frozen_ms)
    if command.received_at >= late_until:
        raise NoLateJoins(_("The time for late joins is over."), late_until=late_until.isoformat())
    mine = state.joins.get(command.fan_id)
    if mine is not None and mine.state == REMOVED:
        raise Removed
    if mine is None:
        check_invited(state, command, inviter_of(state, command))
    has = mine.quantity if mine is not None and mine.state == PAID else 0
    if has + command.quantity > terms.limit_per_fan:
        raise TooManyUnits(limit_per_fan=terms.limit_per_fan, quantity=has + command.quantity)


def inviter_of(state: State, command: JoinRally | JoinLate) -> UUID | None:
    """Whose link the fan came by. The link of a fan who was removed admits nobody."""
    inviter = state.inviters.get(command.invite) if command.invite else None
    return None if inviter == command.fan_id else inviter


def check_invited(state: State, command: JoinRally | JoinLate, inviter: UUID | None) -> None:
    is_invited = inviter is not None or command.invite == state.terms.seller_invite
    if state.terms.needs_invite and not is_invited:
        raise InviteNeeded
