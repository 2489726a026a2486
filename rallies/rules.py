"""The rules of a rally, pure: no database, clock or randomness. A command carries the time it was received and its ids.

`decide` is the machine for everything a fan or a seller asks for; `fix_outcome` and `settle` are the end of it, which nobody asks
for. What a rally costs is in `pricing`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from core.errors import Refusal
from core.ids import named_id
from core.money import share_bps
from ledger import rules as ledger
from ledger.errors import InsufficientFunds
from ledger.rules import Balance, Transfer
from rallies.errors import (
    AlreadyJoined,
    CannotLeave,
    CannotRefund,
    Full,
    InviteNeeded,
    JoinNotFound,
    NoLateJoins,
    PriceNeverReached,
    Removed,
    TooManyUnits,
)
from rallies.pricing import Tier, crowds, level_of, reached
from sales.errors import IdempotencyConflict, NotOpen
from sales.stock import Stock

JOINED = "joined"
LEFT = "left"
REMOVED = "removed"
PAID = "paid"
RELEASED = "released"
REFUNDED = "refunded"

# A hold that nobody ended by then may be voided by whoever looks; settling is done within minutes of the close.
HOLD_OUTLIVES_CLOSE = dt.timedelta(days=7)


class Terms(Struct, frozen=True, gc=False):
    """The sealed terms that the rules go by."""

    rally_id: UUID
    tiers: tuple[Tier, ...]
    counts_units: bool
    minimum: int
    cap_units: int | None
    limit_per_fan: int
    needs_invite: bool
    late_joins: bool
    seller_invite: str
    fee_bps: int
    currency: str
    opens_at: dt.datetime
    closes_at: dt.datetime
    sha256: str
    escrow_account_id: UUID
    proceeds_account_id: UUID
    fees_account_id: UUID


class Join(Struct, frozen=True, gc=False):
    """A fan's place in the rally as a value; the same facts as its row."""

    rally_id: UUID
    fan_id: UUID
    id: UUID
    idempotency_key: UUID
    quantity: int
    only_at_or_below_minor: int | None
    level: int
    bucket: int
    state: str
    transfer_id: UUID
    invite_code: str
    invited_by: UUID | None
    terms_sha256: str
    joined_at: dt.datetime
    changed_at: dt.datetime


class LateJoin(Struct, frozen=True, gc=False):
    """A purchase at the final price after the end."""

    rally_id: UUID
    fan_id: UUID
    id: UUID
    idempotency_key: UUID
    quantity: int
    transfer_id: UUID
    terms_sha256: str
    joined_at: dt.datetime


class Outcome(Struct, frozen=True, gc=False):
    """What the rally ended at, fixed once."""

    joiners: int
    units: int
    level: int
    price_minor: int
    did_run: bool


class JoinRally(Struct, frozen=True, gc=False):
    """Join with `quantity` units, perhaps only if the price falls to `only_at_or_below_minor`. Ids are made when it is received."""

    join_id: UUID
    transfer_id: UUID
    fan_id: UUID
    idempotency_key: UUID
    quantity: int
    only_at_or_below_minor: int | None
    invite: str  # the code of whoever brought the fan, or ""
    invite_code: str  # the fan's own, for those they bring
    received_at: dt.datetime


class LeaveRally(Struct, frozen=True, gc=False):
    """The fan leaves before the close: the hold ends and the crowd is one smaller."""

    fan_id: UUID
    received_at: dt.datetime


class RemoveFan(Struct, frozen=True, gc=False):
    """The seller turns a fan out before the close."""

    fan_id: UUID
    received_at: dt.datetime


class RefundJoin(Struct, frozen=True, gc=False):
    """The seller gives a fan who paid everything back, the house its fee."""

    fan_id: UUID
    received_at: dt.datetime


class ReleaseJoin(Struct, frozen=True, gc=False):
    """The rally was called off: the hold ends."""

    fan_id: UUID
    received_at: dt.datetime


class JoinLate(Struct, frozen=True, gc=False):
    """Buy at the final price after the end, while the cap leaves units."""

    join_id: UUID
    transfer_id: UUID
    fan_id: UUID
    idempotency_key: UUID
    quantity: int
    received_at: dt.datetime


Command = JoinRally | LeaveRally | RemoveFan | RefundJoin | ReleaseJoin | JoinLate


class Crowd(Struct, frozen=True, gc=False):
    """How many count for the price now, and what that price is. `waiting` joins accept only lower prices."""

    joiners: int
    units: int
    waiting: int
    level: int
    price_minor: int


@dataclass(slots=True)
class Counts:
    """How many have joined, by the first tier they accept."""

    joiners: list[int]
    units: list[int]

    def add(self, level: int, joiners: int, units: int) -> None:
        self.joiners[level] += joiners
        self.units[level] += units


@dataclass(slots=True)
class State:
    """What one transaction's snapshot shows of the rally, as far as its batch needs it. `decide` changes it as it goes."""

    terms: Terms
    counts: Counts
    home: int  # the bucket that counts this process' joins
    is_closed: bool = False
    stock: Stock | None = None  # None: no cap
    outcome: Outcome | None = None
    joins: dict[UUID, Join] = field(default_factory=dict)  # of the batch's fans
    late: dict[UUID, LateJoin] = field(default_factory=dict)
    inviters: dict[str, UUID] = field(default_factory=dict)  # invite code → fan
    wallets: dict[UUID, UUID] = field(default_factory=dict)  # fan → wallet account
    balances: dict[UUID, Balance] = field(default_factory=dict)  # wallet account → balance
    holds: dict[UUID, Transfer] = field(default_factory=dict)  # of the joins above

    @property
    def crowd(self) -> Crowd:
        return crowd(self.terms, self.counts)


@dataclass(slots=True)
class Decision:
    """One outcome per command, in order, and what must be written for all of them together."""

    outcomes: list[Join | LateJoin | Refusal] = field(default_factory=list)
    joined: dict[UUID, Join] = field(default_factory=dict)  # fan → join to insert
    changed: dict[UUID, Join] = field(default_factory=dict)  # fan → join to update
    was: dict[UUID, Join] = field(default_factory=dict)  # what a changed join must still be
    late: list[LateJoin] = field(default_factory=list)
    count_changes: dict[tuple[int, int], tuple[int, int]] = field(
        default_factory=dict
    )  # (bucket, level) → joiners, units
    stock_changes: dict[int, int] = field(default_factory=dict)  # bucket → units
    transfers: list[Transfer] = field(default_factory=list)


def crowd(terms: Terms, counts: Counts) -> Crowd:
    """Who counts for the price, and the price."""
    return crowd_at(terms.tiers, counts, counts_units=terms.counts_units)


def crowd_at(tiers: Sequence[Tier], counts: Counts, *, counts_units: bool) -> Crowd:
    level = reached(tiers, counts.units if counts_units else counts.joiners)
    joiners = crowds(counts.joiners)
    return Crowd(
        joiners=joiners[level],
        units=crowds(counts.units)[level],
        waiting=joiners[-1] - joiners[level],
        level=level,
        price_minor=tiers[level].price_minor,
    )


def decide(state: State, commands: Sequence[Command]) -> Decision:
    """Give each command its outcome in the order they came: a Join, or the refusal its sender will read."""
    decision = Decision()
    for command in commands:
        try:
            outcome: Join | LateJoin | Refusal = _decide_one(state, decision, command)
        except Refusal as refusal:
            outcome = refusal
        decision.outcomes.append(outcome)
    if state.stock is not None:
        decision.stock_changes = state.stock.changes
    return decision


def _decide_one(state: State, decision: Decision, command: Command) -> Join | LateJoin:
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
            return _refund(state, decision, command)
        case JoinLate():
            return _join_late(state, decision, command)


# -- joining


def _join(state: State, decision: Decision, command: JoinRally) -> Join:
    terms = state.terms
    mine = state.joins.get(command.fan_id)
    if mine is not None and _is_answered_by(mine, command):
        return mine
    _check_open(state, command.received_at)
    level = _check_asked(terms, command)
    invited_by = _inviter(state, command, mine)
    if state.stock is not None and state.stock.units_left < command.quantity:
        raise Full(units_left=state.stock.units_left, quantity=command.quantity)

    join = Join(
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
        terms_sha256=terms.sha256,
        joined_at=command.received_at,
        changed_at=command.received_at,
    )
    # Money last: it is the only step that both refuses and changes the state.
    _move_money(state, decision, _hold(state, join))
    if state.stock is not None:
        state.stock.take(join.quantity)
    _count(state, decision, join, 1)
    _set(state, decision, join)
    return join


def _is_answered_by(mine: Join, command: JoinRally) -> bool:
    """Whether the join that is there is the answer: a repeat, a double tap, another tab. Raises when it contradicts it."""
    asked = (command.quantity, command.only_at_or_below_minor)
    is_same = (mine.quantity, mine.only_at_or_below_minor) == asked
    if mine.idempotency_key == command.idempotency_key:
        if not is_same:
            raise IdempotencyConflict(join_id=str(mine.id))
        return True
    if mine.state == REMOVED:
        raise Removed
    if mine.state != JOINED:
        return False
    if not is_same:
        raise AlreadyJoined(quantity=mine.quantity, only_at_or_below_minor=mine.only_at_or_below_minor)
    return True


def _check_open(state: State, at: dt.datetime) -> None:
    terms = state.terms
    if at < terms.opens_at:
        raise NotOpen("This rally has not opened yet.", opens_at=terms.opens_at.isoformat())
    if at >= terms.closes_at or state.is_closed:
        raise NotOpen("This rally has closed.", closes_at=terms.closes_at.isoformat())


def _check_asked(terms: Terms, command: JoinRally) -> int:
    """The level of what is asked for."""
    if command.quantity > terms.limit_per_fan:
        raise TooManyUnits(limit_per_fan=terms.limit_per_fan, quantity=command.quantity)
    level = level_of(terms.tiers, command.only_at_or_below_minor)
    if level is None:
        raise PriceNeverReached(lowest_minor=terms.tiers[-1].price_minor)
    return level


def _inviter(state: State, command: JoinRally, mine: Join | None) -> UUID | None:
    """Who brought the fan. The first inviter stays, also when the fan leaves and comes again."""
    if mine is not None and mine.invited_by is not None:
        return mine.invited_by
    inviter = state.inviters.get(command.invite) if command.invite else None
    if inviter == command.fan_id:
        inviter = None
    is_invited = inviter is not None or command.invite == state.terms.seller_invite
    if state.terms.needs_invite and not is_invited and mine is None:
        raise InviteNeeded
    return inviter


def _hold(state: State, join: Join) -> Transfer:
    """The most that this join can cost is set aside."""
    terms = state.terms
    amount_minor = ceiling_minor(terms.tiers, join) * join.quantity
    wallet_id = state.wallets.get(join.fan_id)
    if wallet_id is None:
        raise InsufficientFunds(available_minor=0, needed_minor=amount_minor, currency=terms.currency)
    return ledger.hold(
        id=join.transfer_id, debit=wallet_id, credit=terms.escrow_account_id, amount_minor=amount_minor,
        currency=terms.currency, code="hold", subject_id=join.id, at=join.joined_at,
        expires_at=terms.closes_at + HOLD_OUTLIVES_CLOSE,
    )  # fmt: skip


def ceiling_minor(tiers: Sequence[Tier], join: Join) -> int:
    """The most that a unit can cost this fan: the price of the first tier that the join accepts."""
    return tiers[join.level].price_minor


# -- leaving


def _leave(state: State, decision: Decision, command: LeaveRally) -> Join:
    mine = _known(state, command.fan_id)
    if mine.state == LEFT:
        return mine  # a repeat
    if mine.state != JOINED or state.is_closed or command.received_at >= state.terms.closes_at:
        raise CannotLeave(state=mine.state, closes_at=state.terms.closes_at.isoformat())
    return _let_go(state, decision, mine, LEFT, "release", command.received_at)


def _remove(state: State, decision: Decision, command: RemoveFan) -> Join:
    mine = _known(state, command.fan_id)
    if mine.state == REMOVED:
        return mine  # a repeat
    if mine.state != JOINED or state.is_closed:
        raise CannotLeave("The rally has ended; this fan can no longer be removed.", state=mine.state)
    return _let_go(state, decision, mine, REMOVED, "release", command.received_at)


def _let_go(state: State, decision: Decision, mine: Join, to: str, code: str, at: dt.datetime) -> Join:
    _move_money(state, decision, ledger.void(state.holds[mine.transfer_id], code=code, at=at))
    if state.stock is not None:
        state.stock.give_back(mine.quantity)
    _count(state, decision, mine, -1)
    left = replace(mine, state=to, changed_at=at)
    _set(state, decision, left)
    return left


def _release(state: State, decision: Decision, command: ReleaseJoin) -> Join:
    """The count stays as the closing left it: it is what the rally came to."""
    mine = _known(state, command.fan_id)
    if mine.state != JOINED:
        return mine  # a repeat, or nothing is held
    _move_money(state, decision, ledger.void(state.holds[mine.transfer_id], code="release", at=command.received_at))
    released = replace(mine, state=RELEASED, changed_at=command.received_at)
    _set(state, decision, released)
    return released


# -- after the end


def _refund(state: State, decision: Decision, command: RefundJoin) -> Join:
    mine = _known(state, command.fan_id)
    if mine.state == REFUNDED:
        return mine  # a repeat
    if mine.state != PAID or state.outcome is None:
        raise CannotRefund(state=mine.state)
    for transfer in _refund_transfers(
        state.terms, state.outcome, mine, state.wallets[mine.fan_id], command.received_at
    ):
        _move_money(state, decision, transfer)
    refunded = replace(mine, state=REFUNDED, changed_at=command.received_at)
    _set(state, decision, refunded)
    return refunded


def _refund_transfers(terms: Terms, outcome: Outcome, join: Join, wallet_id: UUID, at: dt.datetime) -> list[Transfer]:
    """From the seller, who has the money by now, and the fee from the house to the seller. Ids admit each once."""
    paid_minor = outcome.price_minor * join.quantity
    fee_minor = share_bps(paid_minor, terms.fee_bps)
    journal_id = named_id("refund", join.transfer_id)
    made = [
        ledger.pay(
            id=journal_id, debit=terms.proceeds_account_id, credit=wallet_id, amount_minor=paid_minor,
            currency=terms.currency, code="refund", subject_id=join.id, at=at,
        )
    ]  # fmt: skip
    if fee_minor:
        made.append(
            ledger.pay(
                id=named_id("fee_back", join.transfer_id), journal_id=journal_id, debit=terms.fees_account_id,
                credit=terms.proceeds_account_id, amount_minor=fee_minor, currency=terms.currency, code="fee_back",
                subject_id=join.id, at=at,
            )
        )  # fmt: skip
    return made


def _join_late(state: State, decision: Decision, command: JoinLate) -> LateJoin:
    terms, outcome = state.terms, state.outcome
    mine = state.late.get(command.fan_id)
    if mine is not None:
        if mine.quantity != command.quantity:
            raise AlreadyJoined("You have bought at the final price already.", quantity=mine.quantity)
        return mine
    if not terms.late_joins or state.stock is None or outcome is None or not outcome.did_run:
        raise NoLateJoins
    paid = state.joins.get(command.fan_id)
    has = paid.quantity if paid is not None and paid.state == PAID else 0
    if has + command.quantity > terms.limit_per_fan:
        raise TooManyUnits(limit_per_fan=terms.limit_per_fan, quantity=has + command.quantity)
    if state.stock.units_left < command.quantity:
        raise Full(units_left=state.stock.units_left, quantity=command.quantity)
    late = LateJoin(
        terms.rally_id, command.fan_id, command.join_id, command.idempotency_key, command.quantity,
        command.transfer_id, terms.sha256, command.received_at,
    )  # fmt: skip
    price_minor = outcome.price_minor * late.quantity
    wallet_id = state.wallets.get(late.fan_id)
    if wallet_id is None:
        raise InsufficientFunds(available_minor=0, needed_minor=price_minor, currency=terms.currency)
    for transfer in _late_transfers(terms, late, wallet_id, price_minor):
        _move_money(state, decision, transfer)
    state.stock.take(late.quantity)
    state.late[late.fan_id] = late
    decision.late.append(late)
    return late


def _late_transfers(terms: Terms, late: LateJoin, wallet_id: UUID, price_minor: int) -> list[Transfer]:
    made = [
        ledger.pay(
            id=late.transfer_id, debit=wallet_id, credit=terms.proceeds_account_id, amount_minor=price_minor,
            currency=terms.currency, code="late_join", subject_id=late.id, at=late.joined_at,
        )
    ]  # fmt: skip
    if fee_minor := share_bps(price_minor, terms.fee_bps):
        made.append(
            ledger.pay(
                id=named_id("late_fee", late.transfer_id), journal_id=late.transfer_id,
                debit=terms.proceeds_account_id, credit=terms.fees_account_id, amount_minor=fee_minor,
                currency=terms.currency, code="late_fee", subject_id=late.id, at=late.joined_at,
            )
        )  # fmt: skip
    return made


# -- settling


def fix_outcome(terms: Terms, counts: Counts) -> Outcome:
    """What a closed rally ends at. Who accepts the final price pays it, if they are as many as the minimum asks for."""
    final = crowd(terms, counts)
    did_run = (final.units if terms.counts_units else final.joiners) >= terms.minimum
    return Outcome(final.joiners, final.units, final.level, final.price_minor, did_run)


class Settled(Struct, gc=False):
    """A chunk of joins with their end, and what it comes to. Minor units."""

    joins: list[Join]
    transfers: list[Transfer]
    charged: int = 0
    released_units: int = 0
    gross_minor: int = 0
    fee_minor: int = 0


def settle(terms: Terms, outcome: Outcome, chunk: Sequence[tuple[Join, Transfer]], at: dt.datetime) -> Settled:
    """Charge each join the final price out of its hold, or end the hold when it is not to pay."""
    settled = Settled([], [])
    for join, hold in chunk:
        assert join.state == JOINED, join
        if outcome.did_run and join.level <= outcome.level:
            paid_minor = outcome.price_minor * join.quantity
            settled.transfers.append(ledger.post(hold, amount_minor=paid_minor, code="capture", at=at))
            settled.joins.append(replace(join, state=PAID, changed_at=at))
            settled.charged += 1
            settled.gross_minor += paid_minor
            # Per join and rounded down each time, so that the fee does not depend on how the joins fall into chunks.
            settled.fee_minor += share_bps(paid_minor, terms.fee_bps)
        else:
            settled.transfers.append(ledger.void(hold, code="release", at=at))
            settled.joins.append(replace(join, state=RELEASED, changed_at=at))
            settled.released_units += join.quantity
    return settled


# -- parts


def _known(state: State, fan_id: UUID) -> Join:
    mine = state.joins.get(fan_id)
    if mine is None:
        raise JoinNotFound
    return mine


def _set(state: State, decision: Decision, join: Join) -> None:
    before = state.joins.get(join.fan_id)
    state.joins[join.fan_id] = join
    state.inviters[join.invite_code] = join.fan_id
    if before is None or join.fan_id in decision.joined:
        decision.joined[join.fan_id] = join
    else:
        decision.was.setdefault(join.fan_id, before)
        decision.changed[join.fan_id] = join


def _count(state: State, decision: Decision, join: Join, sign: int) -> None:
    state.counts.add(join.level, sign, sign * join.quantity)
    key = (join.bucket, join.level)
    joiners, units = decision.count_changes.get(key, (0, 0))
    decision.count_changes[key] = (joiners + sign, units + sign * join.quantity)


def _move_money(state: State, decision: Decision, transfer: Transfer) -> None:
    ledger.apply(state.balances, transfer)
    decision.transfers.append(transfer)
    state.holds[transfer.id] = transfer
