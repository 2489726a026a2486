"""Writing what was decided of a drop, set-based, in one round trip. Every statement carries its guard."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from core.sql import Statement, array, execute_all
from core.transactions import joins_transaction
from drops import rules
from drops.loading import ORDERS
from ledger import services as ledger
from sales import gates


@joins_transaction
def write_decision(state: rules.State, decision: rules.Decision, *, gate: int) -> None:
    """Any number of lanes may do this at once: the database refuses who comes second."""
    drop_id = state.terms.drop_id
    statements = [
        *_change_buckets(drop_id, decision.bucket_changes),
        *_change_limits(state.terms, {fan: change for fan, change in decision.limit_changes.items() if change}),
        *ORDERS.insert(list(decision.made.values())),
        *ORDERS.update(
            list(decision.changed.values()),
            [decision.was[order_id] for order_id in decision.changed],
            changed=("state", "changed_at"),
            guard=("state",),
        ),
        *ledger.transfer_statements(decision.transfers),
    ]
    if statements:
        execute_all([gates.passing_statement(drop_id, gate), *statements])


def _change_buckets(drop_id: UUID, changes: Mapping[int, int]) -> list[Statement]:
    changes = {number: units for number, units in changes.items() if units}
    if not changes:
        return []
    sql = """
        UPDATE drops_bucket AS bucket SET units_left = bucket.units_left + change.units
          FROM unnest(%s::int[], %s::int[]) AS change (number, units)
         WHERE bucket.drop_id = %s AND bucket.number = change.number AND bucket.units_left + change.units >= 0
    """
    return [Statement(sql, [array(changes), array(changes.values()), drop_id], rows=len(changes))]


def _change_limits(terms: rules.DropTerms, changes: Mapping[UUID, int]) -> list[Statement]:
    more = {fan: units for fan, units in changes.items() if units > 0}
    less = {fan: units for fan, units in changes.items() if units < 0}
    statements = []
    if more:
        sql = """
            INSERT INTO drops_fanlimit AS fan_limit (drop_id, fan_id, units)
            SELECT %s, * FROM unnest(%s::uuid[], %s::int[])
                ON CONFLICT (drop_id, fan_id) DO UPDATE SET units = fan_limit.units + excluded.units
             WHERE fan_limit.units + excluded.units <= %s
        """
        params = [terms.drop_id, array(more), array(more.values()), terms.limit_per_fan]
        statements.append(Statement(sql, params, rows=len(more)))
    if less:
        sql = """
            UPDATE drops_fanlimit AS fan_limit SET units = fan_limit.units + change.units
              FROM unnest(%s::uuid[], %s::int[]) AS change (fan_id, units)
             WHERE fan_limit.drop_id = %s AND fan_limit.fan_id = change.fan_id
        """
        statements.append(Statement(sql, [array(less), array(less.values()), terms.drop_id], rows=len(less)))
    return statements
