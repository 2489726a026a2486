"""What a batch of a rally's commands needs to be decided, in one round trip of its transaction's snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from core.sql import Statement, array, execute_all
from core.tables import HotTable
from ledger import selectors as ledger_selectors
from ledger.rules import Transfer
from rallies.pricing import PriceTier
from rallies.values import (
    Command,
    Counts,
    JoinLate,
    JoinRally,
    JoinValue,
    LateJoinValue,
    OutcomeValue,
    RallyTerms,
    RefundJoin,
    State,
)
from sales import gates
from sales.lanes import standing_of
from sales.standing import Standing
from sales.stock import Stock, home_bucket

JOINS = HotTable(
    "rallies_join", JoinValue, key=("rally_id", "fan_id"), same=("rally_id", "terms_sha256"),
    renamed={"invited_by": "invited_by_id"},
)  # fmt: skip
LATE_JOINS = HotTable("rallies_latejoin", LateJoinValue, same=("rally_id", "terms_sha256"))


def load_terms(rally_id: UUID) -> RallyTerms:
    """The sealed terms. Raises NotFound for a rally that was not published."""
    columns = """
        terms.sale_id, basis = 'units', minimum, cap_units, limit_per_fan, audience = 'invited', late_until, firm_s, seller_invite,
        (SELECT json_agg(json_build_array(from_count, price_minor) ORDER BY level)
           FROM rallies_tier WHERE rally_id = terms.sale_id)
    """
    *row, tiers = gates.read_terms("rallies_rally", columns, rally_id)
    row.append(tuple(PriceTier(*tier) for tier in tiers))
    return RallyTerms(*row)


def load_state(terms: RallyTerms, commands: Sequence[Command], slot: int) -> State:
    """All that `commands` need to be decided by process number `slot`."""
    rally_id, fans = terms.rally_id, {command.fan_id for command in commands}
    reads = {
        "standing": gates.standing_statement(rally_id),
        "buckets": _buckets(rally_id),
        "limited": _limited(rally_id),
        "joins": _joins(rally_id, fans),
        "wallets": ledger_selectors.wallets_statement(fans, terms.currency),
    }
    asking = [command for command in commands if isinstance(command, JoinRally | JoinLate)]
    if invites := {command.invite for command in asking if command.invite}:
        reads["inviters"] = _inviters(rally_id, invites)
    if any(not isinstance(command, JoinRally) for command in commands):
        reads["holds"] = _holds(rally_id, fans)
    if any(isinstance(command, JoinLate | RefundJoin) for command in commands):
        reads |= {"late": _late(rally_id, fans), "outcome": _outcome(rally_id)}
    if any(isinstance(command, JoinLate) for command in commands):
        reads["shop"] = _shop(rally_id)
    found = dict(zip(reads, execute_all(list(reads.values())), strict=True))

    state = _with_counts(terms, standing_of(found["standing"]), found["buckets"], found["limited"], slot)
    state.joins = {join.fan_id: join for join in JOINS.read(found["joins"])}
    wallets = ledger_selectors.wallets_from(found["wallets"])
    state.wallets = {fan: wallet.account_id for fan, wallet in wallets.items()}
    state.balances = {wallet.account_id: wallet.balance for wallet in wallets.values()}
    state.inviters = dict(found.get("inviters", []))
    state.payments = {row[0]: Transfer(*row) for row in found.get("holds", [])}
    state.late = {late.fan_id: late for late in LATE_JOINS.read(found.get("late", []))}
    state.outcome = next((OutcomeValue(*row) for row in found.get("outcome", [])), None)
    state.shop_is_on = all(is_active for (is_active,) in found.get("shop", []))
    return state


def load_counts(terms: RallyTerms) -> State:
    """Only how many have joined."""
    rally_id = terms.rally_id
    standing, buckets, limited = execute_all(
        [gates.standing_statement(rally_id), _buckets(rally_id), _limited(rally_id)]
    )
    return _with_counts(terms, standing_of(standing), buckets, limited, slot=0)


def load_chunk(
    rally_id: UUID, *, after: UUID | None, aside: Sequence[UUID], limit: int
) -> list[tuple[JoinValue, Transfer]]:
    """The next joins to settle in the order of fans, each with its hold; but for those that stand aside."""
    sql = f"""
        SELECT {JOINS.columns}, {ledger_selectors.TRANSFERS.columns}
          FROM rallies_join JOIN ledger_transfer ON ledger_transfer.id = rallies_join.transfer_id
         WHERE rally_id = %s AND state = 'joined' AND (%s::uuid IS NULL OR fan_id > %s::uuid)
           AND rallies_join.id <> ALL(%s::uuid[])
         ORDER BY fan_id LIMIT %s
    """  # noqa: S608  # constant lists of columns
    (rows,) = execute_all([Statement(sql, [rally_id, after, after, array(aside), limit])])
    return [(JoinValue(*row[: JOINS.width]), Transfer(*row[JOINS.width :])) for row in rows]


def _buckets(rally_id: UUID) -> Statement:
    return Statement("SELECT number, joiners, units, units_left FROM rallies_bucket WHERE rally_id = %s", [rally_id])


def _limited(rally_id: UUID) -> Statement:
    sql = """
        SELECT level, sum(joiners)::bigint, sum(units)::bigint FROM rallies_limitedcount WHERE rally_id = %s GROUP BY level
    """
    return Statement(sql, [rally_id])


def _joins(rally_id: UUID, fans: set[UUID]) -> Statement:
    sql = f"SELECT {JOINS.columns} FROM rallies_join WHERE rally_id = %s AND fan_id = ANY(%s::uuid[])"  # noqa: S608
    return Statement(sql, [rally_id, array(fans)])


def _inviters(rally_id: UUID, codes: set[str]) -> Statement:
    sql = "SELECT invite_code, fan_id FROM rallies_join WHERE rally_id = %s AND invite_code = ANY(%s) AND state <> 'removed'"
    return Statement(sql, [rally_id, list(codes)])


def _holds(rally_id: UUID, fans: set[UUID]) -> Statement:
    sql = f"""
        SELECT {ledger_selectors.TRANSFERS.columns}
          FROM rallies_join JOIN ledger_transfer ON ledger_transfer.id = rallies_join.transfer_id
         WHERE rally_id = %s AND fan_id = ANY(%s::uuid[])
    """  # noqa: S608  # a constant list of columns
    return Statement(sql, [rally_id, array(fans)])


def _late(rally_id: UUID, fans: set[UUID]) -> Statement:
    sql = f"SELECT {LATE_JOINS.columns} FROM rallies_latejoin WHERE rally_id = %s AND fan_id = ANY(%s::uuid[])"  # noqa: S608
    return Statement(sql, [rally_id, array(fans)])


def _shop(rally_id: UUID) -> Statement:
    sql = """
        SELECT is_active FROM sellers_seller JOIN sales_sale ON sales_sale.seller_id = sellers_seller.id
         WHERE sales_sale.id = %s
    """
    return Statement(sql, [rally_id])


def _outcome(rally_id: UUID) -> Statement:
    sql = "SELECT joiners, units, level, price_minor, did_run FROM rallies_outcome WHERE rally_id = %s"
    return Statement(sql, [rally_id])


def _with_counts(
    terms: RallyTerms, standing: Standing, buckets: Sequence[tuple[Any, ...]], limited: Sequence[tuple[Any, ...]], slot: int
) -> State:  # fmt: skip
    home = home_bucket(slot, len(buckets))
    # A bucket's count has those with a limit too.
    counts = Counts.of(terms.tiers, sum(row[1] for row in buckets), sum(row[2] for row in buckets), limited)
    stock = None
    if terms.cap_units is not None:
        stock = Stock({row[0]: row[3] for row in buckets}, home=home)
    return State(terms, standing, counts, home, stock)
