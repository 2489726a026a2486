"""The parts of `bench` that decide whether a figure may be believed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from bench import double_taps, rally, rally_report, settling, stampede
from bench.double_taps import FANS, SECOND_TAPS, DoubleTaps, taps
from bench.floors import HotRow
from bench.naive import Naive
from bench.rally import Settling
from bench.servers import Cpu
from bench.stampede import SELLER, Latency, Measured, unknown_to_buyers
from ledger.models import Account
from rallies.models import Join, JoinState
from sales.models import Sale, SaleState
from tests.tools.shop import make_seller
from tests.tools.truth import broken_checks

GOOD = DoubleTaps(
    answers=Counter({"201": FANS, "200": SECOND_TAPS}), joins_per_s=1.0, conflicts=3, joiners=FANS, counted=FANS,
    shown_minor=5_200, final_minor=5_200, prices=1, paid_by=FANS, state="settled",
)  # fmt: skip


def test_so_many_fans_tap_twice_and_every_other_of_them_with_the_same_key():
    made = taps()

    per_fan = Counter(tap.fan for tap in made)
    assert (len(made), len(per_fan), Counter(per_fan.values())) == (2_500, 2_000, {1: 1_500, 2: 500})
    twice = [(first, second) for first, second in pairwise(made) if first.fan == second.fan]
    assert len(twice) == 500  # each right behind the first
    assert sum(first.key == second.key for first, second in twice) == 250


def test_the_stress_run_passes_only_when_everything_is_exact():
    assert double_taps.audit(GOOD) == []
    assert double_taps.audit(replace(GOOD, joiners=FANS + 1, double_joins=1)) == [
        "joiners in the database: 2001, should be 2000",
        "double joins: 1, should be 0",
    ]
    assert len(double_taps.audit(replace(GOOD, final_minor=6_500, prices=2, drift_minor=1))) == 3
    assert len(double_taps.audit(replace(GOOD, answers=Counter({"201": FANS + 1, "200": SECOND_TAPS - 1})))) == 1


@pytest.mark.parametrize(
    ("stored", "told", "unclear", "problem"),
    [
        (["a", "b"], ["a", "b"], 0, None),
        (["a", "b"], ["a"], 1, None),  # whoever got no answer may be in
        (["a", "b"], ["a"], 0, "1 joins are in the database that no buyer was told of"),
        (["a"], ["a", "b"], 0, "1 accepted joins are not in the database exactly once, b for one"),
        (["a", "a"], ["a"], 0, "1 accepted joins are not in the database exactly once, a for one"),
        (["a"], ["a", "a"], 0, "1 accepted joins were given to more than one buyer"),
    ],
)
def test_answers_are_held_against_the_database(stored, told, unclear, problem):
    problems = unknown_to_buyers(Counter(stored), told, unclear, thing="join")

    assert problems == ([problem] if problem else [])


SETTLING = Settling(2_000, 100_000, row_by_row_s=20, small_s=0.2, small_floor_s=0.1, large_s=12, large_floor_s=3)


def test_ratios_of_settling():
    assert SETTLING.times_row_by_row == pytest.approx(100)
    assert SETTLING.share_of_floor == pytest.approx(25)
    assert SETTLING.linearity == pytest.approx(1.2)


def test_a_run_that_broke_a_promise_says_so_in_both_reports():
    two, one = rally.format_of(20_000).scenarios
    nothing = Latency(0, 0, 0)
    measured = Measured(
        5_000, 0, nothing, nothing, Counter({"201": 20_000}), 7, 60, 200, Cpu(1, 1, 0, 3), elapsed_s=4,
    )  # fmt: skip
    joins = stampede.Findings(
        {two: [measured], one: [measured]}, [HotRow(100, 10, 40)], {2: [20_000.0], 1: [10_000.0]}, checks=175
    )
    findings = rally.Findings(joins, [replace(GOOD, problems=["double taps: one too many"])], [SETTLING])

    text, report = rally_report.as_text(findings), json.loads(rally_report.as_json(findings))

    assert text.endswith("BROKEN PROMISES\ndouble taps: one too many")
    assert (report["holds"], report["problems"]) == (False, ["double taps: one too many"])
    assert report["double_taps"][0]["answers"] == {"201": 2_000, "200": 500}
    assert report["rallies"][0]["conflicts"]["median"] == 7
    met = {aim["sentence"]: aim["is_met"] for aim in report["aims"]}
    assert met["joins, 2 processes: times the one hot row"] is True  # 50 of 20
    assert met["joins, 2 processes: share of the empty endpoint, %"] is False  # 25 of 60


def test_the_naive_rally_is_shown_beside_the_product():
    text = rally_report.comparison_as_text([(GOOD, Naive(2_500, 2_462, 462, 4, 0))])

    shown = [line.split() for line in text.splitlines()]
    assert ["double", "joins", "0", "462"] in shown
    assert ["different", "prices", "1", "4"] in shown
    report = json.loads(rally_report.comparison_as_json([(GOOD, Naive(2_500, 2_462, 462, 4, 0))]))
    assert (report["holds"], report["naive"][0]["double_joins"]) == (True, 462)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("settle", [settling.as_the_product, settling.row_by_row])
def test_both_ways_of_settling_end_with_true_books(settle):
    make_seller(handle=SELLER)
    crowd = settling.crowd(3)

    settle(crowd)

    assert Sale.objects.get(id=crowd.sale_id).state == SaleState.SETTLED
    assert Counter(Join.objects.values_list("state", flat=True)) == {JoinState.PAID: 3}
    wallets = Account.objects.filter(kind="wallet").values_list("available_minor", "held_minor")
    assert list(wallets) == [(0, 0)] * 3  # three joiners do not get below the first price, all they had
    assert broken_checks() == []


@pytest.mark.django_db(transaction=True)
def test_the_floor_leaves_nothing_behind():
    make_seller(handle=SELLER)
    crowd = settling.crowd(3)
    settling.as_the_product(crowd)

    assert settling.floor_s(crowd.sale_id) > 0
    with settling.database() as beside:
        left = beside.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [settling.FLOOR_SCHEMA]).fetchone()
    assert left is None
