"""The gate of a sale: the rows that a purchase and the end of its sale meet on (`sales.models.Gate`)."""

from __future__ import annotations

from uuid import UUID

from core.sql import Statement, execute_all
from core.transactions import joins_transaction
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


def passing_statement(sale_id: UUID, gate: int) -> Statement:
    """Pass the gate: in the writes of every batch that changes anything."""
    sql = "UPDATE sales_gate SET version = version + 1 WHERE sale_id = %s AND number = %s"
    return Statement(sql, [sale_id, gate], rows=1)
