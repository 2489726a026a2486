from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from core import paging
from core.paging import Page
from core.sql import Statement, array
from core.tables import HotTable
from ledger import models
from ledger.models import AccountKey
from ledger.rules import Balance, Transfer


class Wallet(NamedTuple):
    """A fan's money in one currency, as a transaction's snapshot shows it."""

    account_id: UUID
    balance: Balance


def account_ids(keys: Sequence[AccountKey]) -> dict[AccountKey, UUID]:
    """The ids of the accounts that exist among `keys`."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT owner_id, kind, currency, id FROM ledger_account
             WHERE (owner_id, kind, currency) IN (SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[]))
            """,
            [array(column) for column in zip(*keys, strict=True)],
        )
        return {AccountKey(owner_id, kind, currency): id for owner_id, kind, currency, id in cursor.fetchall()}


def wallets(owner_ids: Collection[UUID], currency: str) -> dict[UUID, Wallet]:
    """Owner → wallet, for the owners that have one."""
    statement = wallets_statement(owner_ids, currency)
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, statement.params)
        return wallets_from(cursor.fetchall())


def wallets_statement(owner_ids: Collection[UUID], currency: str) -> Statement:
    """What `wallets` asks, for a caller that reads more in the same round trip; `wallets_from` reads the answer."""
    sql = """
        SELECT owner_id, id, available_minor, held_minor FROM ledger_account
         WHERE owner_id = ANY(%s::uuid[]) AND kind = 'wallet' AND currency = %s
    """
    return Statement(sql, [array(owner_ids), currency])


def wallets_from(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, Wallet]:
    return {owner: Wallet(id, Balance(available, held)) for owner, id, available, held in rows}


def kept_balances(ids: Iterable[UUID]) -> dict[UUID, Balance]:
    """Account → balance, for the accounts among `ids` that keep one on their row."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, available_minor, held_minor FROM ledger_account
             WHERE id = ANY(%s::uuid[]) AND keeps_balance
            """,
            [array(ids)],
        )
        return {id: Balance(available, held) for id, available, held in cursor.fetchall()}


TRANSFERS = HotTable("ledger_transfer", Transfer, also={"recorded_at": "now()"})


def transfers_by_id(ids: Collection[UUID]) -> dict[UUID, Transfer]:
    with connection.cursor() as cursor:
        sql = f"SELECT {TRANSFERS.columns} FROM ledger_transfer WHERE id = ANY(%s::uuid[])"  # noqa: S608
        cursor.execute(sql, [array(ids)])
        return {transfer.id: transfer for transfer in TRANSFERS.read(cursor.fetchall())}


def balance(account_id: UUID, *, at: dt.datetime | None = None, recorded_before: dt.datetime | None = None) -> Balance:
    """An account's balance worked out from its transfers: the newest usable checkpoint plus the transfers since.

    `at` asks for the statement's view (transfers dated before it; no checkpoint, because those go by recording time).
    """
    checkpoint = None
    if at is None:
        checkpoints = models.Checkpoint.objects.filter(account_id=account_id)
        if recorded_before is not None:
            checkpoints = checkpoints.filter(until__lte=recorded_before)
        checkpoint = checkpoints.order_by("-until").first()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(sum(CASE WHEN credit_account_id = %(account)s THEN amount_minor
                                     ELSE -amount_minor - held_minor END), 0)::bigint,
                   coalesce(sum(CASE WHEN debit_account_id = %(account)s THEN held_minor ELSE 0 END), 0)::bigint
              FROM ledger_transfer
             WHERE (debit_account_id = %(account)s OR credit_account_id = %(account)s)
               AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s::timestamptz)
               AND (%(before)s::timestamptz IS NULL OR recorded_at < %(before)s::timestamptz)
               AND (%(at)s::timestamptz IS NULL OR at < %(at)s::timestamptz)
            """,
            {
                "account": account_id,
                "since": checkpoint.until if checkpoint else None,
                "before": recorded_before,
                "at": at,
            },
        )
        available, held = cursor.fetchone()
    if checkpoint:
        return Balance(checkpoint.available_minor + available, checkpoint.held_minor + held)
    return Balance(available, held)


def collecting_accounts_with_news(*, until: dt.datetime, limit: int) -> list[UUID]:
    """Accounts without a running balance that have transfers recorded before `until` and after their last checkpoint."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT account.id
              FROM ledger_account AS account
             WHERE NOT account.keeps_balance
               AND EXISTS (SELECT 1 FROM ledger_transfer AS transfer
                            WHERE (transfer.debit_account_id = account.id OR transfer.credit_account_id = account.id)
                              AND transfer.recorded_at < %(until)s
                              AND transfer.recorded_at >= coalesce(
                                    (SELECT max(c.until) FROM ledger_checkpoint AS c WHERE c.account_id = account.id),
                                    '-infinity'))
             LIMIT %(limit)s
            """,
            {"until": until, "limit": limit},
        )
        return [id for (id,) in cursor.fetchall()]


class StatementLine(NamedTuple):
    """One line of an account's statement. `amount_minor` is signed; `balance_minor` is available money after the line."""

    id: UUID
    at: dt.datetime
    code: str
    kind: str
    subject_id: UUID
    amount_minor: int
    held_minor: int
    balance_minor: int


# A line's place in a statement.
LINE = ("at", "id")


def statement(
    account_id: UUID,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    cursor: str = "",
    limit: int | None = None,
) -> Page[StatementLine]:
    """The account's lines dated in [since, until), the newest first, with the balance after each. Raises Invalid for a cursor
    that none of our pages gave."""
    limit = limit or paging.PAGE_ROWS
    before_at, before_id = paging.read_cursor(models.Transfer, LINE, cursor) if cursor else (None, None)
    with connection.cursor() as database:
        database.execute(
            """
            WITH line AS (
                SELECT id, at, code, kind, subject_id,
                       CASE WHEN credit_account_id = %(account)s THEN amount_minor
                            ELSE -amount_minor - held_minor END AS amount,
                       CASE WHEN debit_account_id = %(account)s THEN held_minor ELSE 0 END AS held
                  FROM ledger_transfer
                 WHERE debit_account_id = %(account)s OR credit_account_id = %(account)s
            ), running AS (
                SELECT line.*, sum(amount) OVER (ORDER BY at, id) AS balance FROM line
            )
            SELECT id, at, code, kind, subject_id, amount::bigint, held::bigint, balance::bigint FROM running
             WHERE (%(since)s::timestamptz IS NULL OR at >= %(since)s::timestamptz)
               AND (%(until)s::timestamptz IS NULL OR at < %(until)s::timestamptz)
               AND (%(before_at)s::timestamptz IS NULL OR (at, id) < (%(before_at)s::timestamptz, %(before_id)s::uuid))
             ORDER BY at DESC, id DESC LIMIT %(limit)s
            """,
            {
                "account": account_id, "since": since, "until": until, "limit": limit + 1, "before_at": before_at,
                "before_id": before_id,
            },
        )  # fmt: skip
        lines = [StatementLine(*row) for row in database.fetchall()]
    return paging.page_from(lines, LINE, limit)


def wallets_of(owner_id: UUID) -> dict[str, Wallet]:
    """Currency → wallet, of one owner."""
    rows = models.Account.objects.filter(owner_id=owner_id, kind=models.AccountKind.WALLET).order_by("currency")
    return {row.currency: Wallet(row.id, Balance(row.available_minor, row.held_minor)) for row in rows}


def proceeds_of(owner_id: UUID) -> dict[str, UUID]:
    """Currency → account, of what a seller has earned."""
    rows = models.Account.objects.filter(owner_id=owner_id, kind=models.AccountKind.PROCEEDS).order_by("currency")
    return {row.currency: row.id for row in rows}
