"""The falling price."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auctions.charges import Hold
from auctions.dutch.rules import (
    LAST,
    OWN,
    Claim,
    DutchTerms,
    check_dutch_terms,
    decide_claim,
    ends_at,
    price_at,
    reaches_at,
    settle,
)
from auctions.english.tests.examples import OPENS, A, B, C, at, bidder, new_id
from auctions.errors import OwnLot, PriceNotReached, Suspended
from ledger.errors import InsufficientFunds
from sales.errors import NotOpen


def terms(**changed: Any) -> DutchTerms:
    usual: dict[str, Any] = {
        "currency": "EUR", "start_minor": 10_000, "floor_minor": 4_000, "step_minor": 500, "interval_s": 60, "floor_s": 3_600,
        "opens_at": OPENS, "pays": OWN, "premium_bps": 0, "fee_bps": 0,
    }  # fmt: skip
    return DutchTerms(**(usual | changed))


def claim(fan, when, *, at_most=10_000, quantity=1, by=None):
    return Claim(new_id(), fan, quantity, at_most, at(when), by or bidder())


@pytest.mark.parametrize(
    ("when", "price"),
    [
        (0, 10_000),
        (59.999, 10_000),
        (60, 9_500),
        (719.999, 4_500),
        (720, 4_000),
        (3_600, 4_000),
        (-0.001, 10_000),
        (-999, 10_000),
    ],
)
def test_the_price_at_a_moment(when, price):
    assert price_at(terms(), at(when)) == price


def test_the_price_stops_at_a_floor_that_is_no_whole_step_away():
    assert [price_at(terms(floor_minor=4_100), at(when)) for when in (660, 720, 780)] == [4_500, 4_100, 4_100]


@pytest.mark.parametrize(
    ("at_most", "when"), [(10_000, 0), (12_000, 0), (9_999, 60), (9_500, 60), (9_499, 120), (4_000, 720), (3_999, None)]
)
def test_when_the_price_will_be_low_enough(at_most, when):
    assert reaches_at(terms(), at_most) == (None if when is None else at(when))


FALLING = st.builds(
    lambda floor, above, step, interval: terms(
        floor_minor=floor, start_minor=floor + above, step_minor=step, interval_s=interval
    ),
    st.integers(1, 500), st.integers(1, 500), st.integers(1, 700), st.integers(1, 90),
)  # fmt: skip


@given(FALLING, st.integers(-(10**6), 10**8), st.integers(0, 10**8))
def test_the_price_only_falls_and_stays_between_start_and_floor(of, first_ms, later_ms):
    first, later = (OPENS + dt.timedelta(milliseconds=ms) for ms in (first_ms, first_ms + later_ms))

    assert of.floor_minor <= price_at(of, later) <= price_at(of, first) <= of.start_minor


@given(FALLING, st.integers(0, 1_100))
def test_it_is_reached_then_and_not_a_moment_before(of, at_most):
    when = reaches_at(of, at_most)

    if when is None:
        assert at_most < of.floor_minor
        return
    assert price_at(of, when) <= at_most
    assert when == OPENS or price_at(of, when - dt.timedelta(microseconds=1)) > at_most


def test_a_claim_pays_the_price_of_the_moment_or_is_told_when_it_will_be_low_enough():
    of = terms(premium_bps=1_250)

    claimed = decide_claim(of, claim(A, 60, at_most=9_500, quantity=2))

    assert (claimed.unit_price_minor, claimed.quantity, claimed.hold) == (9_500, 2, Hold(A, 21_375))
    assert decide_claim(of, claim(A, 120, at_most=9_500)).unit_price_minor == 9_000  # better than the bound
    with pytest.raises(PriceNotReached) as refused:
        decide_claim(of, claim(A, 59.999, at_most=9_500))
    assert refused.value.data == {"price_minor": 10_000, "currency": "EUR", "reaches_at": at(60).isoformat()}
    with pytest.raises(PriceNotReached) as refused:
        decide_claim(of, claim(A, 60, at_most=3_999))
    assert refused.value.data["reaches_at"] is None


def test_claims_are_taken_from_the_opening_until_the_floors_time_is_over():
    of = terms()

    assert ends_at(of) == at(720 + 3_600)
    decide_claim(of, claim(A, 0))
    decide_claim(of, claim(A, 4_319.999))
    for when in (-0.001, 4_320):
        with pytest.raises(NotOpen):
            decide_claim(of, claim(A, when))


def test_a_claim_must_be_payable_and_by_somebody_who_may():
    of = terms(premium_bps=1_000)

    decide_claim(of, claim(A, 0, by=bidder(11_000)))
    with pytest.raises(InsufficientFunds):
        decide_claim(of, claim(A, 0, by=bidder(10_999)))
    with pytest.raises(OwnLot):
        decide_claim(of, claim(A, 0, by=bidder(is_linked=True)))
    with pytest.raises(Suspended):
        decide_claim(of, claim(A, 0, by=bidder(is_suspended=True)))


@pytest.mark.parametrize(
    ("pays", "paid", "released"), [(LAST, [7_500] * 3, [1_500, 500, 0]), (OWN, [9_000, 8_000, 7_500], [0, 0, 0])]
)
def test_what_is_paid_at_the_end(pays, paid, released):
    of = terms(pays=pays)
    claims = [decide_claim(of, claim(fan, when)) for fan, when in [(A, 120), (B, 240), (C, 300)]]
    assert [claimed.hold.amount_minor for claimed in claims] == [9_000, 8_000, 7_500]

    for order in (claims, claims[::-1]):
        captures = settle(of, order)
        assert [captures[claimed.claim_id].charge.paid_minor for claimed in claims] == paid
        assert [captures[claimed.claim_id].released_minor for claimed in claims] == released


def test_the_last_price_with_units_premium_and_fee():
    of = terms(pays=LAST, premium_bps=1_250, fee_bps=1_000)
    claims = [decide_claim(of, claim(A, 120, quantity=3)), decide_claim(of, claim(B, 300, quantity=1))]

    first = settle(of, claims)[claims[0].claim_id]

    assert (first.hold, first.charge.price_minor, first.charge.premium_minor) == (Hold(A, 30_375), 22_500, 2_812)
    assert (first.charge.fee_minor, first.released_minor) == (2_250, 5_063)
    assert settle(of, []) == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"floor_minor": 0},
        {"floor_minor": 10_000},
        {"step_minor": 0},
        {"interval_s": 0},
        {"floor_s": 0},
        {"pays": "all"},
    ],
)
def test_what_makes_no_falling_price(changed):
    assert check_dutch_terms(terms(**changed)) is not None
    assert check_dutch_terms(terms()) is None
