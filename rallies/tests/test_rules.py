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
from rallies import rules, settling
from rallies.pricing import PriceTier
from rallies.values import (
    JOINED,
    LEFT,
    PAID,
    RELEASED,
    REMOVED,
    Command,
    Counts,
    Crowd,
    Decision,
    JoinLate,
    JoinRally,
    JoinValue,
    LateJoinValue,
    LeaveRally,
    OutcomeValue,
    RallyTerms,
    RefundJoin,
    ReleaseJoin,
    RemoveFan,
    State,
)
from sales.standing import Standing
from sales.stock import Stock, split_units
from tests.tools.shop import NOW

TIERS = (PriceTier(1, 100), PriceTier(3, 80), PriceTier(5, 52))
FUNDS_MINOR = 350
FANS = [UUID(int=n) for n in range(1, 8)]
WALLETS = {fan: UUID(int=fan.int + 100) for fan in FANS[:6]}  # the last one never opened a wallet
RALLY, ESCROW, PROCEEDS, FEES = (UUID(int=n) for n in (9_999, 1_000, 1_001, 1_002))
BUCKETS = 4
SECOND = dt.timedelta(seconds=1)
CLOSES_AT = NOW + 100 * SECOND
FIRM_S = 10
FIRM_FROM = CLOSES_AT - FIRM_S * SECOND
LATE_UNTIL = CLOSES_AT + 50 * SECOND


@dataclass
class Books:
    """What the database would hold, in memory: `load` gives a snapshot, `write` applies a decision with the guards."""

    terms: RallyTerms
    standing: Standing
    joiners: list[int]
    units: list[int]
    left: list[int] | None
    limited: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    balances: dict[UUID, Balance] = field(default_factory=dict)
    joins: dict[UUID, JoinValue] = field(default_factory=dict)
    late: dict[UUID, LateJoinValue] = field(default_factory=dict)
    transfers: dict[UUID, Transfer] = field(default_factory=dict)
    outcome: OutcomeValue | None = None

    def load(self, home: int = 0) -> State:
        counts = Counts([0] * len(TIERS), [0] * len(TIERS))
        counts.add(0, sum(self.joiners), sum(self.units))
        for (_, level), (joiners, units) in self.limited.items():
            counts.add(level, joiners, units)
            counts.add(0, -joiners, -units)
        stock = None if self.left is None else Stock(dict(enumerate(self.left)), home=home)
        return State(
            self.terms, self.standing, counts, home, stock, self.outcome, dict(self.joins), dict(self.late),
            {join.invite_code: fan for fan, join in self.joins.items() if join.state != REMOVED},
            wallets=dict(WALLETS), balances=dict(self.balances),
            payments={join.transfer_id: self.transfers[join.transfer_id] for join in self.joins.values()},
        )  # fmt: skip

    def write(self, decision: Decision) -> None:
        for (bucket, level), (joiners, units) in decision.count_changes.items():
            assert self.outcome is None
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
        for fan, join in decision.made.items():
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

    def run(self, batch: Sequence[Command], home: int = 0) -> list[Any]:
        decision = rules.decide(self.load(home), batch)
        self.write(decision)
        assert len(decision.outcomes) == len(batch)
        return [(o.code, o.data) if isinstance(o, Refusal) else o for o in decision.outcomes]

    def stand(self, **changes: Any) -> None:
        self.standing = replace(self.standing, **changes)

    def fix(self, *, is_early: bool = False) -> OutcomeValue:
        self.stand(state="closed")
        self.outcome = settling.fix_outcome(self.terms, self.load().counts, is_early=is_early)
        return self.outcome

    def settle(self, chunk: int, *, is_early: bool = False) -> None:
        outcome = self.fix(is_early=is_early)
        waiting = sorted((join for join in self.joins.values() if join.state == JOINED), key=lambda join: join.fan_id)
        for start in range(0, len(waiting), chunk):
            part = [(join, self.transfers[join.transfer_id]) for join in waiting[start : start + chunk]]
            settled = settling.settle(self.terms, outcome, part, CLOSES_AT)
            self.joins |= {join.fan_id: join for join in settled.joins}
            self.book(settled.transfers)
        self.stand(state="settled")

    @property
    def crowd(self) -> Crowd:
        return self.load().crowd

    def of(self, *states: str) -> list[JoinValue]:
        return [join for join in self.joins.values() if join.state in states]

    @property
    def counted(self) -> list[JoinValue]:
        return [join for join in self.joins.values() if join.state == JOINED or join.stays_counted]

    def money(self, fan: int) -> Balance:
        return self.balances[WALLETS[FANS[fan]]]


def open_books(*, cap: int | None = None, **terms: Any) -> Books:
    defaults: dict[str, Any] = {
        "rally_id": RALLY, "tiers": TIERS, "counts_units": False, "minimum": 1, "cap_units": cap, "limit_per_fan": 3,
        "needs_invite": False, "late_until": LATE_UNTIL if cap is not None else None, "firm_s": FIRM_S,
        "seller_invite": "seller", "fee_bps": 500, "currency": "EUR", "sha256": "0" * 64, "escrow_account_id": ESCROW,
        "proceeds_account_id": PROCEEDS, "fees_account_id": FEES,
    }  # fmt: skip
    standing = Standing("live", NOW, CLOSES_AT, 0, "0" * 64, NOW)
    left = None if cap is None else list(split_units(cap, BUCKETS))
    books = Books(RallyTerms(**(defaults | terms)), standing, [0] * BUCKETS, [0] * BUCKETS, left)
    books.balances = {wallet: Balance(FUNDS_MINOR, 0) for wallet in WALLETS.values()}
    return books


def join(
    fan: int, quantity: int = 1, only: int | None = None, *, invite: str = "", key: int = 0, at: dt.datetime = NOW
) -> JoinRally:
    """Fan number `fan` presses the button; the same `key` is the same press."""
    return JoinRally(
        uuid7(), uuid7(), FANS[fan], UUID(int=key) if key else uuid7(), quantity, only, invite, code_of(fan), at
    )


def code_of(fan: int) -> str:
    return f"code-{fan}"


def leave(fan: int, at: dt.datetime = NOW) -> LeaveRally:
    return LeaveRally(FANS[fan], at)


def remove(fan: int, at: dt.datetime = NOW) -> RemoveFan:
    return RemoveFan(FANS[fan], at)


def late(fan: int, quantity: int = 1, *, invite: str = "", at: dt.datetime = CLOSES_AT) -> JoinLate:
    return JoinLate(uuid7(), uuid7(), FANS[fan], uuid7(), quantity, invite, at)


def codes(outcomes: Sequence[Any]) -> list[str]:
    """Each outcome's refusal, or what it is."""
    return [outcome[0] if isinstance(outcome, tuple) else getattr(outcome, "state", "late") for outcome in outcomes]


numbers = st.integers(0, len(FANS) - 1)
times = st.sampled_from([NOW, NOW, NOW, FIRM_FROM - SECOND, FIRM_FROM, CLOSES_AT - SECOND, CLOSES_AT])
commands = st.one_of(
    st.builds(
        join, numbers, st.integers(1, 4), st.sampled_from([None, None, 100, 85, 60, 40]), key=st.integers(0, 3),
        invite=st.sampled_from(["", "seller", "nonsense", *map(code_of, range(4))]), at=times,
    ),
    st.builds(leave, numbers, times),
    st.builds(remove, numbers, times),
)  # fmt: skip
batches = st.lists(st.tuples(st.lists(commands, min_size=1, max_size=6), st.integers(0, BUCKETS - 1)), max_size=8)


@settings(max_examples=300)
@given(batches, st.sampled_from([None, 2, 7, 40]), st.booleans(), st.integers(1, 6), st.integers(1, 3), st.booleans())
def test_a_rally_is_right_at_every_moment_and_settles_at_one_price(run, cap, counts_units, minimum, chunk, is_early):
    books = open_books(cap=cap, counts_units=counts_units, minimum=minimum)
    for batch, home in run:
        books.run(batch, home)
        assert sum(books.joiners) == len(books.counted)
        assert sum(books.units) == sum(j.quantity for j in books.counted)
        assert all(j.quantity <= 3 for j in books.joins.values())
        if books.left is not None:
            assert sum(books.left) + sum(j.quantity for j in books.of(JOINED)) == cap
        for fan, wallet in WALLETS.items():
            mine = books.joins.get(fan)
            held = rules.ceiling_minor(TIERS, mine) * mine.quantity if mine and mine.state == JOINED else 0
            assert books.balances[wallet] == Balance(FUNDS_MINOR - held, held)

    reached = books.crowd.level
    counted = books.counted
    books.settle(chunk, is_early=is_early)

    level = min(reached + is_early, len(TIERS) - 1)
    price_minor = TIERS[level].price_minor
    assert books.of(JOINED) == []
    for fan, wallet in WALLETS.items():
        mine = books.joins.get(fan)
        cost = price_minor * mine.quantity if mine and mine.state == PAID else 0
        assert books.balances[wallet] == Balance(FUNDS_MINOR - cost, 0)
    accepting = [j for j in counted if j.level <= level]
    enough = sum(j.quantity for j in accepting) if counts_units else len(accepting)
    assert books.outcome.did_run == (enough >= minimum)
    assert books.outcome.did_run or not books.of(PAID)
    for j in books.of(RELEASED):
        assert not books.outcome.did_run or TIERS[j.level].price_minor < price_minor
    for j in books.of(PAID):
        assert j.only_at_or_below_minor is None or price_minor <= j.only_at_or_below_minor


@given(batches, st.booleans())
def test_how_commands_fall_into_batches_changes_nothing(run, needs_invite):
    """But for the buckets: those a process keeps to."""
    one, many = open_books(needs_invite=needs_invite), open_books(needs_invite=needs_invite)
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
    assert books.money(0) == Balance(FUNDS_MINOR - 100, 100)


def test_joining_differently_needs_leaving_first():
    books = open_books()
    books.run([join(0, 1, key=7)])

    assert codes(books.run([join(0, 2), join(0, 2, key=7)])) == ["already_joined", "idempotency_conflict"]
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
    held = books.money(0).held_minor
    books.settle(10)

    assert held == 80  # the price of the first tier it accepts
    assert [j.state for j in books.joins.values()] == [PAID] * 3
    assert books.outcome.price_minor == 80


def test_a_limit_that_is_not_reached_costs_nothing():
    books = open_books()
    books.run([join(0, only=60), join(1)])
    assert books.crowd == Crowd(joiners=1, units=1, waiting=1, level=0, price_minor=100)
    books.settle(10)

    assert {j.fan_id: j.state for j in books.joins.values()} == {FANS[0]: RELEASED, FANS[1]: PAID}


# The end


@pytest.mark.parametrize("go", [leave, remove])
def test_shortly_before_the_end_whoever_goes_stays_counted(go):
    """So nobody can make the others' price rise again, and the money and the units are free all the same."""
    books = open_books(cap=7)
    books.run([join(0, 2), join(1), join(2)])
    (gone,) = books.run([go(0, FIRM_FROM)])

    assert gone.stays_counted
    assert books.money(0) == Balance(FUNDS_MINOR, 0)
    assert (sum(books.left), books.crowd) == (5, Crowd(joiners=3, units=4, waiting=0, level=1, price_minor=80))
    assert books.fix() == OutcomeValue(joiners=3, units=4, level=1, price_minor=80, did_run=True)


@pytest.mark.parametrize("go", [leave, remove])
def test_a_moment_earlier_the_count_falls(go):
    books = open_books(cap=7)
    books.run([join(0, 2), join(1), join(2)])
    (gone,) = books.run([go(0, FIRM_FROM - dt.timedelta(microseconds=1))])

    assert not gone.stays_counted
    assert (sum(books.left), books.crowd) == (5, Crowd(joiners=2, units=2, waiting=0, level=0, price_minor=100))


def test_who_left_shortly_before_the_end_cannot_join_again_and_who_was_removed_is_told_so():
    books = open_books()
    books.run([join(0, key=7), join(1), leave(0, FIRM_FROM), remove(1, FIRM_FROM)])

    assert codes(books.run([join(0), join(1), join(0, key=7)])) == ["left_for_good", "removed", LEFT]
    assert sum(books.joiners) == 2
    assert {books.money(0), books.money(1)} == {Balance(FUNDS_MINOR, 0)}


@pytest.mark.parametrize("go", [leave, remove])
def test_from_the_end_on_nobody_goes_by_the_time_it_was_received(go):
    books = open_books()
    books.run([join(0), join(1)])

    assert codes(books.run([go(0, CLOSES_AT), go(0, CLOSES_AT - dt.timedelta(microseconds=1))])) == [
        "cannot_leave",
        "left" if go is leave else "removed",
    ]
    books.stand(state="closed")
    assert codes(books.run([go(1)])) == ["cannot_leave"]


def test_the_firm_time_moves_with_the_end_of_a_sale_that_was_frozen():
    books = open_books()
    books.stand(closes_at=CLOSES_AT + 60 * SECOND, frozen_ms=60_000)
    books.run([join(0), join(1)])

    early, late_one = books.run([leave(0, FIRM_FROM + 59 * SECOND), leave(1, FIRM_FROM + 60 * SECOND)])
    assert (early.stays_counted, late_one.stays_counted) == (False, True)


@pytest.mark.parametrize(
    ("joined", "price_minor", "joiners"),
    [(1, 80, 1), (2, 80, 2), (3, 52, 3), (5, 52, 5)],  # the next price below what was reached, if there is one
)
def test_closed_early_everybody_pays_the_next_price(joined, price_minor, joiners):
    books = open_books()
    books.run([join(fan) for fan in range(joined)])
    books.settle(10, is_early=True)

    assert (books.outcome.price_minor, books.outcome.joiners, books.outcome.did_run) == (price_minor, joiners, True)
    assert {books.money(fan) for fan in range(joined)} == {Balance(FUNDS_MINOR - price_minor, 0)}


def test_closed_early_a_limit_at_the_next_price_pays_too():
    books = open_books()
    books.run([join(0), join(1, only=85), join(2, only=60)])
    books.settle(10, is_early=True)

    assert books.outcome == OutcomeValue(joiners=2, units=2, level=1, price_minor=80, did_run=True)
    assert [j.state for j in books.joins.values()] == [PAID, PAID, RELEASED]


def test_whoever_is_counted_but_gone_is_not_charged():
    books = open_books()
    books.run([join(0), join(1), join(2), leave(2, FIRM_FROM)])
    books.settle(10)

    assert books.outcome.joiners == 3
    assert [books.money(fan) for fan in range(3)] == [Balance(270, 0), Balance(270, 0), Balance(350, 0)]


# What stops a sale


@pytest.mark.parametrize(("state", "code"), [("frozen", "frozen"), ("cancelled", "called_off")])
@pytest.mark.parametrize("command", [join(1), leave(0), remove(0), late(2)])
def test_nothing_happens_in_a_rally_that_was_stopped(state, code, command):
    books = open_books(cap=7)
    books.run([join(0)])
    books.stand(state=state)
    before = (dict(books.joins), dict(books.balances), dict(books.transfers), list(books.left))

    assert codes(books.run([command])) == [code]
    assert (books.joins, books.balances, books.transfers, books.left) == before


def test_a_repeat_is_answered_also_when_the_rally_was_stopped():
    books = open_books()
    (first,) = books.run([join(0, key=7)])
    books.stand(state="frozen")

    assert books.run([join(0, key=7)]) == [first]


def test_a_rally_called_off_frees_the_money_and_leaves_the_count():
    books = open_books()
    books.run([join(0)])
    books.stand(state="cancelled")
    released, repeat = books.run([ReleaseJoin(FANS[0], NOW)] * 2)

    assert (released.state, repeat) == (RELEASED, released)
    assert (books.money(0), sum(books.joiners)) == (Balance(FUNDS_MINOR, 0), 1)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (join(0, at=NOW - SECOND), "not_open"),
        (join(0, at=CLOSES_AT), "not_open"),
        (join(0, 4), "too_many_units"),
        (join(0, only=51), "price_never_reached"),
        (join(6), "insufficient_funds"),
        (join(0, 3), "joined"),
        (leave(0), "not_found"),
        (leave(1, CLOSES_AT), "cannot_leave"),
        (RefundJoin(FANS[1], NOW), "cannot_refund"),
        (late(0), "no_late_joins"),
    ],
)
def test_refusals(command, code):
    books = open_books()
    books.run([join(1)])

    assert codes(books.run([command])) == [code]


# Invitations


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


@pytest.mark.parametrize("together", [True, False], ids=["in_one_batch", "in_two"])
def test_the_link_of_a_removed_fan_admits_nobody(together):
    books = open_books(needs_invite=True)
    books.run([join(0, invite="seller"), join(1, invite=code_of(0))])
    batch = [remove(0), join(2, invite=code_of(0)), join(3, invite=code_of(1))]

    outcomes = books.run(batch) if together else [outcome for command in batch for outcome in books.run([command])]

    assert codes(outcomes) == [REMOVED, "invite_needed", JOINED]
    assert books.joins[FANS[3]].invited_by == FANS[1]


def test_who_was_removed_stays_out():
    books = open_books()
    books.run([join(0), remove(0)])

    assert codes(books.run([join(0)])) == ["removed"]
    assert books.money(0) == Balance(FUNDS_MINOR, 0)


# The cap, and late joins


def test_a_cap_admits_no_more_units_than_there_are():
    books = open_books(cap=4)
    outcomes = books.run([join(0, 3), join(1, 3), join(2, 1), join(3, 1)])

    assert codes(outcomes) == [JOINED, "full", JOINED, "full"]


def test_late_joins_pay_the_final_price_while_units_are_left():
    books = open_books(cap=4)
    books.run([join(0), join(1), join(2)])
    books.settle(10)

    first, repeat, full, other = books.run([late(3), late(3), late(4), late(3, 2)])
    assert first == repeat
    assert books.money(3) == Balance(FUNDS_MINOR - 80, 0)
    assert codes([full, other]) == ["full", "already_joined"]


def test_the_limit_counts_what_the_fan_has_paid():
    books = open_books(cap=9)
    books.run([join(0, 2)])
    books.settle(10)

    (over,) = books.run([late(0, 2)])
    (fits,) = books.run([late(0, 1)])
    assert over == ("too_many_units", {"limit_per_fan": 3, "quantity": 4})
    assert fits.quantity == 1


def test_late_joins_wait_until_everybody_is_charged():
    """So all that a rally has sold is known before anybody buys what it left over, and until then it can be called off."""
    books = open_books(cap=9)
    books.run([join(0, 2)])
    books.fix()

    assert codes(books.run([late(1)])) == ["no_late_joins"]


def test_the_limit_does_not_count_a_join_that_was_left_or_let_go():
    books = open_books(cap=12)
    books.run([join(0, 2), join(1, 2), leave(1), join(2, 2, only=60)])
    books.settle(10)

    assert codes(books.run([late(1, 3), late(2, 3)])) == ["late", "late"]


def test_who_was_removed_does_not_come_in_late():
    books = open_books(cap=9)
    books.run([join(0), join(1), remove(1)])
    books.settle(10)

    assert codes(books.run([late(1)])) == ["removed"]


def test_late_joins_of_an_invited_rally_want_an_invitation_or_a_join_of_ones_own():
    books = open_books(cap=9, needs_invite=True)
    books.run([join(0, invite="seller"), join(1, invite="seller"), leave(1), join(2, invite="seller"), remove(2)])
    books.settle(10)

    outcomes = books.run(
        [
            late(3),
            late(3, invite="nonsense"),
            late(3, invite=code_of(2)),  # of a fan who was removed
            late(3, invite=code_of(0)),
            late(4, invite="seller"),
            late(1),  # had joined
        ]
    )
    assert codes(outcomes) == ["invite_needed", "invite_needed", "invite_needed", "late", "late", "late"]


@pytest.mark.parametrize(("at", "code"), [(LATE_UNTIL - SECOND, "late"), (LATE_UNTIL, "no_late_joins")])
def test_late_joins_end_at_their_sealed_time(at, code):
    books = open_books(cap=9)
    books.run([join(0)])
    books.settle(10)

    assert codes(books.run([late(1, at=at)])) == [code]
    books.stand(frozen_ms=60_000)
    assert codes(books.run([late(2, at=at)])) == ["late"]


def test_a_rally_that_did_not_run_has_no_late_joins():
    books = open_books(cap=9, minimum=2)
    books.run([join(0)])
    books.settle(10)

    assert codes(books.run([late(1)])) == ["no_late_joins"]


def test_a_refund_gives_back_all_that_was_paid_once():
    books = open_books()
    books.run([join(0, 2), join(1)])
    books.settle(1)
    books.stand(state="cancelled")
    first, second = books.run([RefundJoin(FANS[0], CLOSES_AT)] * 2)

    assert first == second
    assert books.money(0) == Balance(FUNDS_MINOR, 0)
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
