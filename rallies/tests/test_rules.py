"""The rules of a rally by properties: any commands of several fans, in any batches, from any process' bucket."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.errors import Refusal
from core.ids import uuid7
from ledger import rules as ledger
from ledger.rules import Balance, Transfer
from rallies import rules
from rallies.pricing import PriceTier
from rallies.rules import JOINED, LEFT, PAID, RELEASED, Counts, Terms
from sales.stock import Stock, split_units
from tests.tools.shop import NOW

TIERS = (PriceTier(1, 100), PriceTier(3, 80), PriceTier(5, 52))
FUNDS_MINOR = 350
FANS = [UUID(int=n) for n in range(1, 8)]
WALLETS = {fan: UUID(int=fan.int + 100) for fan in FANS[:6]}  # the last one never opened a wallet
RALLY, ESCROW, PROCEEDS, FEES = (UUID(int=n) for n in (9_999, 1_000, 1_001, 1_002))
BUCKETS = 4
CLOSES_AT = NOW + dt.timedelta(seconds=100)


@dataclass
class Books:
    """What the database would hold, in memory: `load` gives a snapshot, `write` applies a decision with the guards."""

    terms: Terms
    joiners: list[int]
    units: list[int]
    left: list[int] | None
    limited: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    balances: dict[UUID, Balance] = field(default_factory=dict)
    joins: dict[UUID, rules.Join] = field(default_factory=dict)
    late: dict[UUID, rules.LateJoin] = field(default_factory=dict)
    transfers: dict[UUID, Transfer] = field(default_factory=dict)
    outcome: rules.Outcome | None = None
    is_closed: bool = False

    def load(self, home: int = 0) -> rules.State:
        counts = Counts([0] * len(TIERS), [0] * len(TIERS))
        counts.add(0, sum(self.joiners), sum(self.units))
        for (_, level), (joiners, units) in self.limited.items():
            counts.add(level, joiners, units)
            counts.add(0, -joiners, -units)
        stock = None if self.left is None else Stock(dict(enumerate(self.left)), home=home, is_closed=self.is_closed)
        return rules.State(
            self.terms, counts, home, self.is_closed, stock, self.outcome, dict(self.joins), dict(self.late),
            {join.invite_code: fan for fan, join in self.joins.items()}, dict(WALLETS), dict(self.balances),
            {join.transfer_id: self.transfers[join.transfer_id] for join in self.joins.values()},
        )  # fmt: skip

    def write(self, decision: rules.Decision) -> None:
        for (bucket, level), (joiners, units) in decision.count_changes.items():
            assert not self.is_closed
            self.joiners[bucket] += joiners
            self.units[bucket] += units
            assert self.joiners[bucket] >= 0
            if level:
                before = self.limited.get((bucket, level), (0, 0))
                self.limited[bucket, level] = (before[0] + joiners, before[1] + units)
                assert min(self.limited[bucket, level]) >= 0
        for bucket, units in decision.stock_changes.items():
            assert self.left is not None
            self.left[bucket] += units
            assert self.left[bucket] >= 0
        for fan, join in decision.joined.items():
            assert fan not in self.joins
            self.joins[fan] = join
        for fan, join in decision.changed.items():
            assert self.joins[fan] == decision.was[fan]
            self.joins[fan] = join
        for late in decision.late:
            assert late.fan_id not in self.late
            self.late[late.fan_id] = late
        self.book(decision.transfers)

    def book(self, transfers: Sequence[Transfer]) -> None:
        for transfer in transfers:
            assert transfer.id not in self.transfers
            self.transfers[transfer.id] = transfer
            ledger.apply(self.balances, transfer)

    def run(self, batch: Sequence[rules.Command], home: int = 0) -> list[Any]:
        decision = rules.decide(self.load(home), batch)
        self.write(decision)
        assert len(decision.outcomes) == len(batch)
        return [(o.code, o.data) if isinstance(o, Refusal) else o for o in decision.outcomes]

    def settle(self, chunk: int) -> None:
        self.is_closed = True
        self.outcome = rules.fix_outcome(self.terms, self.load().counts)
        waiting = sorted((join for join in self.joins.values() if join.state == JOINED), key=lambda join: join.fan_id)
        for start in range(0, len(waiting), chunk):
            part = [(join, self.transfers[join.transfer_id]) for join in waiting[start : start + chunk]]
            settled = rules.settle(self.terms, self.outcome, part, CLOSES_AT)
            self.joins |= {join.fan_id: join for join in settled.joins}
            self.book(settled.transfers)

    @property
    def crowd(self) -> rules.Crowd:
        return self.load().crowd

    def of(self, *states: str) -> list[rules.Join]:
        return [join for join in self.joins.values() if join.state in states]


def open_books(*, cap: int | None = None, **terms: Any) -> Books:
    defaults: dict[str, Any] = {
        "rally_id": RALLY, "tiers": TIERS, "counts_units": False, "minimum": 1, "cap_units": cap, "limit_per_fan": 3,
        "needs_invite": False, "late_joins": cap is not None, "seller_invite": "seller", "fee_bps": 500,
        "currency": "EUR", "opens_at": NOW, "closes_at": CLOSES_AT, "sha256": "0" * 64, "escrow_account_id": ESCROW,
        "proceeds_account_id": PROCEEDS, "fees_account_id": FEES,
    }  # fmt: skip
    left = None if cap is None else list(split_units(cap, BUCKETS))
    books = Books(Terms(**(defaults | terms)), [0] * BUCKETS, [0] * BUCKETS, left)
    books.balances = {wallet: Balance(FUNDS_MINOR, 0) for wallet in WALLETS.values()}
    return books


def join(
    fan: int, quantity: int = 1, only: int | None = None, *, invite: str = "", key: int = 0, at: dt.datetime = NOW
) -> rules.JoinRally:
    """Fan number `fan` presses the button; the same `key` is the same press."""
    code = uuid7()
    return rules.JoinRally(
        uuid7(), uuid7(), FANS[fan], UUID(int=key) if key else uuid7(), quantity, only, invite, code.hex[-12:], at
    )


def leave(fan: int, at: dt.datetime = NOW) -> rules.LeaveRally:
    return rules.LeaveRally(FANS[fan], at)


numbers = st.integers(0, len(FANS) - 1)
commands = st.one_of(
    st.builds(join, numbers, st.integers(1, 4), st.sampled_from([None, None, 100, 85, 60, 40]), key=st.integers(0, 3)),
    st.builds(leave, numbers),
    st.builds(lambda fan: rules.RemoveFan(FANS[fan], NOW), numbers),
)
batches = st.lists(st.tuples(st.lists(commands, min_size=1, max_size=6), st.integers(0, BUCKETS - 1)), max_size=8)


@settings(max_examples=300)
@given(batches, st.sampled_from([None, 2, 7, 40]), st.booleans(), st.integers(1, 6), st.integers(1, 3))
def test_a_rally_is_right_at_every_moment_and_settles_at_one_price(run, cap, counts_units, minimum, chunk):
    books = open_books(cap=cap, counts_units=counts_units, minimum=minimum)
    for batch, home in run:
        books.run(batch, home)
        counted = books.of(JOINED)
        assert sum(books.joiners) == len(counted)
        assert sum(books.units) == sum(j.quantity for j in counted)
        assert all(j.quantity <= 3 for j in counted)
        if books.left is not None:
            assert sum(books.left) + sum(j.quantity for j in counted) == cap
        for fan, wallet in WALLETS.items():
            mine = books.joins.get(fan)
            held = rules.ceiling_minor(TIERS, mine) * mine.quantity if mine and mine.state == JOINED else 0
            assert books.balances[wallet] == Balance(FUNDS_MINOR - held, held)

    price_minor = books.crowd.price_minor
    books.settle(chunk)

    paid = books.of(PAID)
    assert books.of(JOINED) == []
    for fan, wallet in WALLETS.items():
        mine = books.joins.get(fan)
        cost = price_minor * mine.quantity if mine and mine.state == PAID else 0
        assert books.balances[wallet] == Balance(FUNDS_MINOR - cost, 0)
    enough = sum(j.quantity for j in paid) if counts_units else len(paid)
    assert enough >= minimum or not paid
    for j in books.of(RELEASED):
        assert not paid or TIERS[j.level].price_minor < price_minor
    for j in paid:
        assert j.only_at_or_below_minor is None or price_minor <= j.only_at_or_below_minor


@given(batches)
def test_how_commands_fall_into_batches_changes_nothing(run):
    """But for the buckets: those a process keeps to."""
    one, many = open_books(), open_books()
    flat = [command for batch, _ in run for command in batch]
    together = one.run(flat)
    apart = [outcome for command in flat for outcome in many.run([command])]

    assert together == apart
    assert (one.joins, one.balances, one.transfers) == (many.joins, many.balances, many.transfers)


def test_a_double_tap_ten_tabs_and_a_retry_count_once():
    books = open_books()
    first, *others = books.run([join(0, key=7), join(0, key=7), *[join(0) for _ in range(10)]])

    assert [outcome.transfer_id for outcome in others] == [first.transfer_id] * 11
    assert sum(books.joiners) == 1
    assert books.balances[WALLETS[FANS[0]]] == Balance(FUNDS_MINOR - 100, 100)


def test_joining_differently_needs_leaving_first():
    books = open_books()
    books.run([join(0, 1, key=7)])

    assert books.run([join(0, 2)])[0][0] == "already_joined"
    assert books.run([join(0, 2, key=7)])[0][0] == "idempotency_conflict"
    books.run([leave(0)])
    (again,) = books.run([join(0, 2)])
    assert (again.state, again.quantity) == (JOINED, 2)


def test_the_late_repeat_of_a_join_that_was_left_does_not_join_again():
    books = open_books()
    books.run([join(0, key=7), leave(0)])

    assert books.run([join(0, key=7)])[0].state == LEFT
    assert sum(books.joiners) == 0


def test_a_join_with_a_limit_holds_and_pays_no_more_than_it():
    books = open_books()
    books.run([join(0, only=85), join(1), join(2)])
    held = books.balances[WALLETS[FANS[0]]].held_minor
    books.settle(10)

    assert held == 80  # the price of the first tier it accepts
    assert [j.state for j in books.joins.values()] == [PAID] * 3
    assert books.outcome.price_minor == 80


def test_a_limit_that_is_not_reached_costs_nothing():
    books = open_books()
    books.run([join(0, only=60), join(1)])
    assert books.crowd == rules.Crowd(joiners=1, units=1, waiting=1, level=0, price_minor=100)
    books.settle(10)

    assert {j.fan_id: j.state for j in books.joins.values()} == {FANS[0]: RELEASED, FANS[1]: PAID}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (join(0, at=NOW - dt.timedelta(seconds=1)), "not_open"),
        (join(0, at=CLOSES_AT), "not_open"),
        (join(0, 4), "too_many_units"),
        (join(0, only=51), "price_never_reached"),
        (join(6), "insufficient_funds"),
        (join(0, 3), None),
        (leave(0), "not_found"),
        (leave(1, CLOSES_AT), "cannot_leave"),
        (rules.RefundJoin(FANS[1], NOW), "cannot_refund"),
        (rules.JoinLate(uuid7(), uuid7(), FANS[0], uuid7(), 1, NOW), "no_late_joins"),
    ],
)
def test_refusals(command, code):
    books = open_books()
    books.run([join(1)])
    (outcome,) = books.run([command])

    assert (outcome[0] if isinstance(outcome, tuple) else None) == code


def test_invitations():
    books = open_books(needs_invite=True)
    (refused,) = books.run([join(0)])
    first, second, third = books.run([join(0, invite="seller"), join(1, invite="nonsense"), join(2, invite="seller")])
    (brought,) = books.run([join(1, invite=first.invite_code)])

    assert refused[0] == second[0] == "invite_needed"
    assert (first.invited_by, brought.invited_by, third.invited_by) == (None, FANS[0], None)


def test_nobody_invites_themselves():
    books = open_books()
    (mine,) = books.run([join(0)])
    books.run([leave(0)])
    (again,) = books.run([join(0, invite=mine.invite_code)])

    assert again.invited_by is None


def test_who_was_removed_stays_out():
    books = open_books()
    books.run([join(0), rules.RemoveFan(FANS[0], NOW)])

    assert books.run([join(0)])[0][0] == "removed"
    assert books.balances[WALLETS[FANS[0]]] == Balance(FUNDS_MINOR, 0)


def test_a_cap_admits_no_more_units_than_there_are():
    books = open_books(cap=4)
    outcomes = books.run([join(0, 3), join(1, 3), join(2, 1), join(3, 1)])

    assert [o.quantity if isinstance(o, rules.Join) else o[0] for o in outcomes] == [3, "full", 1, "full"]


def test_late_joins_pay_the_final_price_while_units_are_left():
    books = open_books(cap=4)
    books.run([join(0), join(1), join(2)])
    books.settle(10)

    def late(fan: int, quantity: int = 1) -> rules.JoinLate:
        return rules.JoinLate(uuid7(), uuid7(), FANS[fan], uuid7(), quantity, CLOSES_AT)

    first, repeat, full, over = books.run([late(3), late(3), late(4), late(0, 3)])
    assert first == repeat
    assert books.balances[WALLETS[FANS[3]]] == Balance(FUNDS_MINOR - 80, 0)
    assert (full[0], over[0]) == ("full", "too_many_units")


def test_a_refund_gives_back_all_that_was_paid_once():
    books = open_books()
    books.run([join(0, 2), join(1)])
    books.settle(1)
    first, second = books.run([rules.RefundJoin(FANS[0], CLOSES_AT)] * 2)

    assert first == second
    assert books.balances[WALLETS[FANS[0]]] == Balance(FUNDS_MINOR, 0)
    moved = [t for t in books.transfers.values() if t.code in ("refund", "fee_back")]
    assert {(t.code, t.amount_minor) for t in moved} == {("refund", 200), ("fee_back", 10)}


def test_settling_goes_by_the_join_not_by_the_chunk():
    whole, parts = open_books(), open_books()
    for books in (whole, parts):
        books.run([join(fan, only=[None, 60][fan % 2], key=fan + 1) for fan in range(6)])
    whole.settle(100)
    parts.settle(1)

    def ends(books: Books) -> dict[UUID, tuple[str, int]]:
        return {
            fan: (replace(j, id=fan).state, books.balances[WALLETS[fan]].available_minor)
            for fan, j in books.joins.items()
        }

    assert ends(whole) == ends(parts)
