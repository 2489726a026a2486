"""What holds of every English auction, whoever bids what and when: made up by hypothesis, and a thousand by seed."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from auctions.english.batches import decide_batch, replay
from auctions.english.limits import check_english_terms
from auctions.english.lot import hold_of, opening
from auctions.english.rules import decide
from auctions.english.steps import Step, step_at
from auctions.english.tests.examples import HOUR, TABLE, at, bid, bidder, buy_now, by_steps_of, cancel, close, terms
from auctions.english.values import BOUGHT, CANCELLED, OPEN, SOLD, UNSOLD, Bid, BuyNow, Decision
from core.errors import Refusal

FANS = [UUID(int=number) for number in range(1, 7)]
SELLERS_OWN, POOR = FANS[0], FANS[1]
FUNDS = {fan: 300 if fan == POOR else 10**6 for fan in FANS}
FALLING_STEPS = (Step(0, 90), Step(150, 7), Step(400, 33))


def make_terms(chance):
    start = chance.choice([1, 30, 100])
    reserve = chance.choice([None, 0, 50, 400, 1_100, 1_500])
    dearest = max(start, reserve or 0)
    of = terms(
        start_minor=start,
        steps=chance.choice([TABLE, FALLING_STEPS, by_steps_of(1), by_steps_of(40)]),
        reserve_minor=reserve,
        buy_now_minor=chance.choice([None, dearest, dearest + 300]),
        closes_at=at(HOUR),
        hard_end=at(HOUR + chance.choice([0, 100, 1_000])),
        window_s=chance.choice([0, 60, 600]),
        extension_s=chance.choice([0, 45, 300]),
        premium_bps=chance.choice([0, 1_250, 3_333]),
        fee_bps=chance.choice([0, 1_000]),
    )
    assert check_english_terms(of) is None
    return of


def make_commands(chance, of):
    """Bids in the last minutes and some after, a few at the same moment, and at the end a close or now and then a cancel."""
    commands = []
    for _ in range(chance.choice([2, 8, 30])):
        fan = chance.choice(FANS)
        when = HOUR + chance.choice([-3_000, -500, -60, 0, 90]) + chance.randrange(-30, 30)
        by = bidder(FUNDS[fan], is_linked=fan == SELLERS_OWN)
        if of.buy_now_minor is not None and chance.random() < 0.04:
            commands.append(buy_now(fan, when, by))
        else:
            commands.append(bid(fan, 10 * chance.randrange(1, 120) + chance.choice([0, 0, 7]), when, by))
    if chance.random() < 0.05:
        commands.append(cancel(HOUR - 20))
    chance.shuffle(commands)
    if chance.random() < 0.5:
        commands.sort(key=lambda command: command.received_at)
    return [*commands, close(HOUR + 2_000)]


class Wallets:
    """Every fan's money: available, held and paid. Nobody's is ever below zero."""

    def __init__(self):
        self.available, self.held, self.paid = Counter(FUNDS), Counter(), Counter()

    def move(self, release, hold, capture):
        if release is not None:
            self._move(release.fan_id, release.amount_minor, -release.amount_minor)
        if hold is not None:
            self._move(hold.fan_id, -hold.amount_minor, hold.amount_minor)
        if capture is not None:
            assert 0 < capture.charge.paid_minor <= capture.hold.amount_minor
            assert capture.charge.seller_minor + capture.charge.house_minor == capture.charge.paid_minor
            self._move(capture.hold.fan_id, capture.released_minor, -capture.hold.amount_minor)
            self.paid[capture.hold.fan_id] += capture.charge.paid_minor

    def _move(self, fan, available, held):
        self.available[fan] += available
        self.held[fan] += held
        assert self.available[fan] >= 0
        assert self.held[fan] >= 0

    def all_held(self):
        return {fan: held for fan, held in self.held.items() if held}

    def facts(self):
        return {fan: (self.available[fan], self.held[fan], self.paid[fan]) for fan in FANS}

    def known_to(self, command):
        """The command with what its fan has available now."""
        if not isinstance(command, Bid | BuyNow):
            return command
        by = bidder(self.available[command.fan_id], is_linked=command.bidder.is_linked)
        return replace(command, bidder=by)


def check_state(of, state, log, wallets):
    """What is true of a lot at every moment, from its log where that can tell."""
    assert state.seq == len(log)
    assert [line.seq for line in log] == list(range(1, len(log) + 1))
    assert (state.leader is not None) == bool(log)  # a leader exactly when there is a bid
    assert SELLERS_OWN not in {line.fan_id for line in log}
    assert of.closes_at <= state.ends_at <= of.hard_end
    assert all(line.received_at < state.ends_at for line in log)
    assert wallets.all_held() == ({hold.fan_id: hold.amount_minor} if (hold := hold_of(of, state)) else {})
    if not log:
        assert (state.price_minor, state.leader_max_minor, state.best_other_max_minor) == (0, 0, 0)
        return
    bests: dict[UUID, int] = {}
    for line in log:
        bests[line.fan_id] = max(line.max_minor, bests.get(line.fan_id, 0))
    assert of.start_minor <= state.price_minor <= state.leader_max_minor
    assert state.best_other_max_minor == max((best for fan, best in bests.items() if fan != state.leader), default=0)
    assert state.best_other_max_minor <= state.price_minor
    if log[-1].answer != BOUGHT:
        assert state.leader_max_minor == bests[state.leader] == max(bests.values())
        check_band(of, state)


def check_band(of, state):
    """The price is at least the best of what drives it, and at most that and its step."""
    drivers = [state.best_other_max_minor or of.start_minor]
    if of.reserve_minor and state.leader_max_minor >= of.reserve_minor:
        drivers.append(of.reserve_minor)
    assert max(drivers) <= state.price_minor
    if of.steps is FALLING_STEPS:  # where steps get smaller, a lower maximum and its step can be more
        assert state.price_minor <= max(driver + step_at(of.steps, driver) for driver in drivers)
    else:
        assert state.price_minor <= max(drivers) + step_at(of.steps, max(drivers))


def check_step(of, before, decision):
    """What a decision may change."""
    state = decision.state
    assert state.price_minor >= before.price_minor  # the price never falls
    assert state.ends_at >= before.ends_at
    assert state.extensions - before.extensions == (state.ends_at != before.ends_at)
    if state.ends_at != before.ends_at:
        line = decision.bid
        assert line is not None
        assert line.end_after == state.ends_at
        assert (state.leader, state.price_minor) != (before.leader, before.price_minor)
        assert before.ends_at - line.received_at <= dt.timedelta(seconds=of.window_s)
    assert (decision.bid is not None) == (state.seq == before.seq + 1)
    assert (decision.capture is not None) == (state.state == SOLD and before.state == OPEN)


def run(of, commands):
    """The lot, its log and its wallets after these, each looked at."""
    state, log, wallets = opening(of), [], Wallets()
    for command in commands:
        before = state
        try:
            decision = decide(of, state, wallets.known_to(command))
        except Refusal:
            continue
        check_step(of, before, decision)
        wallets.move(decision.release, decision.hold, decision.capture)
        state = decision.state
        if decision.bid is not None:
            log.append(decision.bid)
        check_state(of, state, log, wallets)
    return state, log, wallets


def check_end(of, state, log, wallets):
    assert state.state in (SOLD, UNSOLD, CANCELLED)
    assert wallets.all_held() == {}
    reached = state.leader is not None and state.price_minor >= (of.reserve_minor or 0)
    if state.state != CANCELLED:
        assert (state.state == SOLD) == reached
    price = state.price_minor
    paid = {state.leader: price + price * of.premium_bps // 10_000} if state.state == SOLD else {}
    assert dict(wallets.paid) == paid
    assert all(wallets.available[fan] == FUNDS[fan] - wallets.paid[fan] for fan in FANS)


def check_replay(of, state, log):
    """The log makes the row: all of it but the end that came without a bid."""
    again, lines = replay(of, log)
    assert lines == log
    assert replace(again, state=state.state) == state
    assert (again.state == SOLD) == bool(log and log[-1].answer == BOUGHT)


def check_batches(chance, of, commands):
    """In batches of any size, all comes out as one by one, in the order in which each batch takes its commands."""
    state, log, wallets, in_order, rest = opening(of), [], Wallets(), [], list(commands)
    while rest:
        size = chance.randint(1, 12)
        taken, rest = rest[:size], rest[size:]
        batch = decide_batch(of, state, [wallets.known_to(command) for command in taken])
        in_order += sorted(taken, key=lambda command: (command.received_at, command.id))
        answered = [outcome.bid for outcome in batch.outcomes if isinstance(outcome, Decision) and outcome.bid]
        assert sorted(answered, key=lambda line: line.seq) == batch.bids
        assert batch.release is None or batch.release != batch.hold
        wallets.move(batch.release, batch.hold, batch.capture)
        state, log = batch.state, log + batch.bids
        check_state(of, state, log, wallets)
    alone = run(of, in_order)
    assert (state, log, wallets.facts()) == (alone[0], alone[1], alone[2].facts())


def play_at_random(chance):
    of = make_terms(chance)
    commands = make_commands(chance, of)
    state, log, wallets = run(of, commands)
    check_end(of, state, log, wallets)
    check_replay(of, state, log)
    check_batches(chance, of, commands)
    return state, log


@pytest.mark.parametrize("block", range(10))
def test_a_thousand_auctions_hold_and_come_out_the_same_again(block):
    for seed in range(block * 100, block * 100 + 100):
        play_at_random(random.Random(seed))


def test_the_random_auctions_are_of_all_kinds():
    """Else the thousand would show little."""
    ended, answers, extended = Counter(), Counter(), 0
    for seed in range(300):
        state, log = play_at_random(random.Random(seed))
        ended[state.state] += 1
        answers.update(line.answer for line in log)
        extended += state.extensions > 0

    assert min(ended[how] for how in (SOLD, UNSOLD, CANCELLED)) >= 5, ended
    assert min(answers[answer] for answer in ("leads", "raised", "tied", "outbid", "bought")) >= 5, answers
    assert extended >= 30


@given(st.randoms(use_true_random=False))
def test_every_auction_holds(chance):
    play_at_random(chance)


@given(
    st.lists(st.tuples(st.sampled_from(FANS[2:]), st.integers(1, 60)), max_size=25),
    st.sampled_from([by_steps_of(1), by_steps_of(7), (Step(0, 1), Step(10, 5))]),
)
def test_whoever_bid_the_most_leads_and_of_equals_the_first(bids, steps):
    of = terms(start_minor=5, steps=steps)

    state, log, _wallets = run(of, [bid(fan, most) for fan, most in bids])

    first_at: dict[int, UUID] = {}
    for line in log:
        first_at.setdefault(line.max_minor, line.fan_id)
    assert state.leader == (first_at[max(first_at)] if first_at else None)
