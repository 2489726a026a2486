"""What a batch of a drop's commands needs to be decided, in one round trip of its transaction's snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from core.sql import Statement, array, execute_all
from core.tables import HotTable
from drops import rules
from drops.rules import DropTerms, OrderValue
from ledger import selectors as ledger_selectors
from ledger.rules import Balance, Transfer
from sales import gates
from sales.lanes import standing_of
from sales.standing import Standing
from sales.stock import Stock, home_bucket

ORDERS = HotTable(
    "drops_order", OrderValue, same=("drop_id", "unit_price_minor", "currency", "terms_sha256", "frozen_ms")
)
# Of the holds that have run out, as many as one batch gives back when it is short of units.
RUN_OUT_MAX = 100


def load_terms(drop_id: UUID) -> DropTerms:
    """The sealed terms. Raises NotFound for a drop that was not published."""
    columns = "terms.sale_id, price_minor, limit_per_fan, hold_s, cancel_s"
    return DropTerms(*gates.read_terms("drops_drop", columns, drop_id))


def load_state(
    terms: DropTerms, commands: Sequence[rules.Command], slot: int, *, expects_units: bool = True
) -> rules.State:
    """All that `commands` need to be decided by process number `slot`.

    Without `expects_units` money and limits are not read at first: with nothing left every purchase is refused before they are
    looked at, and the sold-out answer stays cheap.
    """
    placing = [command for command in commands if isinstance(command, rules.PlaceOrder)]
    changing = [command.order_id for command in commands if not isinstance(command, rules.PlaceOrder)]
    reads = {"standing": gates.standing_statement(terms.drop_id), "buckets": _buckets(terms.drop_id)}
    if placing:
        reads["repeats"] = _orders_by_key(placing)
    if changing:
        reads["orders"] = _orders_by_id(changing)
    if terms.hold_s and placing:
        reads["run_out"] = _run_out(terms.drop_id)
    if expects_units or changing:
        reads |= _money(terms, {command.fan_id for command in placing}, changing)
    found = dict(zip(reads, execute_all(list(reads.values())), strict=True))

    state = _state(terms, standing_of(found["standing"]), found["buckets"], slot)
    _take_orders(state, found)
    if (state.stock.units_left or state.run_out) and "wallets" not in found:
        more = _money(terms, {command.fan_id for command in placing}, changing)
        found |= dict(zip(more, execute_all(list(more.values())), strict=True))
    _take_money(state, found)
    return state


def _state(terms: DropTerms, standing: Standing, buckets: Sequence[tuple[Any, ...]], slot: int) -> rules.State:
    return rules.State(terms, standing, Stock(dict(buckets), home=home_bucket(slot, len(buckets))))


def _take_orders(state: rules.State, found: dict[str, list[tuple[Any, ...]]]) -> None:
    for order in ORDERS.read(found.get("repeats", [])):
        state.orders_by_key[(order.fan_id, order.idempotency_key)] = order
    width = ORDERS.width
    for row in [*found.get("orders", []), *found.get("run_out", [])]:
        order, transfer = OrderValue(*row[:width]), Transfer(*row[width : width + ledger_selectors.TRANSFERS.width])
        state.orders[order.id] = order
        state.payments[transfer.id] = transfer
    for row in found.get("run_out", []):
        state.run_out.append(row[0])
        account_id, available, held = row[-3:]
        state.wallets[row[ORDERS.index("fan_id")]] = account_id
        state.balances[account_id] = Balance(available, held)


def _take_money(state: rules.State, found: dict[str, list[tuple[Any, ...]]]) -> None:
    wallets = ledger_selectors.wallets_from(found.get("wallets", []))
    state.wallets |= {fan: wallet.account_id for fan, wallet in wallets.items()}
    state.balances |= {wallet.account_id: wallet.balance for wallet in wallets.values()}
    state.units_by_fan |= dict(found.get("limits", []))


def _buckets(drop_id: UUID) -> Statement:
    return Statement("SELECT number, units_left FROM drops_bucket WHERE drop_id = %s", [drop_id])


def _orders_by_key(commands: Sequence[rules.PlaceOrder]) -> Statement:
    sql = f"""
        SELECT {ORDERS.columns} FROM drops_order
         WHERE (fan_id, idempotency_key) IN (SELECT * FROM unnest(%s::uuid[], %s::uuid[]))
    """  # noqa: S608  # a constant list of columns
    return Statement(sql, [array(c.fan_id for c in commands), array(c.idempotency_key for c in commands)])


def _orders_by_id(ids: Sequence[UUID]) -> Statement:
    """Orders, each with its payment."""
    sql = f"""
        SELECT {ORDERS.columns}, {ledger_selectors.TRANSFERS.columns}
          FROM drops_order JOIN ledger_transfer ON ledger_transfer.id = drops_order.transfer_id
         WHERE drops_order.id = ANY(%s::uuid[])
    """  # noqa: S608  # constant lists of columns
    return Statement(sql, [array(ids)])


def _run_out(drop_id: UUID) -> Statement:
    """Held orders past their end, each with its hold and its fan's wallet."""
    sql = f"""
        SELECT {ORDERS.columns}, {ledger_selectors.TRANSFERS.columns}, wallet.id, wallet.available_minor, wallet.held_minor
          FROM drops_order
          JOIN sales_sale ON sales_sale.id = drops_order.drop_id
          JOIN ledger_transfer ON ledger_transfer.id = drops_order.transfer_id
          JOIN ledger_account AS wallet ON wallet.id = ledger_transfer.debit_account_id
         WHERE drop_id = %s AND drops_order.state = 'held'
           AND drops_order.expires_at + (sales_sale.frozen_ms - drops_order.frozen_ms) * interval '1 millisecond'
               <= clock_timestamp()
         ORDER BY drops_order.id LIMIT {RUN_OUT_MAX}
    """  # noqa: S608  # constant lists of columns
    return Statement(sql, [drop_id])


def _money(terms: DropTerms, fans: set[UUID], order_ids: Sequence[UUID]) -> dict[str, Statement]:
    """Wallets, and what each fan has under a limit: of these fans and of those whose orders these are."""
    of_fans, given = "= ANY(%s::uuid[])", [array(fans)]
    if order_ids:
        of_fans = (
            """IN (SELECT unnest(%s::uuid[]) UNION ALL SELECT fan_id FROM drops_order WHERE id = ANY(%s::uuid[]))"""
        )
        given.append(array(order_ids))
    sql = f"""
        SELECT owner_id, id, available_minor, held_minor FROM ledger_account
         WHERE owner_id {of_fans} AND kind = 'wallet' AND currency = %s
    """  # noqa: S608  # a constant
    reads = {"wallets": Statement(sql, [*given, terms.currency])}
    if terms.limit_per_fan is not None:
        sql = f"SELECT fan_id, units FROM drops_fanlimit WHERE fan_id {of_fans} AND drop_id = %s"  # noqa: S608
        reads["limits"] = Statement(sql, [*given, terms.drop_id])
    return reads
