"""What a settled sale's money does last: from the sale to whoever it belongs to, and on to whoever has a part of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from core.errors import Refusal
from core.ids import named_id, uuid7
from core.money import Money, share_bps
from core.sql import array
from core.transactions import joins_transaction
from ledger import selectors as ledger_selectors
from ledger import services as ledger
from ledger.models import HOUSE, AccountKey, AccountKind
from ledger.models import Transfer as TransferRow
from ledger.rules import Transfer, reverse
from sales.deciding import Move, journal
from sales.models import Sale
from sales.rows import SettlementRow
from sales.standing import SaleTerms

TAKEN_BACK = "taken_back"


class Line(NamedTuple):
    """One line of what is passed on: `code` says why (price, fee, premium, tax). Minor units; nothing for 0."""

    code: str
    source: AccountKey
    target: AccountKey
    amount_minor: int


def escrow_of(sale: Sale) -> AccountKey:
    return AccountKey(sale.id, AccountKind.ESCROW, sale.currency)


def sellers_lines(sale: Sale, *, gross_minor: int, fee_minor: int) -> list[Line]:
    """All of it to the seller, and the fee from there to the house."""
    seller = AccountKey(sale.seller_id, AccountKind.PROCEEDS, sale.currency)
    house = AccountKey(HOUSE, AccountKind.FEES, sale.currency)
    return [Line("proceeds", escrow_of(sale), seller, gross_minor), Line("fee", seller, house, fee_minor)]


@joins_transaction
def settlement_transfers(settlement: SettlementRow, sale: Sale) -> list[Transfer]:
    """Save a chunk's row of settlement; the transfers that pass its money on to the seller, less the fee."""
    settlement.save(force_insert=True)
    lines = sellers_lines(sale, gross_minor=settlement.gross_minor, fee_minor=settlement.fee_minor)
    return proceeds_transfers(sale, lines, id=settlement.id, at=settlement.created_at)


@joins_transaction
def proceeds_transfers(sale: Sale, lines: Sequence[Line], *, id: UUID, at: dt.datetime) -> list[Transfer]:
    """One chunk's transfers, in the journal `id`. Who is paid, and in which lines, is the format's to say."""
    lines = [line for line in lines if line.amount_minor]
    if not lines:
        return []
    keys = [key for line in lines for key in (line.source, line.target)]
    accounts = ledger.open_accounts(keys, now=at)
    moves = [
        Move(line.code, named_id(f"{line.code} {number}", id) if number else id, accounts[line.source],
             accounts[line.target], line.amount_minor)
        for number, line in enumerate(lines)
    ]  # fmt: skip
    return journal(moves, currency=sale.currency, subject_id=sale.id, at=at)


@joins_transaction
def pass_on(sale: Sale, lines: Sequence[Line], *, at: dt.datetime) -> None:
    """Write one chunk's transfers, in a journal of their own."""
    ledger.write_transfers(proceeds_transfers(sale, lines, id=uuid7(), at=at))


@joins_transaction
def take_back(sale: Sale, *, at: dt.datetime) -> None:
    """What was passed on of a sale that was called off while it was settled is in the sale again. A repeat changes nothing."""
    escrow = AccountKey(sale.id, AccountKind.ESCROW, sale.currency)
    account_id = ledger_selectors.account_ids([escrow])[escrow]
    journals = TransferRow.objects.filter(debit_account_id=account_id, subject_id=sale.id).values("journal_id")
    passed_on = TransferRow.objects.filter(journal_id__in=journals, subject_id=sale.id).exclude(code=TAKEN_BACK)
    found = ledger_selectors.transfers_by_id(list(passed_on.values_list("id", flat=True)))
    for outcome in ledger.do_transfers([reverse(transfer, code=TAKEN_BACK, at=at) for transfer in found.values()]):
        if isinstance(outcome, Refusal):
            raise outcome


def paid_in(sale_ids: Collection[UUID]) -> dict[UUID, int]:
    """Sale → what fans have paid into it and not got back, in minor units; without the sales that nobody has paid into."""
    sql = """
        SELECT escrow.owner_id, sum(CASE WHEN credit_account_id = escrow.id THEN amount_minor ELSE -amount_minor END)::bigint
          FROM ledger_account AS escrow
          JOIN ledger_transfer ON escrow.id IN (credit_account_id, debit_account_id)
          JOIN ledger_account AS wallet ON wallet.id IN (credit_account_id, debit_account_id) AND wallet.kind = 'wallet'
         WHERE escrow.kind = 'escrow' AND escrow.owner_id = ANY(%s::uuid[])
         GROUP BY escrow.owner_id
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [array(sale_ids)])
        return dict(cursor.fetchall())


def refund_transfers(
    terms: SaleTerms, payment_id: UUID, *, wallet: UUID, paid_minor: int, subject_id: UUID, at: dt.datetime
) -> list[Transfer]:
    """All that a buyer paid, after it was passed on: from the seller, to whom the house gives its fee back.

    The ids follow from the payment's, so each can happen once. Pure; minor units.
    """
    proceeds, fee_minor = terms.proceeds_account_id, share_bps(paid_minor, terms.fee_bps)
    moves = [
        Move("refund", named_id("refund", payment_id), proceeds, wallet, paid_minor),
        Move("fee_back", named_id("fee_back", payment_id), terms.fees_account_id, proceeds, fee_minor),
    ]
    return journal(moves, currency=terms.currency, subject_id=subject_id, at=at)


@dataclass(frozen=True, slots=True)
class Proceeds:
    """What a settled sale brought its shop. `fee` is all that went on from there to whoever has a part of it."""

    sale: Sale
    gross: Money  # what fans paid, with what they paid after it was settled
    fee: Money
    refunded: Money  # since
    fee_refunded: Money  # the house's part of that
    transfers: Sequence[UUID]  # those that settling made, in the order of time

    @property
    def net(self) -> Money:
        """What the shop has of it now."""
        return self.gross - self.fee - self.refunded + self.fee_refunded


class PassedOn(NamedTuple):
    """What settling passed on of a sale: to the seller, and from there to others. Minor units."""

    gross_minor: int
    fee_minor: int
    transfers: Sequence[UUID]


def passed_on(sales: Sequence[Sale]) -> dict[UUID, PassedOn]:
    """Of each of these sales, which have the same seller, as the ledger has it. Reads by accounts and times, not by sale."""
    escrows = {escrow_of(sale): sale.id for sale in sales}
    proceeds = {AccountKey(sale.seller_id, AccountKind.PROCEEDS, sale.currency) for sale in sales}
    ids = ledger_selectors.account_ids([*escrows, *proceeds]) if sales else {}
    ours = [id for key, id in ids.items() if key in proceeds]
    from_sales = {id: escrows[key] for key, id in ids.items() if key in escrows}
    came = list(TransferRow.objects.filter(debit_account_id__in=from_sales, credit_account_id__in=ours))
    sale_of = {row.journal_id: from_sales[row.debit_account_id] for row in came}
    onward = TransferRow.objects.filter(debit_account_id__in=ours, at__in={row.at for row in came})
    went = [row for row in onward.filter(subject_id__in=from_sales.values()) if row.journal_id in sale_of]
    return {
        sale.id: PassedOn(
            sum(row.amount_minor for row in came if sale_of[row.journal_id] == sale.id),
            sum(row.amount_minor for row in went if sale_of[row.journal_id] == sale.id),
            [row.id for row in sorted([*came, *went], key=lambda row: (row.at, row.id)) if sale_of[row.journal_id] == sale.id],
        )
        for sale in sales
    }  # fmt: skip
