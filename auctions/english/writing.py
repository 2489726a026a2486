"""Writing what was decided of a lot, set-based, in one round trip. Every statement carries its guard."""

from __future__ import annotations

from uuid import UUID

from auctions.english.loading import BIDS
from auctions.english.state import Decision, State, WinValue
from auctions.english.values import OPEN
from core.sql import Statement, execute_all
from core.transactions import joins_transaction
from ledger import services as ledger
from sales import gates


@joins_transaction
def write_decision(state: State, decision: Decision, *, gate: int) -> None:
    """Any number of lanes may do this at once: the database refuses who comes second."""
    if not decision.bids:
        return
    sale_id = state.sealed.sale_id
    execute_all(
        [
            gates.passing_statement(sale_id, gate),
            lot_statement(state, decision),
            *BIDS.insert(decision.bids),
            *win_statements(sale_id, decision.win, state.sealed.sha256),
            *ledger.transfer_statements(decision.transfers),
        ]
    )


def lot_statement(state: State, decision: Decision) -> Statement:
    """The guard is what was read: the lot is open, and no bid has come in between."""
    sql = """
        UPDATE auctions_lot
           SET leader_id = %s, leader_max_minor = %s, price_minor = %s, best_other_max_minor = %s, seq = %s, extensions = %s,
               state = %s, ends_at = %s, hold_id = %s
         WHERE sale_id = %s AND state = %s AND seq = %s
    """
    lot = decision.lot
    return Statement(
        sql,
        [
            lot.leader, lot.leader_max_minor, lot.price_minor, lot.best_other_max_minor, lot.seq, lot.extensions, lot.state,
            lot.ends_at - state.moved_by, decision.hold_id, state.sealed.sale_id, OPEN, state.lot.seq,
        ],
        rows=1,
    )  # fmt: skip


def win_statements(sale_id: UUID, win: WinValue | None, terms_sha256: str) -> list[Statement]:
    if win is None:
        return []
    sql = """
        INSERT INTO auctions_win (id, sale_id, fan_id, idempotency_key, quantity, transfer_id, terms_sha256, state, price_minor,
                                  premium_minor, fee_minor, won_at, changed_at)
        VALUES (%s, %s, %s, %s, 1, %s, %s, 'won', %s, %s, %s, %s, %s)
    """
    params = [
        win.id, sale_id, win.fan_id, win.idempotency_key, win.transfer_id, terms_sha256, win.price_minor, win.premium_minor,
        win.fee_minor, win.won_at, win.won_at,
    ]  # fmt: skip
    return [Statement(sql, params, rows=1)]
