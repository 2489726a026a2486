"""What a settled sale's money does last: from the sale to its seller, less the house's fee."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from core.ids import uuid7
from core.transactions import joins_transaction
from ledger import rules as ledger_rules
from ledger import services as ledger
from ledger.models import HOUSE, AccountKey, AccountKind
from ledger.rules import Transfer
from sales.models import Sale


@joins_transaction
def proceeds_transfers(sale: Sale, *, id: UUID, gross_minor: int, fee_minor: int, at: dt.datetime) -> list[Transfer]:
    """One chunk's two transfers, in the journal `id`: all of it to the seller, the fee from there to the house."""
    escrow = AccountKey(sale.id, AccountKind.ESCROW, sale.currency)
    proceeds = AccountKey(sale.seller_id, AccountKind.PROCEEDS, sale.currency)
    fees = AccountKey(HOUSE, AccountKind.FEES, sale.currency)
    accounts = ledger.open_accounts([escrow, proceeds, fees], now=at)
    made = [
        ledger_rules.pay(
            id=id, debit=accounts[escrow], credit=accounts[proceeds], amount_minor=gross_minor, currency=sale.currency,
            code="proceeds", subject_id=sale.id, at=at,
        )
    ]  # fmt: skip
    if fee_minor:
        made.append(
            ledger_rules.pay(
                id=uuid7(), journal_id=id, debit=accounts[proceeds], credit=accounts[fees], amount_minor=fee_minor,
                currency=sale.currency, code="fee", subject_id=sale.id, at=at,
            )
        )  # fmt: skip
    return made
