"""Every pair of a rally's commands that can meet on the same rows, in every order that two preemptions allow.

As `test_interleavings` does for drops: each pair names the outcomes that some serial order could give, the checks must hold after
each schedule, and a planted bug shows that the search finds what it looks for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Sum

from ledger.rules import Balance
from rallies import rules, services
from rallies.models import Bucket, Join, Outcome, Rally
from sales import services as sales
from sales.models import Sale, SaleState
from tests.tools import shop
from tests.tools.explorer import Scene, ScheduleFailed, explore
from tests.tools.shop import NOW, RallyProcess, join_request, make_fan, make_fans, wallet
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
        rally = make_rally(cap_units=5)
        one, two, crowd = make_fans(3, funds=90_000)
        RallyProcess(rally).do(join_request(crowd, 4))
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
            assert counted(rally) == results["b"]  # nobody came after the close
            settle_to_the_end(rally)
            assert_holds(rally)

        actors = {
            "a": lambda: RallyProcess(rally).do(join_request(fan, only=8_000)),
            "b": lambda: close(rally, seller),
        }
        return Scene(actors, check)

    assert explored("join_close", scene) == {"a:joined b:ok", "a:not_open b:ok"}


def test_leaving_while_the_rally_closes(make_rally, seller, explored):
    def scene() -> Scene:
        rally, fan = make_rally(), make_fan(funds=20_000)
        RallyProcess(rally).do(join_request(fan))

        def check(results: Results) -> None:
            assert counted(rally) == results["b"]
            settle_to_the_end(rally)
            left = getattr(results["a"], "state", "") == "left"
            assert wallet(fan) == (Balance(20_000, 0) if left else Balance(10_000, 0))
            assert_holds(rally)

        actors = {
            "a": lambda: RallyProcess(rally, home=1).do(rules.LeaveRally(fan, NOW)),
            "b": lambda: close(rally, seller),
        }
        return Scene(actors, check)

    assert explored("leave_close", scene) == {"a:left b:ok", "a:cannot_leave b:ok"}


def test_one_joins_while_another_leaves(make_rally, explored):
    def scene() -> Scene:
        rally = make_rally(cap_units=5)
        one, two, crowd = make_fans(3, funds=90_000)
        RallyProcess(rally).do_batch(join_request(one), join_request(crowd, 4))
        actors = {
            "a": lambda: RallyProcess(rally, home=1).do(join_request(two)),
            "b": lambda: RallyProcess(rally).do(rules.LeaveRally(one, NOW)),
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
            "b": lambda: RallyProcess(rally).do(rules.LeaveRally(fan, NOW)),
        }
        return Scene(actors, check)

    assert explored("rejoin_leave", scene) == {"a:joined b:left"}


def test_two_workers_that_settle_one_rally(make_rally, seller, explored, monkeypatch):
    monkeypatch.setattr(services, "SETTLE_CHUNK_JOINS", 1)

    def scene() -> Scene:
        rally = make_rally()
        fans = make_fans(2, funds=20_000)
        for fan in fans:
            RallyProcess(rally).do(join_request(fan))
        close(rally, seller)

        def check(results: Results) -> None:
            settle_to_the_end(rally)
            assert {wallet(fan) for fan in fans} == {Balance(10_000, 0)}
            assert Outcome.objects.filter(rally=rally).count() == 1
            assert_holds(rally)

        def settle() -> Any:
            return sales.settle_step(sale_id=rally.sale_id, now=NOW)

        return Scene({"a": settle, "b": settle}, check)

    assert explored("rally_settle_settle", scene) == {"a:ok b:ok"}


def test_refunding_while_settling(make_rally, seller, explored):
    def scene() -> Scene:
        rally, fan = make_rally(), make_fan(funds=20_000)
        RallyProcess(rally).do(join_request(fan))
        close(rally, seller)

        def check(results: Results) -> None:
            settle_to_the_end(rally)
            refunded = getattr(results["b"], "state", "") == "refunded"
            assert wallet(fan) == Balance(20_000 if refunded else 10_000, 0)
            assert_holds(rally)

        actors = {
            "a": lambda: sales.settle_step(sale_id=rally.sale_id, now=NOW),
            "b": lambda: RallyProcess(rally).do(rules.RefundJoin(fan, NOW)),
        }
        return Scene(actors, check)

    assert explored("rally_settle_refund", scene) == {"a:ok b:refunded", "a:ok b:cannot_refund"}


def test_a_close_that_leaves_the_buckets_alone_is_found(make_rally, seller, monkeypatch):
    """Planted: right in every serial order, because the sale's own state refuses what comes later. Not so when they meet."""

    def close_nothing(self: Any, sale: Sale, now: Any) -> None:
        Bucket.objects.filter(rally_id=sale.id, number=BUCKET_NOBODY_WRITES).update(is_closed=True)

    monkeypatch.setattr(services.RallyRules, "close", close_nothing)

    def scene() -> Scene:
        rally, fan = make_rally(), make_fan(funds=20_000)

        def check(results: Results) -> None:
            assert counted(rally) == results["b"]

        actors = {
            "a": lambda: RallyProcess(rally).do(join_request(fan)),
            "b": lambda: close(rally, seller),
        }
        return Scene(actors, check)

    with pytest.raises(ScheduleFailed):
        explore("planted_close", scene)
    # The schedules broke off in the middle, so what they left behind is nobody's promise.
    Bucket.objects.filter(is_closed=True).update(is_closed=False)


BUCKET_NOBODY_WRITES = 127
