"""Settling on a real database: one price, once, in chunks, and on after a kill anywhere."""

from __future__ import annotations

import datetime as dt
import threading
from functools import partial

import pytest

from core.errors import Refusal
from core.transactions import in_transaction
from dsql import faults
from ledger.rules import Balance
from rallies import rules, services, settlement, settling
from rallies.errors import NoLateJoins
from rallies.models import Join, LateJoin, Outcome, Settlement
from rallies.selectors import paid_minor
from rallies.settlement import RallyRules
from rallies.values import LeaveRally, RemoveFan
from sales import frames, levers, stuck
from sales import services as sales
from sales.models import Sale, SaleState, StuckRow
from tests.tools.race import outcomes
from tests.tools.shop import (
    NOW,
    RallyProcess,
    close_on_time,
    join,
    join_request,
    late_request,
    make_rally,
    make_seller,
    refund,
    wallet,
)
from tests.tools.truth import broken_checks

pytestmark = pytest.mark.django_db(transaction=True)


def close(rally) -> None:
    close_on_time(rally.sale_id)


def close_early(rally, seller) -> None:
    sales.close_sale_early(seller_id=seller.id, sale_id=rally.sale_id, now=NOW)


def settle(rally) -> int:
    """Settle to the end; how many steps did something."""
    steps = 0
    while sales.settle_step(sale_id=rally.sale_id, now=NOW):
        steps += 1
        assert broken_checks(rally.sale_id) == []
    assert Sale.objects.get(id=rally.sale_id).state == SaleState.SETTLED
    return steps


@pytest.fixture
def chunks_of_two(monkeypatch):
    monkeypatch.setattr(RallyRules, "settle_chunk", 2)


@pytest.fixture
def crowded(make_fans):
    """A rally of seven, at 52.00: five without a limit, one at 80.00 or less, one at 60.00 or less."""
    rally = make_rally()
    fans = make_fans(7, funds=50_000)
    for fan, only in zip(fans, [None] * 5 + [8_000, 6_000], strict=True):
        join(rally, fan, only=only)
    return rally, fans


def test_everybody_pays_the_final_price(crowded, chunks_of_two):
    rally, fans = crowded
    close(rally)

    assert settle(rally) == 4  # 2 + 2 + 2 + 1

    assert {wallet(fan) for fan in fans} == {Balance(50_000 - 5_200, 0)}
    outcome = Outcome.objects.get()
    assert (outcome.joiners, outcome.price_minor, outcome.did_run) == (7, 5_200, True)
    assert sum(chunk.gross_minor for chunk in Settlement.objects.all()) == 7 * 5_200


def test_below_the_minimum_nobody_pays(make_fans):
    rally = make_rally(minimum=4)
    fans = make_fans(3, funds=50_000)
    for fan in fans:
        join(rally, fan)
    close(rally)
    settle(rally)

    assert {wallet(fan) for fan in fans} == {Balance(50_000, 0)}
    assert not Outcome.objects.get().did_run


def test_a_rally_without_joins_settles(make_fan):
    rally = make_rally()
    close(rally)

    assert settle(rally) == 0
    assert Outcome.objects.get().did_run is False


def test_a_limit_above_the_final_price_pays_and_one_below_goes_free(make_fans):
    rally = make_rally(cap_units=25, late_joins=True)
    pays, free, other = make_fans(3, funds=50_000)
    join(rally, pays, only=10_000)
    join(rally, free, 2, only=5_200)
    join(rally, other)
    close(rally)
    settle(rally)

    assert (wallet(pays), wallet(free)) == (Balance(40_000, 0), Balance(50_000, 0))
    # What was not charged is there for late joins: all but two.
    assert frames.read_frame(rally.sale_id)["units_left"] == 23


def test_every_step_that_changes_what_viewers_see_makes_the_version_grow(make_fans, monkeypatch):
    """Each chunk frees the units of joins that are not charged, and viewers keep the frame with the higher version."""
    monkeypatch.setattr(RallyRules, "settle_chunk", 1)
    rally = make_rally(cap_units=25, late_joins=True)
    for fan in make_fans(3, funds=50_000):
        join(rally, fan, only=5_200)
    close(rally)
    seen = [frames.read_frame(rally.sale_id)]
    while sales.settle_step(sale_id=rally.sale_id, now=NOW):
        seen.append(frames.read_frame(rally.sale_id))

    assert [frame["units_left"] for frame in seen] == [22, 23, 24, 25]
    versions = [frame["version"] for frame in seen]
    assert versions == sorted(set(versions))


def test_late_joins_race_for_what_the_cap_left(make_fans, race):
    rally = make_rally(cap_units=9, limit_per_fan=2, late_joins=True)
    *fans, a, b, c = make_fans(10, funds=50_000)
    for fan in fans:
        join(rally, fan)
    close(rally)
    settle(rally)
    requests = [late_request(fan, 2) for fan in (a, b, c)]

    results = race(*[partial(RallyProcess(rally, home=n).do, request) for n, request in enumerate(requests)])

    assert outcomes(results) == {"ok": 1, "full": 2}
    assert LateJoin.objects.count() == 1
    assert sorted(wallet(fan).available_minor for fan in (a, b, c)) == [50_000 - 2 * 5_200, 50_000, 50_000]


def test_nothing_is_joined_late_in_a_shop_that_is_switched_off(make_fans):
    rally = make_rally(cap_units=9, limit_per_fan=2, late_joins=True)
    *fans, late = make_fans(6, funds=50_000)
    for fan in fans:
        join(rally, fan)
    close(rally)
    settle(rally)
    given = {"seller_id": rally.sale.seller_id, "staff_id": late, "reason": "A doubt", "now": NOW}

    levers.switch_shop_off(**given)
    with pytest.raises(NoLateJoins):
        services.join_late(rally.sale_id, late_request(late, 1))

    assert wallet(late).available_minor == 50_000
    levers.switch_shop_on(**given)
    services.join_late(rally.sale_id, late_request(late, 1))
    assert wallet(late).available_minor == 50_000 - 5_200


def test_closed_early_everybody_pays_the_next_price(make_fans):
    seller = make_seller()
    rally = make_rally(seller=seller)
    waits, *fans = make_fans(4, funds=50_000)
    for fan in fans:
        join(rally, fan)  # three reach 80.00
    join(rally, waits, only=5_200)
    close_early(rally, seller)
    settle(rally)

    assert {wallet(fan) for fan in (waits, *fans)} == {Balance(50_000 - 5_200, 0)}
    assert [frames.read_frame(rally.sale_id)[name] for name in ("joiners", "price_minor")] == [4, 5_200]


def test_closed_early_at_the_last_price_everybody_pays_that(crowded):
    rally, fans = crowded
    close_early(rally, rally.sale.seller)
    settle(rally)

    assert {wallet(fan) for fan in fans} == {Balance(50_000 - 5_200, 0)}


def test_a_fan_who_left_shortly_before_the_end_counts_and_pays_nothing(make_fans):
    rally = make_rally()  # of 61 minutes: the last 183 seconds are firm
    fans = make_fans(3, funds=50_000)
    for fan in fans:
        join(rally, fan)
    closes_at = rally.sale.closes_at
    left = services.leave_rally(rally_id=rally.sale_id, fan_id=fans[0], now=closes_at - dt.timedelta(seconds=183))
    close(rally)
    settle(rally)

    assert left.stays_counted
    assert [wallet(fan) for fan in fans] == [Balance(50_000, 0), Balance(42_000, 0), Balance(42_000, 0)]
    outcome = Outcome.objects.get()
    assert (outcome.joiners, outcome.price_minor) == (3, 8_000)


def test_a_worker_that_comes_too_early_is_told_when_to_look_again():
    rally = make_rally()
    due_at = rally.sale.closes_at + sales.CLOSE_GRACE

    assert sales.close_sale(sale_id=rally.sale_id, now=due_at - dt.timedelta(microseconds=1)) == due_at
    assert Sale.objects.get().state == SaleState.SCHEDULED
    assert sales.close_sale(sale_id=rally.sale_id, now=due_at) is None
    assert Sale.objects.get().state == SaleState.CLOSED


def test_the_price_is_fixed_once_by_settlers_that_race(crowded, chunks_of_two, race):
    rally, fans = crowded
    close(rally)

    race(*[partial(sales.settle_step, sale_id=rally.sale_id, now=NOW) for _ in range(4)])
    settle(rally)

    assert {wallet(fan) for fan in fans} == {Balance(50_000 - 5_200, 0)}
    numbers = sorted(Settlement.objects.values_list("number", flat=True))
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize("lost", [0, 1, 2, 3])
def test_settling_goes_on_after_a_commit_whose_answer_was_lost(crowded, chunks_of_two, lost):
    rally, fans = crowded
    close(rally)
    for _ in range(lost):
        sales.settle_step(sale_id=rally.sale_id, now=NOW)

    with faults.lose_commit_answers() as injection:
        sales.settle_step(sale_id=rally.sale_id, now=NOW)
    settle(rally)

    assert injection.injected == 1
    assert {wallet(fan) for fan in fans} == {Balance(50_000 - 5_200, 0)}


class _Killed(BaseException):
    pass


def test_settling_goes_on_after_a_kill_before_any_statement(crowded, chunks_of_two):
    """Every place where a process can die in a step: before each of its statements, and before its COMMIT."""
    rally, fans = crowded
    close(rally)
    settler = threading.get_ident()
    died = 0
    for nth in range(200):
        seen = 0

        def die(kind, sql, connection, nth=nth):
            nonlocal seen
            if threading.get_ident() != settler:
                return  # the thread that tells viewers is of another process, as it were
            seen += 1
            if seen > nth:
                connection.close()  # as the kernel does for a process that is gone
                raise _Killed

        try:
            with faults.observe(die):
                next_at = sales.settle_step(sale_id=rally.sale_id, now=NOW)
        except _Killed:
            died += 1
            assert broken_checks(rally.sale_id) == []
            continue
        if next_at is None:
            break
    assert died > 10
    assert {wallet(fan) for fan in fans} == {Balance(50_000 - 5_200, 0)}
    assert Sale.objects.get(id=rally.sale_id).state == SaleState.SETTLED


def test_a_chunk_stays_within_what_a_transaction_may_change(make_fans):
    """3,000 rows: strict mode refuses one more."""
    rally = make_rally()
    fans = make_fans(RallyRules.settle_chunk, funds=50_000)
    process = RallyProcess(rally)
    for start in range(0, len(fans), 500):
        process.do_batch(*[join_request(fan) for fan in fans[start : start + 500]])
    close(rally)

    assert settle(rally) == 1
    assert Join.objects.filter(state="paid").count() == RallyRules.settle_chunk


def test_a_join_that_cannot_be_settled_is_set_aside_and_tried_again_when_staff_set_it_free(crowded, monkeypatch):
    rally, fans = crowded
    close(rally)
    settle_chunk = settling.settle

    def fail_for_one(terms, outcome, chunk, at):
        if any(joined.fan_id == fans[2] for joined, _ in chunk):
            raise ValueError("a row that nobody can bear")
        return settle_chunk(terms, outcome, chunk, at)

    monkeypatch.setattr(settling, "settle", fail_for_one)
    while sales.settle_step(sale_id=rally.sale_id, now=NOW) == NOW:
        assert broken_checks(rally.sale_id) == []

    (row,) = StuckRow.objects.all()
    assert (row.row_id, row.error) == (Join.objects.get(fan_id=fans[2]).id, "ValueError: a row that nobody can bear")
    assert sales.settle_step(sale_id=rally.sale_id, now=NOW) == NOW + stuck.LOOK_AGAIN_AFTER
    assert Sale.objects.get().state == SaleState.SETTLING
    assert [wallet(fan) for fan in fans] == [Balance(44_800, 0)] * 2 + [Balance(40_000, 10_000)] + [
        Balance(44_800, 0)
    ] * 4

    monkeypatch.setattr(settling, "settle", settle_chunk)
    assert stuck.set_free(ids=[row.id], now=NOW) == 1
    settle(rally)
    assert {wallet(fan) for fan in fans} == {Balance(44_800, 0)}


@pytest.mark.parametrize("error", [ValueError("a row that nobody can bear"), Refusal("It cannot be done.")])
def test_a_hold_that_cannot_be_released_is_set_aside_when_a_rally_was_called_off(crowded, monkeypatch, error):
    rally, fans = crowded
    release = rules._release

    def fail_for_one(state, decision, command):
        if command.fan_id == fans[2]:
            raise error
        return release(state, decision, command)

    monkeypatch.setattr(rules, "_release", fail_for_one)
    sales.cancel_sale(seller_id=rally.sale.seller_id, sale_id=rally.sale_id, now=NOW)
    for _ in range(12):  # more than it takes
        sales.unwind_step(sale_id=rally.sale_id, now=NOW)
        assert broken_checks(rally.sale_id) == []

    (row,) = StuckRow.objects.all()
    assert row.row_id == Join.objects.get(state="joined").id == Join.objects.get(fan_id=fans[2]).id
    monkeypatch.setattr(rules, "_release", release)
    stuck.set_free(ids=[row.id], now=NOW)
    assert sales.unwind_step(sale_id=rally.sale_id, now=NOW) == NOW
    assert {wallet(fan) for fan in fans} == {Balance(50_000, 0)}


def test_a_refund_after_settling(crowded):
    rally, fans = crowded
    close(rally)
    settle(rally)

    join = Join.objects.get(rally_id=rally.sale_id, fan_id=fans[0])
    for _ in range(2):
        refund(rally.sale, join.id, paid_minor(join))

    assert wallet(fans[0]) == Balance(50_000, 0)
    assert broken_checks(rally.sale_id) == []


def test_nobody_joins_or_leaves_a_closed_rally(crowded, make_fan):
    rally, fans = crowded
    close(rally)
    stranger = make_fan(funds=50_000)

    (joining, leaving, removing) = RallyProcess(rally).do_batch(
        join_request(stranger), LeaveRally(fans[0], NOW), RemoveFan(fans[1], NOW)
    )

    assert [refusal.code for refusal in (joining, leaving, removing)] == ["not_open", "cannot_leave", "cannot_leave"]


def test_a_step_of_an_open_rally_is_a_bug(make_fan):
    rally = make_rally()
    with pytest.raises(AssertionError):
        in_transaction(lambda: settlement.settle_chunk(rally.sale, NOW, limit=10), name="test")
