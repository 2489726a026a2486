"""Many commands at once: their order, and how holds are netted."""

from __future__ import annotations

from uuid import UUID

from msgspec.structs import replace

from auctions.charges import Capture, Charge, Hold
from auctions.english.batches import decide_batch, replay
from auctions.english.lot import opening
from auctions.english.rules import decide
from auctions.english.tests.examples import HOUR, A, B, C, after, bid, bidder, buy_now, cancel, close, play, terms
from auctions.english.values import CANCELLED, SOLD, UNSOLD
from auctions.errors import BidNotHigher, BidTooLow, Sold
from ledger.errors import InsufficientFunds
from sales.errors import NotOpen


def test_commands_are_taken_in_the_order_they_were_received_and_answered_in_the_order_they_were_given():
    of = terms()
    late, early, middle = bid(A, 1_050, 30), bid(B, 1_000, 10), bid(C, 2_000, 20)

    batch = decide_batch(of, opening(of), [late, early, middle])

    assert [line.fan_id for line in batch.bids] == [B, C]
    assert [line.seq for line in batch.bids] == [1, 2]
    assert isinstance(batch.outcomes[0], BidTooLow)
    assert [outcome.bid.fan_id for outcome in batch.outcomes[1:]] == [B, C]
    assert batch.state == batch.outcomes[2].state


def test_of_two_received_at_once_the_lower_id_comes_first():
    of = terms()
    first, second = replace(bid(B, 2_000), id=UUID(int=1)), replace(bid(A, 2_000), id=UUID(int=2))

    for commands in ([first, second], [second, first]):
        assert decide_batch(of, opening(of), commands).state.leader == B


def test_nobody_who_led_only_within_the_batch_has_a_hold():
    of = terms(premium_bps=1_000)
    state = after(of, bid(A, 1_000))

    batch = decide_batch(of, state, [bid(B, 2_000, 61), bid(C, 3_000, 62), bid(B, 4_000, 63)])

    assert (batch.release, batch.hold, batch.capture) == (Hold(A, 1_100), Hold(B, 4_400), None)


def test_who_led_before_and_leads_again_by_as_much_keeps_the_hold():
    of = terms(reserve_minor=9_000, buy_now_minor=9_000, premium_bps=1_000)
    state = after(of, bid(A, 2_000))

    lost = decide_batch(of, state, [bid(B, 1_500, 61), bid(C, 1_000, 62)])
    raised = decide_batch(of, state, [bid(B, 2_500, 61), bid(A, 3_000, 62)])

    assert (lost.release, lost.hold) == (None, None)
    assert (raised.release, raised.hold) == (Hold(A, 2_200), Hold(A, 3_300))


def test_money_that_is_released_in_the_batch_can_be_bid_again_and_money_that_is_held_cannot():
    of = terms()
    state = after(of, bid(A, 2_000))

    outbid_then_back = [bid(B, 3_000, 61), bid(A, 3_500, 62, by=bidder(1_500))]
    assert decide_batch(of, state, outbid_then_back).state.leader == A
    assert isinstance(
        decide_batch(of, state, [bid(B, 3_000, 61), bid(A, 3_501, 62, by=bidder(1_500))]).outcomes[1], InsufficientFunds
    )
    raised_twice = [bid(A, 3_000, 61, by=bidder(1_500)), bid(A, 3_500, 62, by=bidder(1_500)),
                    bid(A, 3_501, 63, by=bidder(1_500))]  # fmt: skip
    batch = decide_batch(of, state, raised_twice)
    assert batch.state.leader_max_minor == 3_500
    assert isinstance(batch.outcomes[2], InsufficientFunds)
    assert (batch.release, batch.hold) == (Hold(A, 2_000), Hold(A, 3_500))


def test_a_lot_that_is_bought_in_the_batch():
    of = terms(reserve_minor=5_000, buy_now_minor=6_000, premium_bps=1_000, fee_bps=500)
    state = after(of, bid(A, 1_000))

    batch = decide_batch(of, state, [bid(B, 2_000, 61), buy_now(C, 62), buy_now(A, 63), bid(B, 9_000, 64)])

    assert (batch.release, batch.hold) == (Hold(A, 1_100), Hold(C, 6_600))
    assert batch.capture == Capture(Hold(C, 6_600), Charge(6_000, 600, 300))
    assert [type(outcome) for outcome in batch.outcomes[2:]] == [Sold, Sold]
    assert batch.state.state == SOLD


def test_a_lot_that_ends_in_the_batch():
    of = terms(reserve_minor=2_000)
    state = after(of, bid(A, 1_000))

    sold = decide_batch(of, state, [close(), bid(B, 2_000, 61), bid(C, 3_000, 3 * HOUR - 0.001)])
    same = decide_batch(of, after(of, bid(A, 2_000)), [close()])
    unsold = decide_batch(of, state, [close(), bid(B, 1_100, 61)])
    cancelled = decide_batch(of, state, [bid(B, 1_200, 61), cancel(62)])
    over = decide_batch(of, after(of, close()), [close(), bid(A, 2_000)])

    assert (sold.release, sold.hold, sold.state.state) == (Hold(A, 1_000), Hold(C, 3_000), SOLD)
    assert sold.capture == Capture(Hold(C, 3_000), Charge(2_100, 0, 0))
    assert (same.release, same.hold, same.capture) == (None, None, Capture(Hold(A, 2_000), Charge(2_000, 0, 0)))
    for ended, how in ((unsold, UNSOLD), (cancelled, CANCELLED)):
        assert (ended.release, ended.hold, ended.capture, ended.state.state) == (Hold(A, 1_000), None, None, how)
    assert (over.release, over.hold, over.capture, over.bids) == (None, None, None, [])
    assert isinstance(over.outcomes[1], NotOpen)


def test_a_refusal_changes_nothing_for_the_rest_of_the_batch():
    of = terms()

    batch = decide_batch(of, opening(of), [bid(A, 2_000, 1), bid(A, 1_500, 2), bid(B, 1_100, 3)])

    assert isinstance(batch.outcomes[1], BidNotHigher)
    assert batch.state == after(of, bid(A, 2_000, 1), bid(B, 1_100, 3))


def test_an_empty_batch_is_none():
    state = after(terms(), bid(A, 2_000))

    batch = decide_batch(terms(), state, [])

    assert (batch.state, batch.outcomes, batch.bids, batch.release, batch.hold) == (state, [], [], None, None)


def test_the_log_played_again_is_the_lot_and_the_log():
    of = terms(reserve_minor=5_000, buy_now_minor=6_000, window_s=60, extension_s=90)
    state, decisions = play(of, [bid(A, 1_000), bid(B, 2_000, 3 * HOUR - 20), bid(A, 3_000, 3 * HOUR + 20)])
    bought = decide(of, state, buy_now(C, 3 * HOUR + 30))
    log = [decision.bid for decision in decisions]

    assert replay(of, log) == (state, log)
    assert replay(of, [*log, bought.bid]) == (bought.state, [*log, bought.bid])
    assert replay(of, []) == (opening(of), [])


def test_a_log_that_was_tampered_with_does_not_come_out_the_same():
    of = terms()
    log = [decision.bid for decision in play(of, [bid(A, 1_000), bid(B, 2_000), bid(A, 3_000)])[1]]

    for line, change in [(1, {"max_minor": 1_900}), (1, {"price_after_minor": 1_000}), (2, {"leader_after": B})]:
        changed = [*log[:line], replace(log[line], **change), *log[line + 1 :]]
        assert replay(of, changed) != (replay(of, log)[0], changed)
