"""Whom an unsold or voided lot is offered to."""

from __future__ import annotations

import datetime as dt

from auctions.english.second_chance import SecondChance, after_unsold, after_void
from auctions.english.tests.examples import HOUR, A, B, C, after, at, bid, cancel, close, play, terms

END = at(3 * HOUR)
DAY = dt.timedelta(hours=24)


def test_an_unsold_lot_is_offered_to_its_leader_at_the_reserve():
    of = terms(reserve_minor=3_000)

    assert after_unsold(of, after(of, bid(A, 2_000), bid(B, 2_500), close()), END) == SecondChance(B, 3_000, END + DAY)
    assert after_unsold(of, after(of, close()), END) is None


def test_what_was_sold_or_called_off_is_not():
    of = terms(reserve_minor=3_000)

    for commands in ([bid(A, 3_000), close()], [bid(A, 2_000), cancel()], [bid(A, 2_000)]):
        assert after_unsold(of, after(of, *commands), END) is None


def log_of(*bids):
    return [decision.bid for decision in play(terms(), bids)[1]]


def test_a_voided_sale_goes_to_the_underbidder_at_their_own_best():
    log = log_of(bid(A, 2_000), bid(B, 3_000), bid(A, 3_500), bid(C, 5_000), bid(C, 6_000))

    assert after_void(log, C, END) == SecondChance(A, 3_500, END + DAY)


def test_of_equal_underbidders_the_earlier_is_asked():
    log = log_of(bid(A, 2_000), bid(B, 2_000), bid(C, 3_000))

    assert after_void(log, C, END) == SecondChance(A, 2_000, END + DAY)


def test_nobody_is_asked_when_nobody_else_bid():
    assert after_void(log_of(bid(A, 2_000), bid(A, 3_000)), A, END) is None
