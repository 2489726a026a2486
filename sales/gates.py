"""The gate of a sale: the rows that a purchase and the end of its sale meet on (`sales.models.Gate`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_noop as N_

from core.errors import NotFound
from core.sql import Statement, execute_all
from core.transactions import joins_transaction
from ledger.models import HOUSE
from sales.models import Gate
from sales.standing import STANDING_SQL
from sales.stock import home_bucket

GATES = 64  # more than the web processes there will be


@joins_transaction
def open_gates(sale_id: UUID) -> None:
    Gate.objects.bulk_create(Gate(sale_id=sale_id, number=number) for number in range(GATES))


@joins_transaction
def meet_purchases(sale_id: UUID) -> None:
    """Make every purchase that is under way begin again, and so see what this transaction changes."""
    execute_all([Statement("UPDATE sales_gate SET version = version + 1 WHERE sale_id = %s", [sale_id], rows=GATES)])


def home_gate(slot: int) -> int:
    """The gate that the process with this number keeps to."""
    return home_bucket(slot, GATES)


def standing_statement(sale_id: UUID) -> Statement:
    """Where the sale stands: the first thing that a batch reads."""
    return Statement(STANDING_SQL, [sale_id])


def read_terms(table: str, columns: str, sale_id: UUID) -> Sequence[Any]:
    """The columns of `SaleTerms`, and then these of the format's row of `terms`. Raises NotFound for one that was not published."""
    sql = f"""
        SELECT sale.currency, sale.terms_sha256, terms.fee_bps, escrow.id, proceeds.id, fees.id, {columns}
          FROM {table} AS terms
          JOIN sales_sale AS sale ON sale.id = terms.sale_id
          JOIN ledger_account AS escrow ON escrow.owner_id = sale.id AND escrow.kind = 'escrow'
                                       AND escrow.currency = sale.currency
          JOIN ledger_account AS proceeds ON proceeds.owner_id = sale.seller_id AND proceeds.kind = 'proceeds'
                                         AND proceeds.currency = sale.currency
          JOIN ledger_account AS fees ON fees.owner_id = %s AND fees.kind = 'fees' AND fees.currency = sale.currency
         WHERE terms.sale_id = %s
    """  # noqa: S608  # a format's own names
    (rows,) = execute_all([Statement(sql, [HOUSE, sale_id])])
    if not rows:
        raise NotFound(N_("This sale is not on sale."))
    return rows[0]


def passing_statement(sale_id: UUID, gate: int) -> Statement:
    """Pass the gate: in the writes of every batch that changes anything."""
    sql = "UPDATE sales_gate SET version = version + 1 WHERE sale_id = %s AND number = %s"
    return Statement(sql, [sale_id, gate], rows=1)
