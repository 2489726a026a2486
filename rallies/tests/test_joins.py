"""Joining and leaving on a real database, by one and by many."""

from __future__ import annotations

from functools import partial

import pytest
from django.db.models import Sum

from ledger.models import Transfer
from ledger.rules import Balance
from rallies import rules, selectors
from rallies.models import BUCKETS, Bucket, Join, LimitedCount
from sales import services as sales
from sales.stock import home_bucket
from tests.tools.race import outcomes
from tests.tools.shop import NOW, RallyProcess, join, join_request, make_rally, make_seller, wallet
from tests.tools.truth import broken_checks

pytestmark = pytest.mark.django_db(transaction=True)


def counted(rally) -> int:
    return Bucket.objects.filter(rally=rally).aggregate(n=Sum("joiners"))["n"]


def test_a_join_holds_the_most_it_can_cost(make_fan):
    rally, fan = make_rally(), make_fan(funds=50_000)

    joined = join(rally, fan, 2)

    stored = Join.objects.get()
    assert (stored.id, stored.quantity, stored.state, stored.level) == (joined.id, 2, "joined", 0)
    assert stored.terms_sha256 == rally.sale.terms_sha256
    assert (counted(rally), Bucket.objects.filter(rally=rally).count()) == (1, BUCKETS)
    assert wallet(fan) == Balance(30_000, 20_000)
    held = Transfer.objects.get(id=joined.transfer_id)
    assert (held.kind, held.held_minor, held.subject_id) == ("pending", 20_000, joined.id)


def test_leaving_frees_the_money_and_the_place_at_once(make_fan):
    rally, fan = make_rally(), make_fan(funds=50_000)
    join(rally, fan, 2, only=6_000)
    assert LimitedCount.objects.get().joiners == 1

    left = RallyProcess(rally, home=3).do(rules.LeaveRally(fan, NOW))

    assert left.state == "left"
    assert wallet(fan) == Balance(50_000, 0)
    assert (counted(rally), LimitedCount.objects.get().joiners) == (0, 0)


def test_a_fan_joins_again_after_leaving(make_fan):
    rally, fan = make_rally(), make_fan(funds=50_000)
    first = join(rally, fan)
    RallyProcess(rally).do(rules.LeaveRally(fan, NOW))
    again = join(rally, fan, 3)

    assert (again.id, again.quantity, again.invite_code) == (first.id, 3, first.invite_code)
    assert again.transfer_id != first.transfer_id
    assert wallet(fan) == Balance(20_000, 30_000)


def test_ten_processes_with_one_fans_ten_taps_join_once(make_fan, race):
    rally, fan = make_rally(), make_fan(funds=50_000)

    results = race(*[partial(RallyProcess(rally, home=n).do, join_request(fan)) for n in range(10)])

    assert outcomes(results) == {"ok": 10}
    assert len({result.transfer_id for result in results}) == 1
    assert (counted(rally), Join.objects.count()) == (1, 1)
    assert wallet(fan) == Balance(40_000, 10_000)


def test_many_processes_count_every_fan_in_their_own_buckets(make_fans, race):
    rally = make_rally()
    fans = make_fans(40, funds=50_000)

    def join_five(number: int) -> None:
        process = RallyProcess(rally, home=number)
        for fan in fans[number * 5 : number * 5 + 5]:
            process.do(join_request(fan, only=5_200 if number % 2 else None))

    race(*[partial(join_five, number) for number in range(8)])

    assert counted(rally) == 40
    used = set(Bucket.objects.filter(rally=rally, joiners__gt=0).values_list("number", flat=True))
    assert used == {home_bucket(number, BUCKETS) for number in range(8)}


def test_a_cap_is_kept_by_processes_that_race_for_it(make_fans, race):
    rally = make_rally(cap_units=7)
    fans = make_fans(10, funds=50_000)

    results = race(*[partial(RallyProcess(rally, home=n).do, join_request(fan)) for n, fan in enumerate(fans)])

    assert outcomes(results) == {"ok": 7, "full": 3}
    assert Bucket.objects.filter(rally=rally).aggregate(n=Sum("units_left"))["n"] == 0


def test_a_fan_with_money_for_one_rally_joins_one_of_two(make_fan, race):
    seller = make_seller()
    rallies = [make_rally(seller=seller), make_rally(seller=seller)]
    fan = make_fan(funds=15_000)

    results = race(*[partial(RallyProcess(rally).do, join_request(fan)) for rally in rallies])

    assert outcomes(results) == {"ok": 1, "insufficient_funds": 1}


def test_crossing_a_tier_lowers_the_price_for_all_in_the_same_instant(make_fans):
    rally = make_rally()
    prices = []
    for number, fan in enumerate(make_fans(5, funds=50_000)):
        join(rally, fan)
        prices.append(selectors.frame_facts(rally.sale_id)[1]["price_minor"])
        state = selectors_state(rally)
        assert state.crowd.price_minor == prices[-1], number

    assert prices == [10_000, 10_000, 8_000, 8_000, 5_200]


def selectors_state(rally):
    from django.db import transaction

    with transaction.atomic():
        return selectors.load_counts(selectors.load_terms(rally.sale_id))


def test_the_frame_and_the_lane_say_the_same_of_joins_with_limits(make_fans):
    rally = make_rally()
    process = RallyProcess(rally)
    for fan, only in zip(make_fans(6, funds=50_000), [None, 5_200, 5_200, 8_000, 6_000, None], strict=True):
        process.do(join_request(fan, only=only))
    facts = selectors.frame_facts(rally.sale_id)[1]
    crowd = selectors_state(rally).crowd

    assert (facts["joiners"], facts["waiting"], facts["price_minor"]) == (6, 0, 5_200)
    assert (crowd.joiners, crowd.waiting, crowd.price_minor) == (6, 0, 5_200)


def test_the_frame_says_how_many_are_missing_for_the_next_price(make_fans):
    rally = make_rally()
    for fan, only in zip(make_fans(3, funds=50_000), [None, 8_000, 5_200], strict=True):
        join(rally, fan, only=only)
    facts = selectors.frame_facts(rally.sale_id)[1]

    # One pays 100.00; 80.00 is accepted by two of the three that it asks for.
    assert (facts["price_minor"], facts["joiners"], facts["waiting"]) == (10_000, 1, 2)
    assert (facts["next_price_minor"], facts["next_missing"]) == (8_000, 1)


def test_every_join_makes_the_frames_version_grow(make_fans):
    rally = make_rally()
    versions = [selectors.frame_facts(rally.sale_id)[0]]
    for fan in make_fans(3, funds=50_000):
        join(rally, fan)
        versions.append(selectors.frame_facts(rally.sale_id)[0])

    assert versions == sorted(set(versions))


def test_who_brought_whom_is_known(make_fans):
    rally = make_rally(audience="invited")
    first, second = make_fans(2, funds=50_000)
    one = join(rally, first, invite=rally.seller_invite)
    join(rally, second, invite=one.invite_code)

    assert [j.fan_id for j in selectors.invited_by(rally.sale_id, first)] == [second]


def test_new_terms_are_noticed_by_a_lane_that_knows_the_old(make_fan):
    from sales.models import Sale

    rally, fan = make_rally(), make_fan(funds=50_000)
    process = RallyProcess(rally)
    old = process.lane.terms
    Sale.objects.filter(id=rally.sale_id).update(terms_sha256="f" * 64)
    try:
        assert process.do(join_request(fan)).terms_sha256 == "f" * 64
    finally:
        Sale.objects.filter(id=rally.sale_id).update(terms_sha256=old.sha256)
        Join.objects.update(terms_sha256=old.sha256)


def test_a_rally_called_off_releases_everybody_in_chunks(make_fans, monkeypatch):
    from rallies import services

    monkeypatch.setattr(services, "RELEASE_CHUNK_JOINS", 2)
    seller = make_seller()
    rally = make_rally(seller=seller, cap_units=200)
    fans = make_fans(5, funds=50_000)
    for fan in fans:
        join(rally, fan)

    sales.cancel_sale(seller_id=seller.id, sale_id=rally.sale_id, now=NOW)
    steps = 0
    while sales.unwind_step(sale_id=rally.sale_id, now=NOW):
        steps += 1
        assert broken_checks(rally.sale_id) == []

    assert steps == 3
    assert {wallet(fan) for fan in fans} == {Balance(50_000, 0)}
    assert set(Join.objects.values_list("state", flat=True)) == {"released"}
