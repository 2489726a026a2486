from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sales.stock import BUCKETS_MAX, UNITS_PER_BUCKET_MIN, Stock, bucket_count, home_bucket, split_units

buckets = st.lists(st.integers(0, 60), min_size=1, max_size=BUCKETS_MAX)


@given(buckets, st.integers(0, 15), st.lists(st.integers(-20, 20).filter(bool), max_size=20))
def test_units_are_neither_lost_nor_made(units, home, moves):
    before = dict(enumerate(units))
    stock = Stock(before, home=home % len(units))
    left = sum(units)

    for move in moves:
        if move < 0:
            stock.give_back(-move)
        elif move <= left:
            stock.take(move)
        else:
            continue
        left -= move
        assert stock.units_left == left

    after = {number: before[number] + stock.changes.get(number, 0) for number in before}
    assert sum(after.values()) == left
    assert min(after.values()) >= 0


@given(buckets.filter(any), st.integers(0, 15))
def test_a_process_keeps_to_its_home_until_that_is_dry(units, home):
    home %= len(units)
    stock = Stock(dict(enumerate(units)), home=home)

    if units[home]:
        stock.take(units[home])
        assert set(stock.changes) == {home}
    else:
        following = [(home + step) % len(units) for step in range(1, len(units))]
        donor = next(number for number in following if units[number])
        moved = (units[donor] + 1) // 2
        stock.take(1)
        assert stock.changes == {donor: -moved, home: moved - 1}


def test_a_unit_given_back_and_sold_again_is_still_written():
    stock = Stock({0: 0, 1: 5}, home=0)
    stock.give_back(1)
    stock.take(1)

    assert stock.changes == {0: 0}


@given(st.integers(1, 10_000_000))
def test_buckets_are_even_and_none_starts_almost_empty(units_total):
    count = bucket_count(units_total)
    shares = split_units(units_total, count)

    assert 1 <= count <= BUCKETS_MAX
    assert sum(shares) == units_total
    assert max(shares) - min(shares) <= 1
    assert count == 1 or min(shares) >= UNITS_PER_BUCKET_MIN


@given(st.integers(1, BUCKETS_MAX))
def test_homes_lie_apart(count):
    homes = [home_bucket(slot, count) for slot in range(64)]

    assert set(homes) <= set(range(count))
    assert len(set(homes[:2])) == min(2, count)
    assert [home_bucket(slot, 16) for slot in range(8)] == [0, 8, 4, 12, 2, 10, 6, 14]
