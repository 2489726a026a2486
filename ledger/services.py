"""Writes to the books. Callers compose: they load balances, let their rules decide, and write all transfers in one statement."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from uuid import UUID

from core import clock
from core.errors import Refusal
from core.ids import uuid7
from core.sql import Statement, array, execute_all
from core.transactions import joins_transaction, retried_transaction
from ledger import rules, selectors
from ledger.errors import AlreadyResolved, TransferConflict
from ledger.models import KEEPS_BALANCE, Account, AccountKey, BooksCheckpoint, Checkpoint
from ledger.rules import Balance, Transfer

# A transaction may be this old when it commits (DSQL ends them at five minutes), so younger rows may still appear.
SETTLED_AFTER = dt.timedelta(minutes=10)


@joins_transaction
def open_accounts(keys: Iterable[AccountKey], *, now: dt.datetime | None = None) -> dict[AccountKey, UUID]:
    """The ids of these accounts, opening the ones that are missing. Part of the caller's transaction."""
    wanted = list(dict.fromkeys(keys))
    found = selectors.account_ids(wanted)
    missing = [key for key in wanted if key not in found]
    if not missing:
        return found
    opened_at = now or clock.now()
    # Inserted plainly: an account that another transaction opens meanwhile is a conflict, and the caller's retry finds it.
    opened = Account.objects.bulk_create(
        Account(
            id=uuid7(), owner_id=owner_id, kind=kind, currency=currency, keeps_balance=kind in KEEPS_BALANCE,
            created_at=opened_at,
        )
        for owner_id, kind, currency in missing
    )  # fmt: skip
    return found | {key: account.id for key, account in zip(missing, opened, strict=True)}


@joins_transaction
def write_transfers(transfers: Sequence[Transfer]) -> None:
    """Write the rows and change the balances kept on accounts, in one round trip, however many transfers.

    The caller has applied `rules.apply` to balances of the same snapshot. The CHECKs on the account refuse for certain.
    """
    execute_all(transfer_statements(transfers))


def transfer_statements(transfers: Sequence[Transfer]) -> list[Statement]:
    """What `write_transfers` runs, for a caller that has more to write in the same round trip."""
    if not transfers:
        return []
    statements = selectors.TRANSFERS.insert(transfers)
    changes = [(account_id, *change) for account_id, change in rules.changes(transfers).items() if any(change)]
    if changes:
        statements.append(Statement(_CHANGE_BALANCES, [array(column) for column in zip(*changes, strict=True)]))
    return statements


_CHANGE_BALANCES = """
    UPDATE ledger_account AS account
       SET available_minor = account.available_minor + change.available, held_minor = account.held_minor + change.held
      FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS change (id, available, held)
     WHERE account.id = change.id AND account.keeps_balance
"""


@retried_transaction(replayable=True)
def transfer_batch(transfers: Sequence[Transfer]) -> list[Transfer | Refusal]:
    """Make many transfers in order; each gets its own outcome. A repeated id returns the first outcome.

    Refusals: InsufficientFunds, TransferConflict (same id, other content), AlreadyResolved (a hold's second ending).
    """
    return do_transfers(transfers)


@joins_transaction
def do_transfers(transfers: Sequence[Transfer]) -> list[Transfer | Refusal]:
    """`transfer_batch` as a part of the caller's transaction."""
    made = selectors.transfers_by_id([t.id for t in transfers])
    account_ids = {t.debit_account_id for t in transfers} | {t.credit_account_id for t in transfers}
    balances = selectors.kept_balances(account_ids)
    outcomes: list[Transfer | Refusal] = []
    fresh: list[Transfer] = []
    for transfer in transfers:
        is_repeat = transfer.id in made
        outcome = _decide_one(made, balances, transfer)
        if not is_repeat and isinstance(outcome, Transfer):
            made[transfer.id] = transfer
            fresh.append(transfer)
        outcomes.append(outcome)
    write_transfers(fresh)
    return outcomes


def _decide_one(made: dict[UUID, Transfer], balances: dict[UUID, Balance], transfer: Transfer) -> Transfer | Refusal:
    earlier = made.get(transfer.id)
    if earlier is not None:
        if earlier.same_content(transfer):
            return earlier
        return AlreadyResolved() if transfer.pending_id else TransferConflict()
    try:
        rules.apply(balances, transfer)
    except Refusal as refusal:
        return refusal
    return transfer


@retried_transaction(replayable=True)
def checkpoint_accounts(*, now: dt.datetime, limit: int = 200) -> int:
    """Bring the checkpoints of up to `limit` collecting accounts forward. Returns how many moved."""
    until = now - SETTLED_AFTER
    stale = selectors.collecting_accounts_with_news(until=until, limit=limit)
    rows = []
    for account_id in stale:
        balance = selectors.balance(account_id, recorded_before=until)
        rows.append(
            Checkpoint(
                id=uuid7(), account_id=account_id, until=until, available_minor=balance.available_minor,
                held_minor=balance.held_minor,
            )
        )  # fmt: skip
    Checkpoint.objects.bulk_create(rows)  # an account that another run brought forward meanwhile is a conflict
    return len(rows)


@retried_transaction(replayable=True)
def checkpoint_books(*, until: dt.datetime, collected_minor: int) -> None:
    """Remember how far the books were checked. Whoever has come further stays: the row never goes back."""
    if not BooksCheckpoint.objects.exists():
        BooksCheckpoint.objects.create(until=until, collected_minor=collected_minor)
    BooksCheckpoint.objects.filter(until__lt=until).update(until=until, collected_minor=collected_minor)
