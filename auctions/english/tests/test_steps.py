"""The table of bid steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auctions.english.steps import STEPS_MAX, Step, check_steps, parse_steps, step_at
from auctions.english.tests.examples import TABLE
from core.errors import Invalid
from core.money import MINOR_MAX


@pytest.mark.parametrize(
    ("price", "step"),
    [(0, 5), (99, 5), (100, 25), (499, 25), (500, 50), (2_499, 50), (2_500, 100), (9_999, 100), (10_000, 250),
     (249_999, 2_500), (250_000, 5_000), (500_000, 10_000), (MINOR_MAX, 10_000)],
)  # fmt: skip
def test_the_step_is_that_of_the_last_row_at_or_below_the_price(price, step):
    assert step_at(TABLE, price) == step


@given(
    st.lists(st.tuples(st.integers(1, 1_000), st.integers(1, 50)), max_size=8, unique_by=lambda row: row[0]),
    st.integers(0, 1_200),
)
def test_the_step_is_found_as_by_looking_at_every_row(rows, price):
    steps = [Step(0, 7), *(Step(*row) for row in sorted(rows))]

    assert check_steps(steps) is None
    assert step_at(steps, price) == [step.step_minor for step in steps if step.from_minor <= price][-1]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "1 to 20"),
        ([(number, 1) for number in range(STEPS_MAX + 1)], "1 to 20"),
        ([(1, 5)], "price of zero"),
        ([(0, 5), (0, 10)], "higher price"),
        ([(0, 5), (100, 25), (50, 10)], "higher price"),
        ([(0, 0)], "above zero"),
        ([(0, 5), (100, -1)], "above zero"),
        ([(0, MINOR_MAX + 1)], "too large"),
        ([(0, 5), (MINOR_MAX + 1, 5)], "too large"),
    ],
)
def test_what_is_no_table(rows, why):
    assert why in (check_steps([Step(*row) for row in rows]) or "")


@pytest.mark.parametrize("rows", [[(0, 1)], [(0, 100), (50, 1)], [(number, 1) for number in range(STEPS_MAX)]])
def test_what_is_a_table(rows):
    assert check_steps([Step(*row) for row in rows]) is None


@pytest.mark.parametrize(
    ("text", "currency", "rows"),
    [
        ("0:0.05,1:0.25", "EUR", [(0, 5), (100, 25)]),
        (" 0 : 0.05 , 1.50:0.25 ", "EUR", [(0, 5), (150, 25)]),
        ("0:100", "JPY", [(0, 100)]),
    ],
)
def test_a_table_is_read(text, currency, rows):
    assert parse_steps(text, currency) == tuple(Step(*row) for row in rows)


@pytest.mark.parametrize(
    "text", ["", "0", "0:1:2", "0:x", "0:0,05", "1:0.25", "0:0", "0:0.001", "0:1,1:1e2", "0:1,", "0:-1", "0:0.5,0:1"]
)
def test_what_is_no_table_is_refused_with_the_field(text):
    with pytest.raises(Invalid) as refused:
        parse_steps(text, "EUR")
    assert refused.value.data == {"field": "steps"}
