"""The staircase as numbers: widths, words and the marker."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rallies.pricing import PriceTier
from rallies.stairs import NARROWEST, Stairs, draw


def stairs(*counts: int, level: int = 0, count: int = 0, first_minor: int = 10_000) -> Stairs:
    tiers = [PriceTier(from_count, first_minor - 500 * number) for number, from_count in enumerate(counts)]
    return draw(tiers, "EUR", {"level": level, "count": count})


def number(percent: str) -> float:
    return float(percent.removesuffix("%"))


def widths(drawn: Stairs) -> list[float]:
    return [number(step.width) for step in drawn.steps]


def test_steps_are_as_wide_as_the_crowd_they_take() -> None:
    drawn = stairs(1, 25, 50, 100)

    assert [step.need for step in drawn.steps] == [25, 25, 50, 34]  # the last has no end: the others' average
    assert widths(drawn) == [18.66, 18.66, 37.31, 25.37]


def test_a_step_that_would_be_too_narrow_can_be_seen_and_the_others_stay_in_proportion() -> None:
    drawn = stairs(1, 10, 1_000, 2_000)

    narrow, large, larger, last = widths(drawn)
    assert narrow == NARROWEST
    assert large / larger == pytest.approx(990 / 1_000, abs=0.01)
    assert last / larger == pytest.approx(667 / 1_000, abs=0.01)


@pytest.mark.parametrize(
    ("level", "count", "expected"),
    [
        (0, 0, 0.0),
        (0, 10, 16.67),
        (0, 35, 33.33),  # fans with a limit are counted, and do not make the price fall
        (1, 20, 33.33),
        (1, 30, 50.0),
        (2, 40, 66.67),
        (2, 50, 83.33),
        (2, 70, 100.0),  # beyond the last step, which has no end
    ],
)
def test_the_marker_stands_where_the_crowd_is(level: int, count: int, expected: float) -> None:
    drawn = stairs(1, 20, 40, level=level, count=count)

    assert widths(drawn) == [33.33, 33.33, 33.33]
    assert number(drawn.marker_x) == expected


def test_words_that_do_not_fit_beside_the_others_stand_nowhere() -> None:
    drawn = stairs(1, 10, 20, 30, 1_000, 2_000, level=4, count=1_000)

    words = {step.from_count: step.words for step in drawn.steps}
    assert words[1_000] == words[2_000] == "phone"
    assert "" in words.values()


def test_a_single_price_is_one_step() -> None:
    assert widths(stairs(1, count=3)) == [100.0]
    assert widths(stairs(5)) == [100.0]


tiers_of_any: Any = st.lists(st.integers(1, 10_000_000), min_size=1, max_size=12, unique=True).map(sorted)


@given(tiers_of_any, st.integers(0, 10_000_000), st.data())
def test_the_steps_fill_the_picture_and_the_marker_is_on_its_own(counts: list[int], count: int, data: Any) -> None:
    level = data.draw(st.integers(0, len(counts) - 1))
    drawn = stairs(*counts, level=level, count=count)

    assert sum(widths(drawn)) == pytest.approx(100, abs=0.1)
    assert min(widths(drawn)) >= min(NARROWEST, 50 / len(counts)) - 0.01
    step = drawn.steps[level]
    assert number(step.x) - 0.02 <= number(drawn.marker_x) <= number(step.x) + number(step.width) + 0.02
