"""The rules of a drop by properties: any commands of several fans, in any batches, from any process' home bucket."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Refusal
from drops import rules
from drops.rules import HELD, PAID, DropTerms, OrderValue
from ledger import rules as ledger
from ledger.rules import Balance, Transfer
from sales.standing import Standing
from sales.stock import Stock, split_units
from tests.tools.shop import NOW

PRICE_MINOR = 100
FUNDS_MINOR = 700
FANS = [UUID(int=n) for n in range(1, 5)]
WALLETS = {fan: UUID(int=fan.int + 100) for fan in FANS[:3]}  # the last one never opened a wallet
ESCROW = UUID(int=1_000)


@dataclass
class Books:
    """What the database would hold, in memory: `load` gives a snapshot, `write` applies a decision with the guards."""

    terms: DropTerms
    standing: Standing
    units: dict[int, int]
    balances: dict[UUID, Balance] = field(default_factory=dict)
    limits: dict[UUID, int] = field(default_factory=dict)
    orders: dict[UUID, OrderValue] = field(default_factory=dict)
    transfers: dict[UUID, Transfer] = field(default_factory=dict)

    def load(self, home: int) -> rules.State:
        state = rules.State(self.terms, self.standing, Stock(self.units, home=home % len(self.units)))
        state.wallets, state.balances, state.units_by_fan = dict(WALLETS), dict(self.balances), dict(self.limits)
        state.orders = dict(self.orders)
        state.orders_by_key = {(order.fan_id, order.idempotency_key): order for order in self.orders.values()}
        state.payments = {order.transfer_id: self.transfers[order.transfer_id] for order in self.orders.values()}
        return state

    def write(self, decision: rules.Decision) -> None:
        for number, change in decision.bucket_changes.items():
            self.units[number] += change
            assert self.units[number] >= 0
        for fan, change in decision.limit_changes.items():
            self.limits[fan] = self.limits.get(fan, 0) + change
        for order in decision.made.values():
            assert order.id not in self.orders
            self.orders[order.id] = order
        for order in decision.changed.values():
            assert self.orders[order.id].state == decision.was[order.id].state
            self.orders[order.id] = order
        for transfer in decision.transfers:
            assert transfer.id not in self.transfers
            self.transfers[transfer.id] = transfer
            ledger.apply(self.balances, transfer)

    def run(self, batch: Sequence[rules.Command], home: int = 0) -> list[Any]:
        decision = rules.decide(self.load(home), batch)
        self.write(decision)
        assert len(decision.outcomes) == len(batch)
        return [seen(outcome) for outcome in decision.outcomes]

    def picture(self) -> dict[str, Any]:
        """All but which bucket the units are in."""
        limits = {fan: units for fan, units in self.limits.items() if units}
        return {
            "units": sum(self.units.values()), "balances": self.balances, "limits": limits, "orders": self.orders,
            "transfers": self.transfers,
        }  # fmt: skip


def seen(outcome: OrderValue | Refusal) -> Any:
    return (outcome.code, outcome.data) if isinstance(outcome, Refusal) else outcome


def open_books(units_total: int, buckets: int, limit: int | None) -> Books:
    terms = DropTerms(
        drop_id=UUID(int=9_999), price_minor=PRICE_MINOR, currency="EUR", limit_per_fan=limit, hold_s=30, cancel_s=40,
        sha256="0" * 64, fee_bps=500, escrow_account_id=ESCROW, proceeds_account_id=UUID(int=7_001),
        fees_account_id=UUID(int=7_002),
    )  # fmt: skip
    standing = Standing(
        state="live",
        opens_at=NOW,
        closes_at=NOW + dt.timedelta(seconds=100),
        frozen_ms=0,
        terms_sha256="0" * 64,
        now=NOW,
    )
    units = dict(enumerate(split_units(units_total, buckets)))
    return Books(terms, standing, units, balances={wallet: Balance(FUNDS_MINOR, 0) for wallet in WALLETS.values()})


@st.composite
def commands(draw: st.DrawFn) -> list[rules.Command]:
    """Commands that often meet: few fans, few keys, and order ids that were placed, were not, or are somebody else's."""
    made: list[rules.Command] = []
    for number in range(draw(st.integers(0, 25))):
        at = NOW + dt.timedelta(seconds=draw(st.integers(-5, 110)))
        fan = draw(st.sampled_from(FANS))
        earlier = UUID(int=10_000 + draw(st.integers(0, number)))
        made.append(
            draw(
                st.sampled_from(
                    [
                        rules.PlaceOrder(
                            order_id=UUID(int=10_000 + number), transfer_id=UUID(int=(20_000 + number) << 64), fan_id=fan,
                            idempotency_key=UUID(int=30_000 + draw(st.integers(0, number))),
                            quantity=draw(st.integers(1, 3)), hold=draw(st.booleans()), received_at=at,
                        ),
                        rules.ConfirmOrder(earlier, fan, at),
                        rules.CancelOrder(earlier, fan, at),
                        rules.ExpireHold(earlier, at),
                        rules.RefundOrder(earlier, at),
                    ]
                )
            )
        )  # fmt: skip
    return made


shapes = st.tuples(st.integers(1, 9), st.integers(1, 4), st.none() | st.integers(1, 3))


@settings(max_examples=300)
@given(shapes, commands())
def test_units_limits_and_money_always_add_up(shape, commands):
    books = open_books(*shape)
    units_total, _, limit = shape

    for command in commands:
        books.run([command])
        with_units = [order for order in books.orders.values() if order.state in (HELD, PAID)]
        assert sum(books.units.values()) + sum(order.quantity for order in with_units) == units_total
        by_fan = {fan: sum(o.quantity for o in with_units if o.fan_id == fan) for fan in FANS}
        assert limit is None or max(by_fan.values()) <= limit
        assert limit is None or all(books.limits.get(fan, 0) == units for fan, units in by_fan.items())
        for fan, wallet in WALLETS.items():
            held = sum(o.total_minor for o in with_units if o.fan_id == fan and o.state == HELD)
            paid = sum(o.total_minor for o in with_units if o.fan_id == fan and o.state == PAID)
            assert books.balances[wallet] == Balance(FUNDS_MINOR - held - paid, held)
    escrow = ledger.changes(books.transfers.values()).get(ESCROW, (0, 0))
    assert escrow == (sum(order.total_minor for order in books.orders.values() if order.state == PAID), 0)


@settings(max_examples=300)
@given(shapes, commands(), st.lists(st.integers(1, 8), max_size=8), st.integers(0, 3))
def test_outcomes_depend_on_neither_batches_nor_buckets(shape, commands, sizes, home):
    whole, parts = open_books(*shape), open_books(shape[0], 1, shape[2])

    outcomes = whole.run(commands, home)
    outcomes_of_parts: list[Any] = []
    rest = commands
    for size in [*sizes, len(commands) or 1]:
        outcomes_of_parts += parts.run(rest[:size])
        rest = rest[size:]

    assert outcomes_of_parts == outcomes
    assert parts.picture() == whole.picture()


@given(shapes, commands())
def test_the_same_commands_give_the_same_outcomes_again(shape, commands):
    first, again = open_books(*shape), open_books(*shape)

    assert first.run(commands) == again.run(commands)
    assert first.picture() == again.picture()


@given(shapes, commands())
def test_a_batch_run_again_after_a_lost_answer_places_nothing_twice(shape, commands):
    books = open_books(*shape)
    books.run(commands)
    placed = set(books.orders)

    books.run(commands)

    keys = [(order.fan_id, order.idempotency_key) for order in books.orders.values()]
    assert len(set(keys)) == len(keys)
    assert placed <= set(books.orders)


# The table of single refusals.


def place(fan: int = 0, quantity: int = 1, *, at_s: int = 1, hold: bool = False, key: int = 1, number: int = 1) -> Any:
    return rules.PlaceOrder(
        order_id=UUID(int=10_000 + number), transfer_id=UUID(int=(20_000 + number) << 64), fan_id=FANS[fan],
        idempotency_key=UUID(int=key), quantity=quantity, hold=hold, received_at=NOW + dt.timedelta(seconds=at_s),
    )  # fmt: skip


def order_of(command: rules.PlaceOrder) -> dict[str, Any]:
    return {"order_id": command.order_id, "fan_id": command.fan_id}


@pytest.mark.parametrize(
    ("command", "code", "data"),
    [
        (place(at_s=-1), "not_open", {"opens_at": "2026-03-02T12:00:00+00:00"}),
        (place(at_s=100), "not_open", {"closes_at": "2026-03-02T12:01:40+00:00"}),
        (place(quantity=6), "sold_out", {"units_left": 5, "quantity": 6}),
        (place(quantity=4), "limit_reached", {"limit_per_fan": 3, "units": 0}),
        (place(fan=3), "insufficient_funds", {"available_minor": 0, "needed_minor": 100, "currency": "EUR"}),
    ],
)
def test_a_purchase_is_refused_with_its_facts(command, code, data):
    books = open_books(5, 2, 3)
    before = books.picture()

    assert books.run([command]) == [(code, data)]
    assert books.picture() == before


@pytest.mark.parametrize(("at_s", "is_open"), [(-1, False), (0, True), (99, True), (100, False)])
def test_a_sale_is_open_from_its_first_second_until_before_its_last(at_s, is_open):
    (outcome,) = open_books(5, 1, None).run([place(at_s=at_s)])

    assert isinstance(outcome, OrderValue) is is_open


def test_a_key_used_for_something_else_is_refused():
    books = open_books(5, 1, None)
    (first,) = books.run([place(quantity=1)])

    for other in (place(quantity=2, number=2), place(hold=True, number=3)):
        assert books.run([other]) == [("idempotency_conflict", {"order_id": str(first.id)})]
    assert books.run([place(number=4)]) == [first]
    assert books.run([place(fan=1, number=5)])[0].id != first.id  # another fan's key is another key


@pytest.mark.parametrize(("at_s", "state"), [(30, "paid"), (31, "not_held")])
def test_a_hold_is_confirmed_before_its_deadline(at_s, state):
    books = open_books(5, 1, None)
    command = place(hold=True)
    books.run([command])

    (outcome,) = books.run([rules.ConfirmOrder(**order_of(command), received_at=NOW + dt.timedelta(seconds=at_s))])

    assert (outcome.state if isinstance(outcome, OrderValue) else outcome[0]) == state


def test_a_hold_never_outlives_the_sale():
    (order,) = open_books(5, 1, None).run([place(hold=True, at_s=90)])

    assert order.expires_at == NOW + dt.timedelta(seconds=100)


@pytest.mark.parametrize(("at_s", "code"), [(40, "refunded"), (41, "cannot_cancel")])
def test_a_purchase_is_given_back_within_its_time(at_s, code):
    books = open_books(5, 1, None)
    command = place()
    books.run([command])

    (outcome,) = books.run([rules.CancelOrder(**order_of(command), received_at=NOW + dt.timedelta(seconds=at_s))])

    assert (outcome.state if isinstance(outcome, OrderValue) else outcome[0]) == code


@pytest.mark.parametrize("kind", [rules.ConfirmOrder, rules.CancelOrder])
def test_somebody_elses_order_is_missing(kind):
    books = open_books(5, 1, None)
    books.run([place(hold=True)])

    theirs = books.run([kind(UUID(int=10_001), FANS[1], NOW)])
    missing = books.run([kind(UUID(int=77), FANS[1], NOW)])

    assert theirs == missing == [("not_found", {})]


def test_holding_is_refused_where_it_is_not_offered():
    books = open_books(5, 1, None)
    books.terms = rules.replace(books.terms, hold_s=0)

    assert books.run([place(hold=True)]) == [("hold_not_offered", {})]


@pytest.mark.parametrize(
    ("state", "code"),
    [("closed", "not_open"), ("settled", "not_open"), ("frozen", "frozen"), ("cancelled", "called_off")],
)
def test_a_sale_that_is_stopped_sells_nothing_whatever_the_time(state, code):
    books = open_books(5, 2, None)
    books.standing = rules.replace(books.standing, state=state)

    assert books.run([place()])[0][0] == code


@pytest.mark.parametrize(("state", "code"), [("frozen", "frozen"), ("cancelled", "called_off"), ("closed", PAID)])
def test_a_hold_is_confirmed_after_an_early_close_but_not_while_frozen_or_called_off(state, code):
    books = open_books(5, 1, None)
    books.run([place(hold=True)])
    books.standing = rules.replace(books.standing, state=state)

    (outcome,) = books.run([rules.ConfirmOrder(UUID(int=10_001), FANS[0], NOW + dt.timedelta(seconds=1))])

    assert (outcome.state if isinstance(outcome, OrderValue) else outcome[0]) == code


def test_what_is_frozen_moves_on_by_the_time_frozen():
    books = open_books(5, 1, None)
    books.run([place(hold=True)])
    # Frozen for a minute: the hold of 30 s, placed at the first second, is good until the 91st.
    books.standing = rules.replace(
        books.standing, frozen_ms=60_000, closes_at=books.standing.closes_at + dt.timedelta(seconds=60)
    )
    confirm = [rules.ConfirmOrder(UUID(int=10_001), FANS[0], NOW + dt.timedelta(seconds=at_s)) for at_s in (91, 90)]

    too_late, in_time = (books.run([command])[0] for command in confirm)

    assert too_late[0] == "not_held"
    assert in_time.state == PAID


def test_units_of_a_hold_that_is_over_are_sold_to_who_asks():
    books = open_books(2, 1, None)
    books.run([place(hold=True, quantity=2)])
    state = books.load(0)
    state.run_out.append(UUID(int=10_001))
    state.standing = rules.replace(state.standing, now=NOW + dt.timedelta(seconds=40))

    (sold,) = rules.decide(state, [place(number=2, key=2, at_s=40)]).outcomes

    assert sold.state == PAID
    assert state.orders[UUID(int=10_001)].state == rules.EXPIRED
    assert state.stock.units_left == 1
