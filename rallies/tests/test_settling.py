"""Settling on a real database: one price, once, in chunks, and on after a kill anywhere."""

from __future__ import annotations

import datetime as dt
import threading
from functools import partial

import pytest

from core.transactions import in_transaction
from dsql import faults
from ledger.rules import Balance
from rallies import rules, services
from rallies.models import Join, LateJoin, Outcome, Settlement
from sales import services as sales
from sales.models import Sale, SaleState
from tests.tools.race import outcomes
from tests.tools.shop import NOW, RallyProcess, join, join_request, make_rally, make_seller, wallet
from tests.tools.truth import broken_checks

pytestmark = pytest.mark.django_db(transaction=True)


def close(rally, seller) -> None:
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
    monkeypatch.setattr(services, "SETTLE_CHUNK_JOINS", 2)


@pytest.fixture
def crowded(make_fans):
    """A rally of seven, at 52.00: five without a limit, one at 80.00 or less, one at 60.00 or less."""
    seller = make_seller()
    rally = make_rally(seller=seller)
    fans = make_fans(7, funds=50_000)
    for fan, only in zip(fans, [None] * 5 + [8_000, 6_000], strict=True):
        join(rally, fan, only=only)
    return rally, seller, fans


def test_everybody_pays_the_final_price(crowded, chunks_of_two):
    rally, seller, fans = crowded
    close(rally, seller)

    assert settle(rally) == 4  # 2 + 2 + 2 + 1

    assert {wallet(fan) for fan in fans} == {Balance(50_000 - 5_200, 0)}
    outcome = Outcome.objects.get()
    assert (outcome.joiners, outcome.price_minor, outcome.did_run) == (7, 5_200, True)
    assert sum(chunk.gross_minor for chunk in Settlement.objects.all()) == 7 * 5_200


def test_below_the_minimum_nobody_pays(make_fans):
    seller = make_seller()
    rally = make_rally(seller=seller, minimum=4)
    fans = make_fans(3, funds=50_000)
    for fan in fans:
        join(rally, fan)
    close(rally, seller)
    settle(rally)

    assert {wallet(fan) for fan in fans} == {Balance(50_000, 0)}
    assert not Outcome.objects.get().did_run


def test_a_rally_without_joins_settles(make_fan):
    seller = make_seller()
    rally = make_rally(seller=seller)
    close(rally, seller)

    assert settle(rally) == 0
    assert Outcome.objects.get().did_run is False


def test_a_limit_above_the_final_price_pays_and_one_below_goes_free(make_fans):
    seller = make_seller()
    rally = make_rally(seller=seller, cap_units=10, late_joins=True, limit_per_fan=20)
    pays, free, other = make_fans(3, funds=50_000)
    join(rally, pays, only=10_000)
    join(rally, free, 2, only=5_200)
    join(rally, other)
    close(rally, seller)
    settle(rally)

    assert (wallet(pays), wallet(free)) == (Balance(40_000, 0), Balance(50_000, 0))
    # What was not charged is there for late joins: ten less two.
    with pytest.raises(Exception, match="Fewer units"):
        late_join(rally, free, 9)


def late_join(rally, fan, quantity=1):
    from core.ids import uuid7

    return services.join_late(rally.sale_id, rules.JoinLate(uuid7(), uuid7(), fan, uuid7(), quantity, NOW))


def test_late_joins_race_for_what_the_cap_left(make_fans, race):
    seller = make_seller()
    rally = make_rally(seller=seller, cap_units=8, late_joins=True)
    *fans, a, b, c = make_fans(8, funds=50_000)
    for fan in fans:
        join(rally, fan)
    close(rally, seller)
    settle(rally)
    from core.ids import uuid7

    requests = [rules.JoinLate(uuid7(), uuid7(), fan, uuid7(), 2, NOW) for fan in (a, b, c)]

    results = race(*[partial(RallyProcess(rally, home=n).do, request) for n, request in enumerate(requests)])

    assert outcomes(results) == {"ok": 1, "full": 2}
    assert LateJoin.objects.count() == 1
    assert sorted(wallet(fan).available_minor for fan in (a, b, c)) == [50_000 - 2 * 5_200, 50_000, 50_000]


def test_the_price_is_fixed_once_by_settlers_that_race(crowded, chunks_of_two, race):
    rally, seller, fans = crowded
    close(rally, seller)

    race(*[partial(sales.settle_step, sale_id=rally.sale_id, now=NOW) for _ in range(4)])
    settle(rally)

    assert {wallet(fan) for fan in fans} == {Balance(50_000 - 5_200, 0)}
    numbers = sorted(Settlement.objects.values_list("number", flat=True))
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize("lost", [0, 1, 2, 3])
def test_settling_goes_on_after_a_commit_whose_answer_was_lost(crowded, chunks_of_two, lost):
    rally, seller, fans = crowded
    close(rally, seller)
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
    rally, seller, fans = crowded
    close(rally, seller)
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
    seller = make_seller()
    rally = make_rally(seller=seller)
    fans = make_fans(services.SETTLE_CHUNK_JOINS, funds=50_000)
    process = RallyProcess(rally)
    for start in range(0, len(fans), 500):
        process.do_batch(*[join_request(fan) for fan in fans[start : start + 500]])
    close(rally, seller)

    assert settle(rally) == 1
    assert Join.objects.filter(state="paid").count() == services.SETTLE_CHUNK_JOINS


def test_a_refund_after_settling(crowded):
    rally, seller, fans = crowded
    close(rally, seller)
    settle(rally)

    for _ in range(2):
        refunded = services.refund_join(rally_id=rally.sale_id, fan_id=fans[0], now=NOW + dt.timedelta(days=1))

    assert refunded.state == "refunded"
    assert wallet(fans[0]) == Balance(50_000, 0)
    assert broken_checks(rally.sale_id) == []


def test_nobody_joins_or_leaves_a_closed_rally(crowded, make_fan):
    rally, seller, fans = crowded
    close(rally, seller)
    stranger = make_fan(funds=50_000)

    (joining, leaving, removing) = RallyProcess(rally).do_batch(
        join_request(stranger), rules.LeaveRally(fans[0], NOW), rules.RemoveFan(fans[1], NOW)
    )

    assert [refusal.code for refusal in (joining, leaving, removing)] == ["not_open", "cannot_leave", "cannot_leave"]


def test_a_step_of_an_open_rally_is_a_bug(make_fan):
    rally = make_rally()
    with pytest.raises(AssertionError):
        in_transaction(lambda: services.settle_chunk(rally.sale, NOW, limit=10), name="test")
