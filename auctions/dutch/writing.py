"""Writing what was decided of a falling price, set-based, in one round trip. Every statement carries its guard."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from auctions.dutch.loading import CLAIMS
from auctions.dutch.state import Decision, State
from core.sql import Statement, array, execute_all
from core.transactions import joins_transaction
from ledger import services as ledger
from sales import gates


@joins_transaction
def write_decision(state: State, decision: Decision, *, gate: int) -> None:
    """Any number of lanes may do this at once: the database refuses who comes second."""
    if not decision.made:
        return
    sale_id = state.sealed.sale_id
    execute_all(
        [
            gates.passing_statement(sale_id, gate),
            *_change_buckets(sale_id, decision.bucket_changes),
            *CLAIMS.insert(list(decision.made.values())),
            *ledger.transfer_statements(decision.transfers),
        ]
    )


def _change_buckets(sale_id: UUID, changes: Mapping[int, int]) -> list[Statement]:
    changes = {number: units for number, units in changes.items() if units}
    if not changes:
        return []
    sql = """
        UPDATE auctions_dutchbucket AS bucket SET units_left = bucket.units_left + change.units
          FROM unnest(%s::int[], %s::int[]) AS change (number, units)
         WHERE bucket.sale_id = %s AND bucket.number = change.number AND bucket.units_left + change.units >= 0
    """
    return [Statement(sql, [array(changes), array(changes.values()), sale_id], rows=len(changes))]
