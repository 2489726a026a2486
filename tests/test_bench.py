"""The parts of `bench` that decide whether a figure may be believed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from uuid import UUID, uuid4

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connection

from bench import (
    __main__ as command_line,
)
from bench import (
    cluster,
    cluster_report,
    double_taps,
    drop,
    in_lane,
    ledger_ours,
    ledger_report,
    rally,
    rally_report,
    recipe,
    settling,
    stampede,
    stampede_report,
)
from bench.double_taps import FANS, SECOND_TAPS, DoubleTaps, taps
from bench.figures import Spread
from bench.floors import HotRow
from bench.ledger import CALL, HORDAK, LANE
from bench.ledger import Findings as LedgerFindings
from bench.load import CONNECTIONS
from bench.naive import Naive
from bench.rally import Settling
from bench.recipe_server import Recipe
from bench.servers import Cpu
from bench.stampede import SELLER, Latency, Measured, Rate, unknown_to_buyers
from bench.threads import Done, repeat
from drops.errors import SoldOut
from drops.models import Order
from ledger.models import Account
from rallies.models import Join, JoinState
from sales.models import Sale, SaleState
from tests.tools.shop import buy, make_drop, make_fan, make_seller
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


def measured_at(per_s: float, *, p99_ms: float = 0) -> Measured:
    latency = Latency(0, p99_ms, p99_ms)
    return Measured(
        per_s, 0, latency, latency, Counter({"201": 20_000}), 7, 60, 200, Cpu(1, 1, 0, 3), elapsed_s=4,
    )  # fmt: skip


def test_a_run_that_broke_a_promise_says_so_in_both_reports():
    two, one = rally.format_of(20_000).scenarios
    measured = measured_at(5_500)
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
    assert met["joins, 1 process: accepted/s"] is True  # of 5,400
    assert met["joins, 2 processes: times the one hot row"] is False  # 55 of 80
    assert met["joins, 2 processes: share of the empty endpoint, %"] is False  # 27 of 36


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
    # Three joiners do not get below the first price, all they had; closed early, they pay the next one.
    assert list(wallets) == [(2_000, 0)] * 3
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


# Other ways to sell


def test_another_way_is_held_against_the_product_in_the_same_round():
    findings = stampede.Findings.of(drop.FORMAT)
    findings.measured[drop.UNLIMITED] = [measured_at(6_000), measured_at(3_000)]
    findings.beside = {drop.RECIPE_TWO.name: [Rate(3_000, Latency(0, 0, 0)), Rate(1_000, Latency(0, 0, 0))]}

    assert stampede_report.times(findings, drop.RECIPE_TWO) == Spread(2.5, 2.0, 3.0)


class LaneThatAnswers:
    """Keeps what is put in until the test asks for the answers."""

    def __init__(self):
        self.waiting = []
        self.most = 0

    def submit(self, command, tell, loop):
        self.waiting.append((command, tell))
        self.most = max(self.most, len(self.waiting))
        loop.call_soon(self.answer)

    def answer(self):
        command, tell = self.waiting.pop(0)
        tell(self.outcome(command))

    def outcome(self, command):
        return command


def test_the_lane_gets_the_next_purchase_for_each_that_is_answered():
    lane = LaneThatAnswers()

    latencies = in_lane.run(lane, [uuid4() for _ in range(1_000)])

    assert (len(latencies), lane.most, lane.waiting) == (1_000, CONNECTIONS, [])


def test_a_refused_purchase_ends_the_run_of_the_lane(caplog):
    lane = LaneThatAnswers()
    lane.outcome = lambda command: SoldOut()

    with pytest.raises(SoldOut):
        in_lane.run(lane, [uuid4() for _ in range(1_000)])
    assert caplog.records == []  # nor does it stumble over those that are refused after it


@pytest.mark.django_db(transaction=True)
def test_the_recipe_sells_the_stock_once_a_fan_into_a_table_like_the_products(monkeypatch):
    fan_id = make_fan(funds=10_000)
    buy(make_drop(), fan_id)
    place = connection.get_connection_params()
    url = f"postgresql://{place['user']}@/{place['dbname']}?host={place['host']}&port={place.get('port') or 5432}"
    monkeypatch.setenv("DATABASE_URL", url)
    with psycopg.connect(url, autocommit=True) as database, redis.from_url(settings.REDIS_URL) as counter:
        recipe.make_tables(database, drop.ORDERS)
        sale = recipe.open_sale(counter)
        fans = [uuid4(), uuid4()]

        answers = asyncio.run(ask_the_recipe([(sale, fans[0]), (sale, fans[0]), (sale, fans[1]), ("another", fans[0])]))

        stored = database.execute(f"SELECT id::text, fan_id, drop_id FROM {recipe.ORDERS} ORDER BY id").fetchall()
        database.execute(f"DROP SCHEMA {recipe.SCHEMA} CASCADE")
    told = [json.loads(body) for _, body in answers]
    assert [status for status, _ in answers] == [201, 409, 201, 409]
    assert [told[1]["code"], told[3]["code"]] == ["limit_reached", "sold_out"]
    drop_id = Order.objects.get().drop_id
    assert stored == [(told[0]["id"], fans[0], drop_id), (told[2]["id"], fans[1], drop_id)]


async def ask_the_recipe(asked: list[tuple[str, UUID]]) -> list[tuple[int, bytes]]:
    app = Recipe()
    await app.open()

    async def receive():
        return {"body": b'{"quantity": 1}'}

    answers = []
    for sale, fan_id in asked:
        headers = [(recipe.FAN_HEADER, str(fan_id).encode()), (recipe.KEY_HEADER, str(uuid4()).encode())]
        answers.append(await app.buy({"path": f"{recipe.PATH}{sale}", "headers": headers}, receive))
    await app.close()
    return answers


# A database at a distance


def test_a_database_at_a_distance_is_held_against_its_aims():
    findings = cluster.Findings({away: [measured_at(5_500, p99_ms=160)] for away in cluster.DISTANCES})

    report = json.loads(cluster_report.as_json(findings))

    assert [(aim["sentence"], aim["is_met"]) for aim in report["aims"]] == [
        ("2/8 ms away: accepted/s", True),
        ("2/8 ms away: p99, ms", False),
    ]
    assert [distance["round_trip_ms"] for distance in report["distances"]] == [0, 2, 20]
    assert "20/40 ms" in cluster_report.as_text(findings)


@pytest.mark.parametrize(
    ("words", "distances"),
    [
        ([], None),
        (["--cluster"], [(0, 0), (2, 8), (20, 40)]),
        (["--database-ms", "2", "--commit-ms", "8"], [(2, 8)]),
        (["--database-ms", "0"], [(0, 0)]),
    ],
)
def test_the_distance_is_what_was_asked_for(monkeypatch, words, distances):
    measured = []
    monkeypatch.setattr(sys, "argv", ["bench", "drop", *words])
    monkeypatch.setattr(cluster, "run", lambda *, distances, **_: measured.extend(distances) or cluster.Findings({}))
    monkeypatch.setattr(drop, "run", lambda **_: stampede.Findings.of(drop.FORMAT))
    for report in (cluster_report, command_line.drop_report):
        monkeypatch.setattr(report, "as_text", lambda findings: "")

    assert command_line.main() == 0
    assert [(away.round_trip_ms, away.commit_ms) for away in measured] == (distances or [])


# The ledger


def test_the_ledger_is_held_against_hordak_in_the_same_round():
    findings = LedgerFindings({(way, choice): [Done(50.0, 0)] for way in (LANE, CALL) for choice in ("many", "hot")})
    findings.done |= {(HORDAK, "many"): [Done(5.0, 0)], (HORDAK, "hot"): [Done(10.0, 0)]}
    findings.problems = ["books: drift_in_total should be 0 and is 1"]

    report = json.loads(ledger_report.as_json(findings))

    assert [(aim["reached"], aim["is_met"]) for aim in report["aims"]] == [(10.0, True), (5.0, False)]
    assert report["holds"] is False
    assert ledger_report.as_text(findings).endswith("BROKEN PROMISES\nbooks: drift_in_total should be 0 and is 1")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("make", [ledger_ours.in_lane(), ledger_ours.one_a_call])
def test_both_ways_of_transfer_leave_true_books(make):
    wallets = ledger_ours.make_wallets(2)
    asked = ledger_ours.transfer(wallets[1], wallets[0])

    assert make(asked) == asked
    balances = Account.objects.in_bulk(wallets)
    assert balances[wallets[0]].available_minor - balances[wallets[1]].available_minor == 2
    assert broken_checks() == []


def test_an_error_in_a_thread_is_raised_and_ends_the_others():
    def act(chance):
        raise LookupError

    with pytest.raises(LookupError):
        repeat(act, seconds=60, threads=4)
