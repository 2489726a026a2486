"""What a batch of bids needs to be decided, in one round trip of its transaction's snapshot."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from auctions.english.state import BidValue, LotTerms, PlaceBid, State
from auctions.english.steps import read_steps
from auctions.english.values import LotState
from auctions.people import people_statements, suspended_in
from core.sql import Statement, array, execute_all
from core.tables import HotTable
from ledger import selectors as ledger_selectors
from ledger.rules import Transfer
from sales import gates
from sales.lanes import standing_of

BIDS = HotTable(
    "auctions_bid", BidValue, same=("sale_id", "frozen_ms", "terms_sha256"), renamed={"leader_after": "leader_after_id"}
)


def load_terms(sale_id: UUID) -> LotTerms:
    """The sealed terms, and the reserve. Raises NotFound for an auction that was not published."""
    columns = """
        terms.sale_id, start_minor, steps, reserve_minor, buy_now_minor, window_s, extension_s, overtime_s, premium_bps
    """
    row = list(gates.read_terms("auctions_english", columns, sale_id))
    at = LotTerms.__struct_fields__.index("steps")
    row[at] = read_steps(row[at])
    return LotTerms(*row)


def load_state(terms: LotTerms, commands: Sequence[PlaceBid]) -> State:
    """All that `commands` need to be decided; without any, the lot alone with what is held for it."""
    sale_id, fans = terms.sale_id, {command.fan_id for command in commands}
    reads = {"standing": gates.standing_statement(sale_id), "lot": _lot(sale_id), "hold": _hold(sale_id)}
    if commands:
        reads |= {
            "repeats": _bids_by_key(sale_id, commands),
            **people_statements(sale_id, fans),
            "wallets": ledger_selectors.wallets_statement(fans, terms.currency),
        }
    found = dict(zip(reads, execute_all(list(reads.values())), strict=True))

    standing = standing_of(found["standing"])
    *row, ends_at, hold_id = found["lot"][0]
    lot = LotState(ends_at + dt.timedelta(milliseconds=standing.frozen_ms), *row)
    state = State(sealed=terms, standing=standing, lot=lot, hold_id=hold_id)
    state.payments = {row[0]: Transfer(*row) for row in found["hold"]}
    state.bids_by_key = {(bid.fan_id, bid.idempotency_key): bid for bid in BIDS.read(found.get("repeats", []))}
    state.shops_people, state.suspended = suspended_in(found)
    wallets = ledger_selectors.wallets_from(found.get("wallets", []))
    state.wallets = {fan: wallet.account_id for fan, wallet in wallets.items()}
    state.balances = {wallet.account_id: wallet.balance for wallet in wallets.values()}
    return state


def _lot(sale_id: UUID) -> Statement:
    sql = """
        SELECT leader_id, leader_max_minor, price_minor, best_other_max_minor, seq, extensions, state, ends_at, hold_id
          FROM auctions_lot WHERE sale_id = %s
    """
    return Statement(sql, [sale_id])


def _hold(sale_id: UUID) -> Statement:
    sql = f"""
        SELECT {ledger_selectors.TRANSFERS.columns}
          FROM auctions_lot JOIN ledger_transfer ON ledger_transfer.id = auctions_lot.hold_id
         WHERE auctions_lot.sale_id = %s
    """  # noqa: S608  # a constant list of columns
    return Statement(sql, [sale_id])


def _bids_by_key(sale_id: UUID, commands: Sequence[PlaceBid]) -> Statement:
    sql = f"""
        SELECT {BIDS.columns} FROM auctions_bid
         WHERE sale_id = %s AND (fan_id, idempotency_key) IN (SELECT * FROM unnest(%s::uuid[], %s::uuid[]))
    """  # noqa: S608  # a constant list of columns
    fans, keys = array(c.fan_id for c in commands), array(c.idempotency_key for c in commands)
    return Statement(sql, [sale_id, fans, keys])
