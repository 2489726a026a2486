"""What a batch of claims needs to be decided, in one round trip of its transaction's snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from auctions.dutch.state import ClaimValue, FallingTerms, PlaceClaim, State
from auctions.people import people_statements, suspended_in
from core.sql import Statement, array, execute_all
from core.tables import HotTable
from ledger import selectors as ledger_selectors
from ledger.rules import Transfer
from sales import gates
from sales.lanes import standing_of
from sales.stock import Stock, home_bucket

CLAIMS = HotTable("auctions_claim", ClaimValue, same=("sale_id", "frozen_ms", "terms_sha256"))


def load_terms(sale_id: UUID) -> FallingTerms:
    """The sealed terms. Raises NotFound for a sale that was not published."""
    columns = "terms.sale_id, start_minor, floor_minor, step_minor, interval_s, pays, premium_bps"
    return FallingTerms(*gates.read_terms("auctions_dutch", columns, sale_id))


def load_state(terms: FallingTerms, commands: Sequence[PlaceClaim], slot: int) -> State:
    """All that `commands` need to be decided by process number `slot`."""
    sale_id, fans = terms.sale_id, {command.fan_id for command in commands}
    reads = {
        "standing": gates.standing_statement(sale_id),
        "buckets": Statement("SELECT number, units_left FROM auctions_dutchbucket WHERE sale_id = %s", [sale_id]),
        "repeats": _claims_by_key(sale_id, commands),
        "wallets": ledger_selectors.wallets_statement(fans, terms.currency),
        **people_statements(sale_id, fans),
    }
    found = dict(zip(reads, execute_all(list(reads.values())), strict=True))

    buckets = found["buckets"]
    stock = Stock(dict(buckets), home=home_bucket(slot, len(buckets)))
    state = State(sealed=terms, standing=standing_of(found["standing"]), stock=stock)
    state.claims_by_key = {(claim.fan_id, claim.idempotency_key): claim for claim in CLAIMS.read(found["repeats"])}
    state.shops_people, state.suspended = suspended_in(found)
    wallets = ledger_selectors.wallets_from(found["wallets"])
    state.wallets = {fan: wallet.account_id for fan, wallet in wallets.items()}
    state.balances = {wallet.account_id: wallet.balance for wallet in wallets.values()}
    return state


def load_chunk(
    sale_id: UUID, states: Sequence[str], *, aside: Sequence[UUID], limit: int
) -> list[tuple[ClaimValue, Transfer]]:
    """The next claims in one of these states, in the order of their ids, each with its hold; but for those that stand aside."""
    sql = f"""
        SELECT {CLAIMS.columns}, {ledger_selectors.TRANSFERS.columns}
          FROM auctions_claim JOIN ledger_transfer ON ledger_transfer.id = auctions_claim.transfer_id
         WHERE sale_id = %s AND state = ANY(%s) AND auctions_claim.id <> ALL(%s::uuid[])
         ORDER BY auctions_claim.id LIMIT %s
    """  # noqa: S608  # constant lists of columns
    (rows,) = execute_all([Statement(sql, [sale_id, list(states), array(aside), limit])])
    return [(ClaimValue(*row[: CLAIMS.width]), Transfer(*row[CLAIMS.width :])) for row in rows]


def _claims_by_key(sale_id: UUID, commands: Sequence[PlaceClaim]) -> Statement:
    sql = f"""
        SELECT {CLAIMS.columns} FROM auctions_claim
         WHERE sale_id = %s AND (fan_id, idempotency_key) IN (SELECT * FROM unnest(%s::uuid[], %s::uuid[]))
    """  # noqa: S608  # a constant list of columns
    fans, keys = array(c.fan_id for c in commands), array(c.idempotency_key for c in commands)
    return Statement(sql, [sale_id, fans, keys])
