"""The English auction by worked examples: increments, soft close, money, and each rule by itself."""

from __future__ import annotations

from uuid import UUID

import pytest

from auctions.charges import Capture, Charge, Hold
from auctions.english.limits import bid_max, check_english_terms, fits
from auctions.english.lot import asks_again, buy_now_offered, hold_of, min_next, opening, reserve_met
from auctions.english.rules import decide
from auctions.english.steps import Step
from auctions.english.tests.examples import (
    HOUR,
    TABLE,
    A,
    B,
    C,
    D,
    after,
    at,
    bid,
    bidder,
    buy_now,
    by_steps_of,
    cancel,
    close,
    play,
    terms,
)
from auctions.english.values import CANCELLED, SOLD, UNSOLD
from auctions.errors import BidNotHigher, BidTooHigh, BidTooLow, BuyNowNotOffered, OwnLot, Sold, StillOpen, Suspended
from core.money import MINOR_MAX
from ledger.errors import InsufficientFunds
from sales.errors import CalledOff, NotOpen, WrongState

# A lot, then for each bid: who, how much, and either (leader, price, answer, next bid or None where it is not looked at) or the
# least that would have been taken.
INCREMENTS = {
    "V1": (
        terms(start_minor=300, steps=TABLE),
        [
            (A, 600, (A, 300, "leads", 325)),
            (B, 500, (A, 550, "outbid", 600)),
            (B, 600, (A, 600, "tied", 650)),
            (B, 601, 650),
            (A, 601, (A, 600, "raised", 650)),
            (A, 700, (A, 600, "raised", 650)),
        ],
    ),
    "V2": (
        terms(start_minor=1_000, steps=by_steps_of(100)),
        [
            (A, 1_100, (A, 1_000, "leads", 1_100)),
            (B, 1_102, (B, 1_102, "leads", 1_202)),
            (C, 1_201, 1_202),
            (C, 1_202, (C, 1_202, "leads", 1_302)),
        ],
    ),
    "V3": (
        terms(start_minor=1_000, steps=TABLE),
        [
            (A, 10_000, (A, 1_000, "leads", 1_050)),
            (B, 10_000, (A, 10_000, "tied", 10_250)),
            (A, 15_000, (A, 10_000, "raised", 10_250)),
            (B, 10_249, 10_250),
            (B, 10_250, (A, 10_500, "outbid", 10_750)),
        ],
    ),
    "V4": (
        terms(start_minor=1_000, steps=by_steps_of(1_000), reserve_minor=30_000),
        [
            (A, 20_000, (A, 1_000, "leads", 2_000)),
            (B, 40_000, (B, 30_000, "leads", 31_000)),
            (A, 30_000, 31_000),
            (A, 31_000, (B, 32_000, "outbid", 33_000)),
        ],
    ),
}


@pytest.mark.parametrize("lot", INCREMENTS)
def test_increments(lot):
    of, bids = INCREMENTS[lot]
    state, seq = opening(of), 0
    for fan, most, expected in bids:
        if isinstance(expected, int):
            with pytest.raises(BidTooLow) as refused:
                decide(of, state, bid(fan, most))
            assert refused.value.data == {"min_next_minor": expected, "currency": "EUR"}
            continue
        decision = decide(of, state, bid(fan, most))
        state, seq = decision.state, seq + 1
        leader, price, answer, least = expected
        assert (state.leader, state.price_minor, min_next(of, state)) == (leader, price, least)
        assert (decision.bid.answer, decision.bid.seq, state.seq) == (answer, seq, seq)
        assert (decision.bid.price_after_minor, decision.bid.leader_after) == (price, leader)
        assert (decision.bid.max_minor, decision.bid.fan_id) == (most, fan)


def test_the_reserve_is_met_when_a_maximum_reaches_it_and_not_before():
    of, bids = INCREMENTS["V4"]

    states = [after(of, *(bid(fan, most) for fan, most, _ in bids[:taken])) for taken in (0, 1, 2)]

    assert [reserve_met(of, state) for state in states] == [False, False, True]


SOFT = terms(
    window_s=180, extension_s=180, opens_at=at("14:00:00"), closes_at=at("15:00:00"), hard_end=at("16:00:00")
)  # fmt: skip
SOFT_CLOSE = [
    ("14:56:59.999", A, 5_000, A, 1_000, "15:00:00"),
    ("14:57:00.000", B, 1_200, A, 1_300, "15:00:00"),
    ("14:58:00.000", C, 1_350, 1_400, None, "15:00:00"),
    ("14:58:30.000", A, 6_000, A, 1_300, "15:00:00"),
    ("14:59:59.999", D, 6_001, D, 6_001, "15:02:59.999"),
    ("15:02:59.999", A, 9_000, None, None, "15:02:59.999"),
]


def test_soft_close():
    state = opening(SOFT)
    for when, fan, most, leader, price, end in SOFT_CLOSE:
        if isinstance(leader, UUID):
            decision = decide(SOFT, state, bid(fan, most, when))
            state = decision.state
            assert (state.leader, state.price_minor) == (leader, price), when
            assert decision.bid.end_after == state.ends_at
        else:
            with pytest.raises(BidTooLow if leader else NotOpen) as refused:
                decide(SOFT, state, bid(fan, most, when))
            facts = {"min_next_minor": leader, "currency": "EUR"} if leader else {"closes_at": at(end).isoformat()}
            assert refused.value.data == facts
        assert state.ends_at == at(end), when
    assert state.extensions == 1


def soft_end(*commands):
    """The end, and how often it moved, of a lot that moves it from 180 s before by 300 s."""
    of = terms(window_s=180, extension_s=300, closes_at=at(HOUR), hard_end=at(HOUR + 400))
    state = after(of, *commands)
    return state.ends_at, state.extensions


def test_a_bid_inside_the_window_moves_the_end_to_an_extension_after_it():
    assert soft_end(bid(A, 1_000, HOUR - 180)) == (at(HOUR + 120), 1)
    assert soft_end(bid(A, 1_000, HOUR - 180.001)) == (at(HOUR), 0)


def test_the_end_never_passes_the_hard_end():
    assert soft_end(bid(A, 1_000, HOUR - 1), bid(B, 1_100, HOUR + 250)) == (at(HOUR + 400), 2)
    assert soft_end(
        bid(A, 1_000, HOUR - 1), bid(B, 1_100, HOUR + 250), bid(C, 1_200, HOUR + 399)
    ) == (at(HOUR + 400), 2)  # fmt: skip


def test_a_silent_raise_does_not_move_the_end_but_one_that_meets_the_reserve_does():
    soft = {"window_s": 180, "extension_s": 300, "closes_at": at(HOUR)}
    commands = [bid(A, 1_000), bid(A, 4_000, HOUR - 10)]

    assert after(terms(**soft), *commands).ends_at == at(HOUR)
    assert after(terms(reserve_minor=3_000, **soft), *commands).ends_at == at(HOUR + 290)
    assert after(terms(reserve_minor=3_000, **soft), *commands).price_minor == 3_000


def test_an_earlier_bid_that_comes_late_does_not_move_the_end_back():
    assert soft_end(bid(A, 1_000, HOUR - 1), bid(B, 1_100, HOUR - 150)) == (at(HOUR + 299), 1)


HELD = terms(start_minor=4_000, premium_bps=1_250, fee_bps=1_000)


def test_the_leaders_money_is_held_and_everybody_elses_is_free():
    of, (first, second, third, end) = HELD, play(HELD, [bid(A, 4_000), bid(B, 6_000), bid(A, 8_000), close()])[1]

    assert (first.release, first.hold, first.state.price_minor) == (None, Hold(A, 4_500), 4_000)
    assert (second.release, second.hold, second.state.price_minor) == (Hold(A, 4_500), Hold(B, 6_750), 4_100)
    assert (third.release, third.hold, third.state.price_minor) == (Hold(B, 6_750), Hold(A, 9_000), 6_100)
    assert end.capture == Capture(Hold(A, 9_000), Charge(6_100, 762, 610))
    assert (end.capture.charge.paid_minor, end.capture.released_minor) == (6_862, 2_138)
    assert (end.capture.charge.seller_minor, end.capture.charge.house_minor) == (5_490, 1_372)
    assert (end.state.state, end.bid, end.release, end.hold, hold_of(of, end.state)) == (SOLD, None, None, None, None)


def test_a_raise_needs_the_difference_only():
    state = after(HELD, bid(A, 4_000, by=bidder(10_000)))

    raised = decide(HELD, state, bid(A, 8_000, by=bidder(5_500)))  # 45.00 of 100.00 are held

    assert (raised.release, raised.hold) == (Hold(A, 4_500), Hold(A, 9_000))
    decide(HELD, state, bid(A, 8_000, by=bidder(4_500)))
    with pytest.raises(InsufficientFunds) as refused:
        decide(HELD, state, bid(A, 8_000, by=bidder(4_499)))
    assert refused.value.data == {"available_minor": 8_999, "needed_minor": 9_000, "currency": "EUR"}


@pytest.mark.parametrize(("most", "needed"), [(6_000, 6_750), (8_000, 9_000), (9_000, 10_125)])
def test_a_bid_that_loses_holds_nothing_but_must_be_payable(most, needed):
    state = after(HELD, bid(A, 8_000))

    with pytest.raises(InsufficientFunds):
        decide(HELD, state, bid(B, most, by=bidder(needed - 1)))
    decision = decide(HELD, state, bid(B, most, by=bidder(needed)))

    leads = most > 8_000
    assert (decision.release, decision.hold) == ((Hold(A, 9_000), Hold(B, needed)) if leads else (None, None))


@pytest.mark.parametrize(("price", "bps", "share"), [(8_750, 1_250, 1_093), (8_750, 1_000, 875), (6_100, 1_250, 762)])
def test_shares_are_rounded_down(price, bps, share):
    assert Charge.of(price, premium_bps=bps, fee_bps=bps) == Charge(price, share, share)


def test_nobody_bids_before_it_opens_or_from_the_end_on():
    of = terms()
    with pytest.raises(NotOpen) as refused:
        decide(of, opening(of), bid(A, 1_000, -0.001))
    assert refused.value.data == {"opens_at": of.opens_at.isoformat()}
    decide(of, opening(of), bid(A, 1_000, 0))
    decide(of, opening(of), bid(A, 1_000, 3 * HOUR - 0.001))
    with pytest.raises(NotOpen):
        decide(of, opening(of), bid(A, 1_000, 3 * HOUR))
    with pytest.raises(NotOpen):
        decide(of, opening(of), buy_now(A, 3 * HOUR))


@pytest.mark.parametrize("ask", [lambda by: bid(A, 1_000, by=by), lambda by: buy_now(A, by=by)])
def test_neither_the_sellers_own_people_nor_the_suspended_bid(ask):
    of = terms(buy_now_minor=5_000)

    with pytest.raises(OwnLot):
        decide(of, opening(of), ask(bidder(is_linked=True)))
    with pytest.raises(Suspended):
        decide(of, opening(of), ask(bidder(is_suspended=True)))


def test_the_first_bid_is_at_least_the_start():
    of = terms()

    with pytest.raises(BidTooLow) as refused:
        decide(of, opening(of), bid(A, 999))
    assert refused.value.data["min_next_minor"] == 1_000


@pytest.mark.parametrize("most", [1_999, 2_000])
def test_a_leader_bids_more_than_before_or_not_at_all(most):
    of = terms()
    state = after(of, bid(A, 2_000))

    with pytest.raises(BidNotHigher) as refused:
        decide(of, state, bid(A, most))
    assert refused.value.data == {"max_minor": 2_000, "currency": "EUR"}
    assert decide(of, state, bid(A, 2_001)).state.price_minor == 1_000  # less than a step will do


def test_a_raise_that_meets_the_reserve_jumps_to_it():
    of = terms(reserve_minor=3_000)

    assert after(of, bid(A, 2_000), bid(A, 2_999)).price_minor == 1_000
    assert after(of, bid(A, 2_000), bid(A, 3_000)).price_minor == 3_000
    assert after(of, bid(A, 2_000), bid(B, 2_900), bid(B, 5_000)).price_minor == 3_000
    assert after(of, bid(A, 5_000), bid(B, 4_000), bid(A, 6_000)).price_minor == 4_100  # past it, nothing jumps


def test_the_best_of_the_others_is_kept():
    of = terms()
    bids = [bid(A, 2_000), bid(B, 1_500), bid(A, 2_500), bid(B, 2_500), bid(C, 4_000), bid(A, 4_500)]

    bests = [decision.state.best_other_max_minor for decision in play(of, bids)[1]]

    assert bests == [0, 1_500, 1_500, 2_500, 2_500, 4_000]


def test_no_reserve_and_a_reserve_of_zero_are_met_by_any_bid_and_one_above_by_none_below():
    for reserve, end in [(None, SOLD), (0, SOLD), (1_000, SOLD), (2_001, UNSOLD)]:
        of = terms(reserve_minor=reserve)
        assert after(of, bid(A, 2_000), close()).state == end, reserve
    assert reserve_met(terms(reserve_minor=0), opening(terms()))


def test_unsold_is_released():
    of = terms(reserve_minor=3_000, premium_bps=1_000)

    unsold = play(of, [bid(A, 2_000), close()])[1][-1]

    assert (unsold.state.state, unsold.release, unsold.capture) == (UNSOLD, Hold(A, 2_200), None)
    assert after(of, close()).state == UNSOLD
    assert after(terms(), close()).state == UNSOLD


def test_it_is_closed_at_its_end_once():
    of = terms()
    with pytest.raises(StillOpen) as refused:
        decide(of, opening(of), close(3 * HOUR - 0.001))
    assert refused.value.data == {"ends_at": at(3 * HOUR).isoformat()}
    sold = after(of, bid(A, 2_000), close())

    repeat = decide(of, sold, close())

    assert (repeat.state, repeat.capture, repeat.release) == (sold, None, None)


def test_a_moved_end_is_the_end_of_everything():
    of = terms(window_s=180, extension_s=180)
    state = after(of, bid(A, 2_000, 3 * HOUR - 1))

    with pytest.raises(StillOpen):
        decide(of, state, close(3 * HOUR))
    assert decide(of, state, bid(B, 3_000, 3 * HOUR)).state.leader == B


@pytest.mark.parametrize("ask", [bid(B, 9_000), buy_now(B)])
@pytest.mark.parametrize(
    ("ended", "refusal"), [([bid(A, 2_000), close()], Sold), ([close()], NotOpen), ([cancel()], CalledOff)]
)
def test_nothing_is_bid_on_what_has_ended_even_if_it_was_received_before(ask, ended, refusal):
    of = terms(buy_now_minor=9_000)

    with pytest.raises(refusal):
        decide(of, after(of, *ended), ask)


def test_calling_off_releases_and_is_final():
    of = terms(premium_bps=1_000)
    cancelled = play(of, [bid(A, 2_000), cancel()])[1][-1]

    assert (cancelled.state.state, cancelled.release, cancelled.capture) == (CANCELLED, Hold(A, 2_200), None)
    for repeat in (cancel(), close()):
        again = decide(of, cancelled.state, repeat)
        assert (again.state, again.release, again.capture) == (cancelled.state, None, None)
    for ended in ([bid(A, 2_000), close()], [close()]):
        with pytest.raises(WrongState):
            decide(of, after(of, *ended), cancel())


def test_buy_now_ends_the_lot():
    of = terms(reserve_minor=5_000, buy_now_minor=6_000, premium_bps=1_000, fee_bps=500)
    state = after(of, bid(A, 2_000))

    bought = decide(of, state, buy_now(B, by=bidder(6_600)))

    assert (bought.release, bought.hold) == (Hold(A, 2_200), Hold(B, 6_600))
    assert bought.capture == Capture(Hold(B, 6_600), Charge(6_000, 600, 300))
    assert bought.capture.released_minor == 0
    assert (bought.state.state, bought.state.leader, bought.state.price_minor, bought.state.seq) == (SOLD, B, 6_000, 2)
    assert bought.state.best_other_max_minor == 2_000
    assert (bought.bid.answer, bought.bid.max_minor, bought.bid.price_after_minor) == ("bought", 6_000, 6_000)
    assert hold_of(of, bought.state) is None
    with pytest.raises(InsufficientFunds):
        decide(of, state, buy_now(B, by=bidder(6_599)))


def test_a_leader_who_buys_now_needs_the_difference_only():
    of = terms(reserve_minor=5_000, buy_now_minor=6_000, premium_bps=1_000)
    state = after(of, bid(B, 1_000), bid(A, 2_000))

    bought = decide(of, state, buy_now(A, by=bidder(4_400)))

    assert (bought.release, bought.hold) == (Hold(A, 2_200), Hold(A, 6_600))
    assert bought.state.best_other_max_minor == 1_000
    with pytest.raises(InsufficientFunds):
        decide(of, state, buy_now(A, by=bidder(4_399)))


@pytest.mark.parametrize(
    ("reserve", "buy_at", "bids", "offered"),
    [
        (None, None, [], False),
        (None, 5_000, [], True),
        (None, 5_000, [1_000], False),
        (3_000, 5_000, [], True),
        (3_000, 5_000, [2_999], True),
        (3_000, 5_000, [3_000], False),
        (0, 5_000, [], True),
        (0, 5_000, [1_000], False),
        (3_000, 1_000, [1_000], False),  # at the price that was reached: no such terms are let in
    ],
)
def test_when_it_can_be_bought_at_once(reserve, buy_at, bids, offered):
    of = terms(reserve_minor=reserve, buy_now_minor=buy_at)
    state = after(of, *(bid(A, most) for most in bids))

    assert buy_now_offered(of, state) is offered
    if not offered:
        with pytest.raises(BuyNowNotOffered):
            decide(of, state, buy_now(B))


def test_what_has_ended_is_not_offered_at_once():
    of = terms(buy_now_minor=5_000)

    assert not buy_now_offered(of, after(of, close()))


def test_a_maximum_over_buy_now_is_a_bid_like_others():
    of = terms(reserve_minor=3_000, buy_now_minor=5_000)

    state = after(of, bid(A, 6_000))

    assert (state.state, state.price_minor) == ("open", 3_000)


def test_a_form_asks_again_above_ten_times_the_next_bid():
    of = terms()

    assert [asks_again(min_next(of, opening(of)), most) for most in (10_000, 10_001)] == [False, True]
    assert [asks_again(min_next(of, after(of, bid(A, 1_000))), most) for most in (11_000, 11_001)] == [False, True]


@pytest.mark.parametrize("premium_bps", [0, 1, 1_250, 3_333, 10_000])
@pytest.mark.parametrize(
    "steps", [TABLE, by_steps_of(1), by_steps_of(MINOR_MAX // 2), (Step(0, MINOR_MAX), Step(100, 1))]
)
def test_the_next_bid_never_overflows(premium_bps, steps):
    of = terms(start_minor=150, steps=steps, premium_bps=premium_bps)
    most = bid_max(of)

    assert fits(of, most)
    assert not fits(of, most + 1)
    state = after(of, bid(A, most))
    assert hold_of(of, state).amount_minor <= MINOR_MAX
    with pytest.raises(BidTooHigh) as refused:
        decide(of, opening(of), bid(A, most + 1))
    assert refused.value.data == {"max_minor": most, "currency": "EUR"}


def test_some_terms_leave_no_bid():
    assert bid_max(terms(steps=by_steps_of(MINOR_MAX + 1))) == 0
    assert bid_max(terms(steps=by_steps_of(MINOR_MAX))) == 0


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"steps": ()}, "bid steps"),
        ({"start_minor": 0}, "above zero"),
        ({"closes_at": at(0)}, "opens before"),
        ({"hard_end": at(3 * HOUR - 1)}, "opens before"),
        ({"window_s": -1}, "below zero"),
        ({"extension_s": -1}, "below zero"),
        ({"reserve_minor": -1}, "reserve"),
        ({"buy_now_minor": 999}, "at least the first bid"),
        ({"buy_now_minor": 2_999, "reserve_minor": 3_000}, "at least the first bid"),
        ({"start_minor": MINOR_MAX}, "one payment"),
        ({"reserve_minor": MINOR_MAX - 99}, "one payment"),
        ({"buy_now_minor": MINOR_MAX - 99}, "one payment"),
    ],
)
def test_what_makes_no_auction(changed, why):
    assert why in (check_english_terms(terms(**changed)) or "")


@pytest.mark.parametrize(
    "changed",
    [{}, {"reserve_minor": 0}, {"buy_now_minor": 3_000, "reserve_minor": 3_000}, {"buy_now_minor": MINOR_MAX - 100},
     {"hard_end": at(3 * HOUR)}],
)  # fmt: skip
def test_what_makes_an_auction(changed):
    assert check_english_terms(terms(**changed)) is None
