"""The rules of joining and leaving a rally, pure: no database, clock or randomness. A command carries its time and its ids.

`decide` takes everything a fan or a seller asks for; what comes after the end is in `afterwards` and `settling`, what a rally
costs in `pricing`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.utils.translation import gettext_noop as N_
from msgspec.structs import replace

from ledger import rules as ledger_rules
from ledger.rules import Transfer
from rallies.afterwards import check_invited, inviter_of, join_late, refund
from rallies.errors import AlreadyJoined, CannotLeave, Full, LeftForGood, PriceNeverReached, Removed, TooManyUnits
from rallies.pricing import PriceTier, level_of
from rallies.values import (
    JOINED,
    LEFT,
    RELEASED,
    REMOVED,
    Command,
    Decision,
    JoinLate,
    JoinRally,
    JoinValue,
    LateJoinValue,
    LeaveRally,
    RallyTerms,
    RefundJoin,
    ReleaseJoin,
    RemoveFan,
    State,
    count_join,
    known_join,
    set_join,
)
from sales.deciding import decide_each, move_money, wallet_of
from sales.errors import IdempotencyConflict
from sales.standing import RUNNING, Standing, check_not_stopped, check_open

# A hold that nobody ended by then may be voided by whoever looks; settling is done within minutes of the close.
HOLD_OUTLIVES_CLOSE = dt.timedelta(days=7)


def decide(state: State, commands: Sequence[Command]) -> Decision:
    """Give each command its outcome in the order they came: a Join, or the refusal its sender will read."""
    decision = Decision()
    decision.outcomes = decide_each(commands, partial(_decide_one, state, decision))
    if state.stock is not None:
        decision.stock_changes = state.stock.changes
    return decision


def _decide_one(state: State, decision: Decision, command: Command) -> JoinValue | LateJoinValue:
    match command:
        case JoinRally():
            return _join(state, decision, command)
        case LeaveRally():
            return _leave(state, decision, command)
        case RemoveFan():
            return _remove(state, decision, command)
        case ReleaseJoin():
            return _release(state, decision, command)
        case RefundJoin():
            return refund(state, decision, command)
        case JoinLate():
            return join_late(state, decision, command)


# -- joining


def _join(state: State, decision: Decision, command: JoinRally) -> JoinValue:
    terms = state.terms
    mine = state.joins.get(command.fan_id)
    if mine is not None and _is_answered_by(mine, command):
        return mine
    check_open(state.standing, command.received_at)
    level = _check_asked(terms, command)
    invited_by = _inviter(state, command, mine)
    if state.stock is not None and state.stock.units_left < command.quantity:
        raise Full(units_left=state.stock.units_left, quantity=command.quantity)

    join = JoinValue(
        rally_id=terms.rally_id,
        fan_id=command.fan_id,
        id=mine.id if mine else command.join_id,
        idempotency_key=command.idempotency_key,
        quantity=command.quantity,
        only_at_or_below_minor=command.only_at_or_below_minor,
        level=level,
        bucket=state.home,
        state=JOINED,
        transfer_id=command.transfer_id,
        invite_code=mine.invite_code if mine else command.invite_code,
        invited_by=invited_by,
        stays_counted=False,
        terms_sha256=terms.sha256,
        joined_at=command.received_at,
        changed_at=command.received_at,
    )
    # Money last: it is the only step that both refuses and changes the state.
    move_money(state, decision.transfers, _hold(state, join))
    if state.stock is not None:
        state.stock.take(join.quantity)
    count_join(state, decision, join, 1)
    set_join(state, decision, join)
    return join


def _is_answered_by(mine: JoinValue, command: JoinRally) -> bool:
    """Whether the join that is there is the answer: a repeat, a double tap, another tab. Raises when it contradicts it."""
    asked = (command.quantity, command.only_at_or_below_minor)
    is_same = (mine.quantity, mine.only_at_or_below_minor) == asked
    if mine.idempotency_key == command.idempotency_key:
        if not is_same:
            raise IdempotencyConflict(join_id=str(mine.id))
        return True
    if mine.state == REMOVED:
        raise Removed
    if mine.stays_counted:
        raise LeftForGood
    if mine.state != JOINED:
        return False
    if not is_same:
        raise AlreadyJoined(quantity=mine.quantity, only_at_or_below_minor=mine.only_at_or_below_minor)
    return True


def _check_asked(terms: RallyTerms, command: JoinRally) -> int:
    """The level of what is asked for."""
    if command.quantity > terms.limit_per_fan:
        raise TooManyUnits(limit_per_fan=terms.limit_per_fan, quantity=command.quantity)
    level = level_of(terms.tiers, command.only_at_or_below_minor)
    if level is None:
        raise PriceNeverReached(lowest_minor=terms.tiers[-1].price_minor)
    return level


def _inviter(state: State, command: JoinRally, mine: JoinValue | None) -> UUID | None:
    """Who brought the fan. The first inviter stays, also when the fan leaves and comes again."""
    if mine is not None and mine.invited_by is not None:
        return mine.invited_by
    inviter = inviter_of(state, command)
    if mine is None:
        check_invited(state, command, inviter)
    return inviter


def _hold(state: State, join: JoinValue) -> Transfer:
    """The most that this join can cost is set aside."""
    terms = state.terms
    amount_minor = ceiling_minor(terms.tiers, join) * join.quantity
    wallet_id = wallet_of(state, join.fan_id, needed_minor=amount_minor, currency=terms.currency)
    return ledger_rules.hold(
        id=join.transfer_id, debit=wallet_id, credit=terms.escrow_account_id, amount_minor=amount_minor,
        currency=terms.currency, code="hold", subject_id=join.id, at=join.joined_at,
        expires_at=state.standing.closes_at + HOLD_OUTLIVES_CLOSE,
    )  # fmt: skip


def ceiling_minor(tiers: Sequence[PriceTier], join: JoinValue) -> int:
    """The most that a unit can cost this fan: the price of the first tier that the join accepts."""
    return tiers[join.level].price_minor


# -- leaving


def _leave(state: State, decision: Decision, command: LeaveRally) -> JoinValue:
    mine = known_join(state, command.fan_id)
    if mine.state == LEFT:
        return mine  # a repeat
    _check_may_go(state, mine, command.received_at, N_("This join can no longer be left."))
    return _let_go(state, decision, mine, LEFT, command.received_at)


def _remove(state: State, decision: Decision, command: RemoveFan) -> JoinValue:
    mine = known_join(state, command.fan_id)
    if mine.state == REMOVED:
        return mine  # a repeat
    _check_may_go(state, mine, command.received_at, N_("The rally has ended; this fan can no longer be removed."))
    return _let_go(state, decision, mine, REMOVED, command.received_at)


def _check_may_go(state: State, mine: JoinValue, at: dt.datetime, sentence: str) -> None:
    """From the end on nobody goes, neither by themselves nor by the seller: who could would choose the price."""
    standing = state.standing
    check_not_stopped(standing)
    if mine.state != JOINED or standing.state not in RUNNING or at >= standing.closes_at:
        raise CannotLeave(sentence, state=mine.state, closes_at=standing.closes_at.isoformat())


def _let_go(state: State, decision: Decision, mine: JoinValue, to: str, at: dt.datetime) -> JoinValue:
    """Money and units back. Near the end the fan stays counted, so that nobody can make the others' price rise again."""
    is_firm = at >= firm_from(state.terms, state.standing)
    back = ledger_rules.void(state.payments[mine.transfer_id], code="release", at=at)
    move_money(state, decision.transfers, back)
    if state.stock is not None:
        state.stock.give_back(mine.quantity)
    if not is_firm:
        count_join(state, decision, mine, -1)
    left = replace(mine, state=to, stays_counted=is_firm, changed_at=at)
    set_join(state, decision, left)
    return left


def firm_from(terms: RallyTerms, standing: Standing) -> dt.datetime:
    """From when on whoever is counted stays counted. Source: the sealed terms' `firm_s`."""
    return standing.closes_at - dt.timedelta(seconds=terms.firm_s)


def _release(state: State, decision: Decision, command: ReleaseJoin) -> JoinValue:
    """The count stays as the closing left it: it is what the rally came to."""
    mine = known_join(state, command.fan_id)
    if mine.state != JOINED:
        return mine  # a repeat, or nothing is held
    move_money(
        state,
        decision.transfers,
        ledger_rules.void(state.payments[mine.transfer_id], code="release", at=command.received_at),
    )
    if state.stock is not None:
        state.stock.give_back(mine.quantity)
    released = replace(mine, state=RELEASED, changed_at=command.received_at)
    set_join(state, decision, released)
    return released
