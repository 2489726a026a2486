"""Writing what was decided of a rally, set-based, in one round trip. Every statement carries its guard."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from core.sql import Statement, array, execute_all
from core.transactions import joins_transaction
from ledger import services as ledger
from rallies.loading import JOINS, LATE_JOINS
from rallies.values import Decision, State
from sales import gates

# What a change of a join writes: all but who it is, and the code that others have by now.
_CHANGED = tuple(
    field for field in JOINS.struct.__struct_fields__ if field not in ("rally_id", "fan_id", "id", "invite_code")
)


@joins_transaction
def write_decision(state: State, decision: Decision, *, gate: int) -> None:
    """Any number of lanes may do this at once: the database refuses who comes second."""
    rally_id = state.terms.rally_id
    statements = [
        *_change_buckets(state, decision),
        *_change_limited(rally_id, decision.count_changes),
        *JOINS.insert(list(decision.made.values())),
        # The guard is the state and the hold that were read: a fan who left and joined again has another hold.
        *JOINS.update(
            list(decision.changed.values()),
            [decision.was[fan_id] for fan_id in decision.changed],
            changed=_CHANGED,
            guard=("state", "transfer_id"),
        ),
        *LATE_JOINS.insert(decision.late),
        *ledger.transfer_statements(decision.transfers),
    ]
    if statements:
        execute_all([gates.passing_statement(rally_id, gate), *statements])


def _change_buckets(state: State, decision: Decision) -> list[Statement]:
    changes = {number: [0, 0, units] for number, units in decision.stock_changes.items()}
    for (number, _), (joiners, units) in decision.count_changes.items():
        change = changes.setdefault(number, [0, 0, 0])
        change[0] += joiners
        change[1] += units
    rows = [(number, *change) for number, change in changes.items() if any(change)]
    if not rows:
        return []
    sql = """
        UPDATE rallies_bucket AS bucket
           SET joiners = bucket.joiners + change.joiners, units = bucket.units + change.units,
               units_left = bucket.units_left + change.units_left
          FROM unnest(%s::int[], %s::int[], %s::int[], %s::int[]) AS change (number, joiners, units, units_left)
         WHERE bucket.rally_id = %s AND bucket.number = change.number
           AND (bucket.units_left IS NULL OR bucket.units_left + change.units_left >= 0)
    """
    columns = [array(column) for column in zip(*rows, strict=True)]
    return [Statement(sql, [*columns, state.terms.rally_id], rows=len(rows))]


def _change_limited(rally_id: UUID, changes: Mapping[tuple[int, int], tuple[int, int]]) -> list[Statement]:
    rows = [(number, level, *change) for (number, level), change in changes.items() if level and any(change)]
    if not rows:
        return []
    columns = [array(column) for column in zip(*rows, strict=True)]
    make = """
        INSERT INTO rallies_limitedcount (rally_id, number, level, joiners, units)
        SELECT %s, touched.number, touched.level, 0, 0 FROM unnest(%s::int[], %s::int[]) AS touched (number, level)
         WHERE NOT EXISTS (SELECT 1 FROM rallies_limitedcount AS counted WHERE counted.rally_id = %s
                              AND counted.number = touched.number AND counted.level = touched.level)
    """
    change = """
        UPDATE rallies_limitedcount AS counted
           SET joiners = counted.joiners + change.joiners, units = counted.units + change.units
          FROM unnest(%s::int[], %s::int[], %s::int[], %s::int[]) AS change (number, level, joiners, units)
         WHERE counted.rally_id = %s AND counted.number = change.number AND counted.level = change.level
    """
    return [
        Statement(make, [rally_id, columns[0], columns[1], rally_id]),
        Statement(change, [*columns, rally_id], rows=len(rows)),
    ]
