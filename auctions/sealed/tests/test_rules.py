"""Sealed bids: placing and changing them, and the one price that they clear at."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auctions.charges import Hold
from auctions.english.tests.examples import HOUR, OPENS, A, at, bidder, new_id
from auctions.errors import BidTooHigh, MoreThanSupply, OwnLot, Suspended
from auctions.sealed.rules import PlaceSealedBid, SealedBid, SealedTerms, clear, hold_of, place, settle
from core.errors import Invalid
from core.money import MINOR_MAX
from ledger.errors import InsufficientFunds
from sales.errors import NotOpen


def terms(**changed: Any) -> SealedTerms:
    usual: dict[str, Any] = {
        "currency": "EUR", "supply": 10, "reserve_minor": 20, "opens_at": OPENS, "closes_at": at(HOUR), "premium_bps": 0,
        "fee_bps": 0,
    }  # fmt: skip
    return SealedTerms(**(usual | changed))


def bids_of(*rows):
    """Quantity and limit of each, in the order they came."""
    return [SealedBid(UUID(int=seq), UUID(int=1_000 + seq), *row, seq) for seq, row in enumerate(rows, 1)]


FOUR = bids_of((4, 50), (3, 45), (5, 40), (6, 30))


@pytest.mark.parametrize(
    ("supply", "bids", "units", "price"),
    [
        (10, FOUR, [4, 3, 3, 0], 40),
        (12, FOUR, [4, 3, 5, 0], 30),
        (20, FOUR, [4, 3, 5, 6], 20),
        (18, FOUR, [4, 3, 5, 6], 20),
        (17, FOUR, [4, 3, 5, 5], 30),
        (20, bids_of((4, 50), (3, 45), (5, 40), (6, 30), (9, 19)), [4, 3, 5, 6, 0], 20),  # under the reserve: no part
        (3, bids_of((1, 50), (1, 50), (1, 50), (1, 50)), [1, 1, 1, 0], 50),  # equal fractions: the earlier
        (10, bids_of((3, 50), (6, 50), (6, 50)), [2, 4, 4], 50),
        (7, bids_of((1, 50), (5, 50), (4, 50)), [1, 3, 3], 50),  # 0.7, 3.5, 2.8: the largest fractions
        (1, bids_of((1, 70), (1, 90), (1, 80)), [0, 1, 0], 80),
        (1, bids_of((1, 90), (1, 90)), [1, 0], 90),
        (1, bids_of((1, 90)), [1], 20),
        (1, bids_of((1, 90), (1, 19)), [1, 0], 20),
        (1, bids_of((1, 90), (1, 20)), [1, 0], 20),
        (1, bids_of((1, 19)), [0], 20),
        (1, [], [], 20),
    ],
)
def test_clearing(supply, bids, units, price):
    clearing = clear(supply, 20, bids)

    assert [clearing.allocations[bid.id] for bid in bids] == units
    assert clearing.price_minor == price
    assert clearing.refused == {
        bid.id: bid.quantity - given for bid, given in zip(bids, units, strict=True) if given < bid.quantity
    }


BIDS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), max_size=12).map(lambda rows: bids_of(*rows))


@given(st.integers(1, 40), st.integers(0, 8), BIDS)
def test_what_every_clearing_keeps(supply, reserve, bids):
    clearing = clear(supply, reserve, bids)
    price, units = clearing.price_minor, clearing.allocations
    takes_part = [bid for bid in bids if bid.limit_minor >= reserve]
    refused = [bid for bid in takes_part if units[bid.id] < bid.quantity]

    assert set(units) == {bid.id for bid in bids}
    assert all(0 <= units[bid.id] <= bid.quantity for bid in bids)
    assert sum(units.values()) == min(supply, sum(bid.quantity for bid in takes_part))  # nothing wanted is left
    assert all(units[bid.id] == 0 for bid in bids if bid.limit_minor < reserve)
    assert all(bid.limit_minor >= price for bid in bids if units[bid.id])  # nobody pays above their limit
    assert price == max((bid.limit_minor for bid in refused), default=reserve)
    assert all(units[bid.id] == bid.quantity for bid in takes_part if bid.limit_minor > price)
    assert all(units[bid.id] == 0 for bid in takes_part if bid.limit_minor < price)


@given(st.integers(1, 40), st.integers(0, 8), BIDS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(supply, reserve, bids, chance):
    shuffled = list(bids)
    chance.shuffle(shuffled)

    assert clear(supply, reserve, shuffled) == clear(supply, reserve, bids)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=12), st.integers(0, 8))
def test_one_unit_goes_to_the_highest_at_the_second_price(limits, reserve):
    bids = bids_of(*((1, limit) for limit in limits))
    clearing = clear(1, reserve, bids)
    best = sorted((limit for limit in limits if limit >= reserve), reverse=True)

    winners = [bid for bid in bids if clearing.allocations[bid.id]]
    assert [bid.seq for bid in winners] == ([limits.index(best[0]) + 1] if best else [])
    assert clearing.price_minor == (best[1] if len(best) > 1 else reserve)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=10), st.data())
def test_equals_share_pro_rata(quantities, data):
    asked = sum(quantities)
    left = data.draw(st.integers(1, asked))
    bids = bids_of(*((quantity, 50) for quantity in quantities))

    units = clear(left, 20, bids).allocations

    exact = {bid.id: Fraction(left * bid.quantity, asked) for bid in bids}
    more = {bid.id for bid in bids if units[bid.id] > exact[bid.id] // 1}
    assert all(units[bid.id] - exact[bid.id] // 1 in (0, 1) for bid in bids)
    # Whoever was rounded up has a larger fraction than who was not, or the same and was earlier.
    rank = {bid.id: (-(exact[bid.id] % 1), bid.seq) for bid in bids}
    assert all(rank[up] < rank[bid.id] for up in more for bid in bids if bid.id not in more)


def test_a_bidder_for_one_unit_gains_nothing_by_another_limit():
    """With one unit each, no limit does better than one's worth, whatever the others bid."""
    chance = random.Random(7)
    for _ in range(300):
        supply, worth = chance.randint(1, 4), chance.randint(1, 12)
        others = [(1, chance.randint(1, 12)) for _ in range(chance.randint(0, 6))]

        def gain(limit, supply=supply, worth=worth, others=others):
            clearing = clear(supply, 3, bids_of(*others, (1, limit)))
            return (worth - clearing.price_minor) * clearing.allocations[UUID(int=len(others) + 1)]

        assert all(gain(limit) <= gain(worth) for limit in range(1, 14))


def ask(quantity=2, limit=100, when=60, fan=A, by=None):
    return PlaceSealedBid(new_id(), fan, quantity, limit, at(when), by or bidder())


def test_a_bid_holds_its_limit_and_can_be_raised_and_lowered():
    of = terms(premium_bps=1_250)

    first = place(of, None, ask(2, 100, by=bidder(225)), seq=1)
    raised = place(of, first.bid, ask(4, 100, by=bidder(225)), seq=5)
    lowered = place(of, raised.bid, ask(1, 90, by=bidder(0)), seq=6)
    same = place(of, lowered.bid, ask(1, 90, by=bidder(0)), seq=9)

    assert (first.release, first.hold) == (None, Hold(A, 225))
    assert (raised.release, raised.hold) == (Hold(A, 225), Hold(A, 450))
    assert (lowered.release, lowered.hold) == (Hold(A, 450), Hold(A, 101))
    assert (same.release, same.hold) == (None, None)
    assert {placed.bid.id for placed in (first, raised, lowered, same)} == {first.bid.id}
    assert (raised.bid.quantity, raised.bid.limit_minor, raised.bid.seq) == (4, 100, 5)


def test_a_bid_must_be_payable():
    of = terms(premium_bps=1_000)
    with pytest.raises(InsufficientFunds):
        place(of, None, ask(2, 100, by=bidder(219)), seq=1)
    mine = place(of, None, ask(2, 100, by=bidder(220)), seq=1).bid
    with pytest.raises(InsufficientFunds) as refused:
        place(of, mine, ask(3, 100, by=bidder(109)), seq=2)
    assert refused.value.data == {"available_minor": 329, "needed_minor": 330, "currency": "EUR"}


def test_bids_are_taken_from_the_opening_to_the_close():
    of = terms()
    for when in (0, HOUR - 0.001):
        place(of, None, ask(when=when), seq=1)
    for when in (-0.001, HOUR):
        with pytest.raises(NotOpen):
            place(of, None, ask(when=when), seq=1)


def test_who_may_not_bid_and_what_cannot_be_asked_for():
    of = terms()
    with pytest.raises(OwnLot):
        place(of, None, ask(by=bidder(is_linked=True)), seq=1)
    with pytest.raises(Suspended):
        place(of, None, ask(by=bidder(is_suspended=True)), seq=1)
    with pytest.raises(MoreThanSupply) as more:
        place(of, None, ask(quantity=11), seq=1)
    assert more.value.data == {"supply": 10}
    for quantity, limit in [(0, 100), (-1, 100), (1, 0), (1, -5), (-1, -5)]:
        with pytest.raises(Invalid):
            place(of, None, ask(quantity, limit), seq=1)
    place(of, None, ask(quantity=10, limit=1), seq=1)  # under the reserve: it is not told


@pytest.mark.parametrize(("quantity", "premium_bps"), [(1, 0), (3, 0), (7, 1_250), (10, 10_000)])
def test_a_bid_is_at_most_what_one_payment_can_be(quantity, premium_bps):
    of = terms(premium_bps=premium_bps)
    with pytest.raises(BidTooHigh) as refused:
        place(of, None, ask(quantity, MINOR_MAX), seq=1) if quantity > 1 else place(
            of, None, ask(1, MINOR_MAX + 1), seq=1
        )
    most = refused.value.data["max_minor"]

    assert place(of, None, ask(quantity, most), seq=1).hold.amount_minor <= MINOR_MAX
    with pytest.raises(BidTooHigh):
        place(of, None, ask(quantity, most + 1), seq=1)


@given(st.integers(1, 40), st.integers(0, 8), BIDS, st.integers(0, 10_000), st.integers(0, 10_000))
def test_everybody_pays_one_price_and_has_the_rest_back(supply, reserve, bids, premium_bps, fee_bps):
    of = terms(supply=supply, reserve_minor=reserve, premium_bps=premium_bps, fee_bps=fee_bps)
    clearing = clear(supply, reserve, bids)

    captures = settle(of, clearing, bids)

    assert set(captures) == {bid_id for bid_id, units in clearing.allocations.items() if units}
    for bid in bids:
        if (capture := captures.get(bid.id)) is None:
            continue
        charge = capture.charge
        assert capture.hold == hold_of(of, bid)
        assert charge.price_minor == clearing.price_minor * clearing.allocations[bid.id]
        assert capture.released_minor >= 0
        assert charge.seller_minor + charge.house_minor == charge.paid_minor
        assert capture.released_minor + charge.paid_minor == capture.hold.amount_minor


def test_settled_with_premium_and_fee():
    of = terms(supply=10, premium_bps=1_250, fee_bps=1_000)
    captures = settle(of, clear(10, 20, FOUR), FOUR)

    assert [captures[bid.id].charge.paid_minor for bid in FOUR[:3]] == [180, 135, 135]
    assert [captures[bid.id].released_minor for bid in FOUR[:3]] == [45, 16, 90]
    assert FOUR[3].id not in captures
