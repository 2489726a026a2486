"""The price by properties: against the definition, tried out over every subset of joins that could be meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rallies.pricing import TIERS_MAX, PriceTier, check_tiers, crowds, level_of, reached

THREE = [PriceTier(1, 10_000), PriceTier(3, 8_000), PriceTier(5, 5_200)]


@st.composite
def staircases(draw) -> list[PriceTier]:
    count = draw(st.integers(1, 6))
    froms = [1, *sorted(draw(st.sets(st.integers(2, 25), min_size=count - 1, max_size=count - 1)))]
    prices = sorted(draw(st.sets(st.integers(1, 900), min_size=count, max_size=count)), reverse=True)
    return [PriceTier(*step) for step in zip(froms, prices, strict=True)]


@st.composite
def rallies(draw) -> tuple[list[PriceTier], list[int]]:
    """Tiers, and how many joined at each level."""
    tiers = draw(staircases())
    return tiers, draw(st.lists(st.integers(0, 12), min_size=len(tiers), max_size=len(tiers)))


@given(rallies())
def test_the_price_is_the_lowest_that_enough_accept(rally):
    tiers, counts = rally
    joins = [tiers[level].price_minor for level, count in enumerate(counts) for _ in range(count)]  # the most each pays

    def holds(level: int) -> bool:
        accept = sum(most >= tiers[level].price_minor for most in joins)
        return level == 0 or accept >= tiers[level].from_count

    assert tiers[reached(tiers, counts)].price_minor == min(
        tier.price_minor for level, tier in enumerate(tiers) if holds(level)
    )


@given(rallies(), st.data())
def test_one_more_joiner_never_raises_the_price(rally, data):
    tiers, counts = rally
    more = list(counts)
    more[data.draw(st.integers(0, len(tiers) - 1))] += data.draw(st.integers(1, 9))

    assert reached(tiers, more) >= reached(tiers, counts)


@given(rallies())
def test_those_who_count_for_the_price_all_accept_it(rally):
    tiers, counts = rally
    level = reached(tiers, counts)

    assert crowds(counts)[level] == sum(counts[: level + 1])
    assert all(tiers[other].price_minor >= tiers[level].price_minor for other in range(level + 1))


@given(staircases(), st.integers(1, 1_000))
def test_a_limit_accepts_the_first_tier_at_or_below_it(tiers, limit):
    level = level_of(tiers, limit)

    if level is None:
        assert limit < tiers[-1].price_minor
    else:
        assert tiers[level].price_minor <= limit
        assert all(tier.price_minor > limit for tier in tiers[:level])
    assert level_of(tiers, None) == 0


@pytest.mark.parametrize(
    ("counts", "price_minor"),
    [
        ([0, 0, 0], 10_000),
        ([2, 0, 0], 10_000),
        ([3, 0, 0], 8_000),
        ([5, 0, 0], 5_200),
        ([2, 1, 0], 8_000),  # the one with a limit makes the third who accepts 80.00
        ([1, 1, 0], 10_000),  # one is not enough, so the limit's join waits
        ([1, 0, 4], 5_200),  # 80.00 has one who accepts it, 52.00 has five: the lower tier is reached first
        ([0, 0, 4], 10_000),
    ],
)
def test_three_tiers(counts, price_minor):
    assert THREE[reached(THREE, counts)].price_minor == price_minor


@given(staircases())
def test_a_staircase_is_accepted(tiers):
    assert check_tiers(tiers) is None


@pytest.mark.parametrize(
    "tiers",
    [
        [],
        [PriceTier(2, 100)],
        [PriceTier(1, 100), PriceTier(1, 90)],
        [PriceTier(1, 100), PriceTier(5, 100)],
        [PriceTier(1, 100), PriceTier(5, 110)],
        [PriceTier(1, 100), PriceTier(5, 90), PriceTier(4, 80)],
        [PriceTier(1, 100), PriceTier(5, 0)],
        [PriceTier(n + 1, 1_000 - n) for n in range(TIERS_MAX + 1)],
    ],
)
def test_what_is_no_staircase_is_named(tiers):
    assert str(check_tiers(tiers)).endswith(".")
