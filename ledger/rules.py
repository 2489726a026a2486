"""The ledger's arithmetic, pure.

A transfer is one row with a debit and a credit account, so it balances by construction. Two numbers say all it does:

- `amount_minor` moves from the debit account to the credit account,
- `held_minor` moves, within the debit account, from available to held (negative: back out of held).

    kind      amount   held     what happens
    plain     A        0        A leaves the debit account's available for the credit account
    pending   0        +A       A is set aside on the debit account: a hold
    posted    C        -A       the hold ends; C of it goes to the credit account, A - C is available again
    voided    0        -A       the hold ends; all of it is available again

So for every account, without looking at kinds or joining a hold to its end:
held = Σ held over its debits, and available = Σ amount credited - Σ amount debited - Σ held over its debits.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from core.ids import named_id
from core.money import MINOR_MAX
from ledger.errors import InsufficientFunds

PLAIN = "plain"
PENDING = "pending"
POSTED = "posted"
VOIDED = "voided"

_BIGINT_MAX = 2**63 - 1


class Transfer(Struct, frozen=True, gc=False):
    """One ledger row. `id` is made by the caller, never taken from a request, and kept across retries."""

    id: UUID
    journal_id: UUID
    kind: str
    debit_account_id: UUID
    credit_account_id: UUID
    amount_minor: int
    held_minor: int
    currency: str
    code: str  # why: "purchase", "fee", …
    subject_id: UUID  # for what: an order, a sale, a payment
    at: dt.datetime
    pending_id: UUID | None = None
    expires_at: dt.datetime | None = None

    def same_content(self, other: Transfer) -> bool:
        """Whether both say the same thing. Times may differ: a repeat arrives later."""
        return replace(self, at=other.at, expires_at=other.expires_at, journal_id=other.journal_id) == other


class Balance(Struct, frozen=True, gc=False):
    """What an account that can run dry has: `available` to spend, and `held` for pending transfers. Minor units."""

    available_minor: int
    held_minor: int

    def after_debit(self, transfer: Transfer) -> Balance:
        """The balance once `transfer` has left this account. Raises InsufficientFunds."""
        available = self.available_minor - transfer.amount_minor - transfer.held_minor
        held = self.held_minor + transfer.held_minor
        if available < 0 or held < 0:
            raise InsufficientFunds(
                available_minor=self.available_minor,
                needed_minor=transfer.amount_minor + transfer.held_minor,
                currency=transfer.currency,
            )
        return Balance(available, held)

    def after_credit(self, transfer: Transfer) -> Balance:
        return Balance(self.available_minor + transfer.amount_minor, self.held_minor)


def pay(
    *,
    id: UUID,
    debit: UUID,
    credit: UUID,
    amount_minor: int,
    currency: str,
    code: str,
    subject_id: UUID,
    at: dt.datetime,
    journal_id: UUID | None = None,
) -> Transfer:
    """Money moves at once. It may be a sum over many orders, so only the column bounds it."""
    assert 0 < amount_minor <= _BIGINT_MAX, amount_minor
    assert debit != credit, debit
    return Transfer(id, journal_id or id, PLAIN, debit, credit, amount_minor, 0, currency, code, subject_id, at)


def hold(
    *,
    id: UUID,
    debit: UUID,
    credit: UUID,
    amount_minor: int,
    currency: str,
    code: str,
    subject_id: UUID,
    at: dt.datetime,
    expires_at: dt.datetime,
) -> Transfer:
    """Money is set aside for `credit` until `expires_at`; then whoever looks first voids it."""
    assert 0 < amount_minor <= MINOR_MAX, amount_minor
    assert debit != credit, debit
    return Transfer(
        id, id, PENDING, debit, credit, 0, amount_minor, currency, code, subject_id, at, expires_at=expires_at
    )


def resolution_id(pending_id: UUID) -> UUID:
    """Post and void share one: a hold ends once, one way or the other."""
    return named_id("resolve", pending_id)


def post(pending: Transfer, *, amount_minor: int, code: str, at: dt.datetime) -> Transfer:
    """Capture `amount_minor` of a hold, all or part; the rest is available again."""
    assert pending.kind == PENDING, pending.kind
    assert 0 < amount_minor <= pending.held_minor, (amount_minor, pending.held_minor)
    return _resolve(pending, POSTED, amount_minor, code, at)


def void(pending: Transfer, *, code: str, at: dt.datetime) -> Transfer:
    """End a hold; all of it is available again."""
    assert pending.kind == PENDING, pending.kind
    return _resolve(pending, VOIDED, 0, code, at)


def expire(pending: Transfer, *, at: dt.datetime) -> Transfer:
    """End a hold that ran out."""
    assert pending.expires_at is not None, pending
    assert at >= pending.expires_at, (pending.expires_at, at)
    return void(pending, code="expired", at=at)


def _resolve(pending: Transfer, kind: str, amount_minor: int, code: str, at: dt.datetime) -> Transfer:
    return replace(
        pending, id=resolution_id(pending.id), kind=kind, amount_minor=amount_minor, held_minor=-pending.held_minor,
        code=code, at=at, pending_id=pending.id, expires_at=None,
    )  # fmt: skip


def reverse(done: Transfer, *, code: str, at: dt.datetime) -> Transfer:
    """Send a moved amount back, whole and at most once. A correction is a new transfer; rows never change."""
    assert done.amount_minor > 0, done
    return replace(
        done, id=named_id("reverse", done.id), kind=PLAIN, held_minor=0, code=code, at=at, pending_id=None,
        debit_account_id=done.credit_account_id, credit_account_id=done.debit_account_id,
    )  # fmt: skip


def apply(balances: dict[UUID, Balance], transfer: Transfer) -> None:
    """Change the balances of the accounts that keep one. Raises InsufficientFunds and then changes nothing."""
    debit = balances.get(transfer.debit_account_id)
    if debit is not None:
        balances[transfer.debit_account_id] = debit.after_debit(transfer)
    credit = balances.get(transfer.credit_account_id)
    if credit is not None:
        balances[transfer.credit_account_id] = credit.after_credit(transfer)


def changes(transfers: Iterable[Transfer]) -> dict[UUID, tuple[int, int]]:
    """Account → (change of available, change of held), summed over all `transfers`. Minor units."""
    summed: dict[UUID, tuple[int, int]] = {}
    for transfer in transfers:
        available, held = summed.get(transfer.debit_account_id, (0, 0))
        summed[transfer.debit_account_id] = (
            available - transfer.amount_minor - transfer.held_minor,
            held + transfer.held_minor,
        )
        if transfer.amount_minor:
            available, held = summed.get(transfer.credit_account_id, (0, 0))
            summed[transfer.credit_account_id] = (available + transfer.amount_minor, held)
    return summed
