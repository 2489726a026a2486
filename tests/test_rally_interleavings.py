"""Every pair of a rally's commands that can meet on the same rows, in every order that two preemptions allow.

As `test_interleavings` does for drops: each pair names the outcomes that some serial order could give, the checks must hold after
each schedule, and a planted bug shows that the search finds what it looks for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db.models import Sum

from core.sql import Statement, execute_all
from ledger.rules import Balance
from rallies.models import Bucket, Join, LateJoin, Outcome, Rally
from rallies.settlement import RallyRules
from rallies.values import LeaveRally, RemoveFan
from sales import gates
from sales import services as sales
from sales.models import Sale, SaleState
from tests.tools import shop
from tests.tools.explorer import Scene, ScheduleFailed, explore
from tests.tools.shop import (
    NOW,
    Process,
    RallyProcess,
    join_request,
    late_request,
    make_fan,
    make_fans,
    purchase,
    wallet,
)
from tests.tools.truth import broken_checks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]

Results = dict[str, Any]


@pytest.fixture
def seller() -> Any:
    return shop.make_seller()


@pytest.fixture
def make_rally(seller) -> Callable[..., Rally]:
    """A rally of the one shop, so that a scene is quickly built."""
    return lambda **terms: shop.make_rally(seller=seller, **terms)


def assert_holds(rally: Rally) -> None:
    assert broken_checks(rally.sale_id) == []


def counted(rally: Rally) -> int:
    return Bucket.objects.filter(rally=rally).aggregate(n=Sum("joiners"))["n"]


def close(rally: Rally, seller: Any) -> int:
    """Close, and say how many had joined by then."""
    sales.close_sale_early(seller_id=seller.id, sale_id=rally.sale_id, now=NOW)
    return counted(rally)


def close_for_good(rally: Rally, seller: Any) -> int:
    """With the first step of settling, which meets those that are under way."""
    close(rally, seller)
    sales.settle_step(sale_id=rally.sale_id, now=NOW)
    return counted(rally)


def settle_to_the_end(rally: Rally) -> None:
    while sales.settle_step(sale_id=rally.sale_id, now=NOW):
        pass
    assert Sale.objects.get(id=rally.sale_id).state == SaleState.SETTLED


@pytest.mark.parametrize("home", [0, 1], ids=["one_bucket", "two_buckets"])
def test_two_fans_that_join(make_rally, explored, home):
    def scene() -> Scene:
        rally = make_rally()
        one, two = make_fans(2, funds=20_000)

        def check(results: Results) -> None:
            assert counted(rally) == 2
            assert_holds(rally)

        actors = {
            "a": lambda: RallyProcess(rally, home=0).do(join_request(one)),
            "b": lambda: RallyProcess(rally, home=home).do(join_request(two, only=5_200)),
        }
        return Scene(actors, check)

    assert explored(f"join_join_{home}", scene) == {"a:joined b:joined"}


def test_one_fans_two_taps(make_rally, explored):
    def scene() -> Scene:
        rally, fan = make_rally(), make_fan(funds=50_000)

        def check(results: Results) -> None:
            assert results["a"].transfer_id == results["b"].transfer_id
            assert (counted(rally), wallet(fan)) == (1, Balance(40_000, 10_000))
            assert_holds(rally)

        actors = {
            "a": lambda: RallyProcess(rally, home=0).do(join_request(fan)),
            "b": lambda: RallyProcess(rally, home=1).do(join_request(fan)),
        }
        return Scene(actors, check)

    assert explored("double_tap_rally", scene) == {"a:joined b:joined"}


def test_the_last_unit_under_a_cap(make_rally, explored):
    def scene() -> Scene:
        rally = make_rally(cap_units=5, limit_per_fan=1)
        one, two, *crowd = make_fans(6, funds=90_000)
        RallyProcess(rally).do_batch(*[join_request(fan) for fan in crowd])
        actors = {
            "a": lambda: RallyProcess(rally, home=0).do(join_request(one)),
            "b": lambda: RallyProcess(rally, home=1).do(join_request(two)),
        }
        return Scene(actors, lambda results: assert_holds(rally))

    assert explored("rally_cap", scene) == {"a:joined b:full", "a:full b:joined"}


def test_joining_while_the_rally_closes(make_rally, seller, explored):
    def scene() -> Scene:
        rally, fan = make_rally(), make_fan(funds=20_000)

        def check(results: Results) -> None:
            assert counted(rally) == results["b"], "joined after the close"
            settle_to_the_end(rally)
            assert_holds(rally)

        actors = {
            "a": lambda: RallyProcess(rally).do(join_request(fan, only=8_000)),
            "b": lambda: close_for_good(rally, seller),
        }
        return Scene(actors, check)

    assert explored("join_close", scene) == {"a:joined b:ok", "a:not_open b:ok"}


@pytest.mark.parametrize("going", [LeaveRally, RemoveFan], ids=["leave", "remove"])
def test_going_while_the_rally_closes(make_rally, seller, explored, going):
    def scene() -> Scene:
        rally, fan = make_rally(), make_fan(funds=20_000)
        RallyProcess(rally).do(join_request(fan))

        def check(results: Results) -> None:
            assert counted(rally) == results["b"]
            settle_to_the_end(rally)
            went = getattr(results["a"], "state", "") in ("left", "removed")
            assert wallet(fan) == Balance(20_000 if went else 12_000, 0)  # closed early, at the next price
            assert_holds(rally)

        actors = {
            "a": lambda: RallyProcess(rally, home=1).do(going(fan, NOW)),
            "b": lambda: close_for_good(rally, seller),
        }
        return Scene(actors, check)

    went = "left" if going is LeaveRally else "removed"
    assert explored(f"{went}_close", scene) == {f"a:{went} b:ok", "a:cannot_leave b:ok"}


@pytest.mark.parametrize("going", [LeaveRally, RemoveFan], ids=["leave", "remove"])
def test_going_in_the_last_moment_moves_no_price(make_rally, explored, going):
    """Whoever goes has the money back, whichever is first; the others pay the price that the whole crowd had reached."""

    def scene() -> Scene:
        rally = make_rally()
        goes, *crowd = make_fans(3, funds=20_000)
        RallyProcess(rally).do_batch(*[join_request(fan) for fan in (goes, *crowd)])
        end = rally.sale.closes_at

        def close_on_time() -> int:
            sales.close_sale(sale_id=rally.sale_id, now=end + sales.CLOSE_GRACE)
            return counted(rally)

        def check(results: Results) -> None:
            assert (counted(rally), results["b"]) == (3, 3)
            while sales.settle_step(sale_id=rally.sale_id, now=end + sales.CLOSE_GRACE):
                pass
            went = getattr(results["a"], "state", "") in ("left", "removed")
            assert wallet(goes) == Balance(20_000 if went else 12_000, 0)
            assert {wallet(fan) for fan in crowd} == {Balance(12_000, 0)}
            assert_holds(rally)

        actors = {
            "a": lambda: RallyProcess(rally, home=1).do(going(goes, end - dt.timedelta(microseconds=1))),
            "b": close_on_time,
        }
        return Scene(actors, check)

    went = "left" if going is LeaveRally else "removed"
    assert explored(f"{went}_last_moment", scene) == {f"a:{went} b:ok", "a:cannot_leave b:ok"}


def test_settling_a_fan_who_buys_elsewhere_meanwhile(make_rally, seller, explored):
    def scene() -> Scene:
        rally, fan = make_rally(), make_fan(funds=20_000)
        drop = shop.make_drop(seller=seller)
        RallyProcess(rally).do(join_request(fan))
        close(rally, seller)

        def check(results: Results) -> None:
            settle_to_the_end(rally)
            assert wallet(fan) == Balance(20_000 - 8_000 - 1_000, 0)
            assert_holds(rally)
            assert broken_checks(drop.sale_id) == []

        actors = {
            "a": lambda: sales.settle_step(sale_id=rally.sale_id, now=NOW),
            "b": lambda: Process(drop).do(purchase(fan)),
        }
        return Scene(actors, check)

    assert explored("settle_busy_wallet", scene) == {"a:ok b:paid"}


def test_one_joins_while_another_leaves(make_rally, explored):
    def scene() -> Scene:
        rally = make_rally(cap_units=5, limit_per_fan=1)
        one, two, *crowd = make_fans(6, funds=90_000)
        RallyProcess(rally).do_batch(*[join_request(fan) for fan in (one, *crowd)])
        actors = {
            "a": lambda: RallyProcess(rally, home=1).do(join_request(two)),
            "b": lambda: RallyProcess(rally).do(LeaveRally(one, NOW)),
        }
        return Scene(actors, lambda results: assert_holds(rally))

    assert explored("join_leave", scene) == {"a:joined b:left", "a:full b:left"}


def test_a_fan_joins_again_while_leaving(make_rally, explored):
    def scene() -> Scene:
        rally, fan = make_rally(), make_fan(funds=50_000)
        RallyProcess(rally).do(join_request(fan))

        def check(results: Results) -> None:
            is_in = Join.objects.get().state == "joined"
            assert counted(rally) == is_in
            assert_holds(rally)

        actors = {
            "a": lambda: RallyProcess(rally, home=1).do(join_request(fan)),
            "b": lambda: RallyProcess(rally).do(LeaveRally(fan, NOW)),
        }
        return Scene(actors, check)

    assert explored("rejoin_leave", scene) == {"a:joined b:left"}


def test_two_workers_that_settle_one_rally(make_rally, seller, explored, monkeypatch):
    monkeypatch.setattr(RallyRules, "settle_chunk", 1)

    def scene() -> Scene:
        rally = make_rally()
        fans = make_fans(2, funds=20_000)
        for fan in fans:
            RallyProcess(rally).do(join_request(fan))
        close(rally, seller)

        def check(results: Results) -> None:
            settle_to_the_end(rally)
            assert {wallet(fan) for fan in fans} == {Balance(12_000, 0)}
            assert Outcome.objects.filter(rally=rally).count() == 1
            assert_holds(rally)

        def settle() -> Any:
            return sales.settle_step(sale_id=rally.sale_id, now=NOW)

        return Scene({"a": settle, "b": settle}, check)

    assert explored("rally_settle_settle", scene) == {"a:ok b:ok"}


def test_an_invited_fan_joins_while_the_inviter_is_removed(make_rally, explored):
    def scene() -> Scene:
        rally = make_rally(audience="invited")
        inviter, fan = make_fans(2, funds=20_000)
        code = RallyProcess(rally).do(join_request(inviter, invite=rally.seller_invite)).invite_code
        actors = {
            "a": lambda: RallyProcess(rally, home=1).do(join_request(fan, invite=code)),
            "b": lambda: RallyProcess(rally).do(RemoveFan(inviter, NOW)),
        }
        return Scene(actors, lambda results: assert_holds(rally))

    assert explored("join_remove", scene) == {"a:joined b:removed", "a:invite_needed b:removed"}


def test_joining_late_while_the_rally_is_settled(make_rally, seller, explored):
    """The join that is not charged frees units; once all is settled, a late one takes from them at the price that was fixed."""

    def scene() -> Scene:
        rally = make_rally(cap_units=25, late_joins=True)
        fan, waits, late = make_fans(3, funds=20_000)
        RallyProcess(rally).do_batch(join_request(fan), join_request(waits, only=5_200))
        close(rally, seller)

        def check(results: Results) -> None:
            settle_to_the_end(rally)
            bought = LateJoin.objects.filter(rally=rally).count()
            assert wallet(late) == Balance(20_000 - 8_000 * bought, 0)
            assert_holds(rally)

        actors = {
            "a": lambda: RallyProcess(rally).do(late_request(late)),
            "b": lambda: settle_to_the_end(rally),
        }
        return Scene(actors, check)

    assert explored("late_settle", scene) == {"a:ok b:ok", "a:no_late_joins b:ok"}


def test_joining_while_the_rally_is_called_off(make_rally, seller, explored):
    def scene() -> Scene:
        rally, fan = make_rally(), make_fan(funds=20_000)

        def call_off() -> None:
            sales.cancel_sale(seller_id=seller.id, sale_id=rally.sale_id, now=NOW)
            while sales.unwind_step(sale_id=rally.sale_id, now=NOW):
                pass

        def check(results: Results) -> None:
            assert wallet(fan) == Balance(20_000, 0)
            assert_holds(rally)

        return Scene({"a": lambda: RallyProcess(rally).do(join_request(fan)), "b": call_off}, check)

    assert explored("join_call_off", scene) == {"a:joined b:ok", "a:called_off b:ok"}


# Planted bugs.


def meet_nobody(sale_id: UUID) -> None: ...


def meet_all_but_the_first(sale_id: UUID) -> None:
    sql = "UPDATE sales_gate SET version = version + 1 WHERE sale_id = %s AND number > 0"
    execute_all([Statement(sql, [sale_id], rows=gates.GATES - 1)])


@pytest.mark.parametrize("meet", [meet_nobody, meet_all_but_the_first])
def test_the_search_finds_a_close_that_leaves_the_gate_open(make_rally, seller, monkeypatch, meet):
    """Right in every serial order, because the sale's own state refuses what comes later. Not so when they meet."""
    monkeypatch.setattr(gates, "meet_purchases", meet)

    def scene() -> Scene:
        rally, fan = make_rally(), make_fan(funds=20_000)

        def check(results: Results) -> None:
            assert counted(rally) == results["b"], "joined after the close"

        actors = {
            "a": lambda: RallyProcess(rally, home=0).do(join_request(fan)),
            "b": lambda: close_for_good(rally, seller),
        }
        return Scene(actors, check)

    with pytest.raises(ScheduleFailed, match="joined after the close") as failed:
        explore(f"join_{meet.__name__}", scene)
    assert failed.value.number > 1
