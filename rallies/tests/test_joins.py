"""Joining and leaving on a real database, by one and by many."""

from __future__ import annotations

import datetime as dt
from functools import partial

import pytest
from django.db.models import Sum

from core.transactions import in_transaction
from ledger.models import Transfer
from ledger.rules import Balance
from rallies import loading, selectors
from rallies.models import BUCKETS, Bucket, Join, LimitedCount
from rallies.settlement import RallyRules
from rallies.values import LeaveRally, RemoveFan
from sales import frames
from sales import services as sales
from sales.gates import GATES
from sales.models import Gate, Sale, SaleState
from sales.stock import home_bucket
from tests.tools.race import outcomes
from tests.tools.shop import NOW, RallyProcess, join, join_request, make_rally, make_seller, pause, wallet
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

    left = RallyProcess(rally, home=3).do(LeaveRally(fan, NOW))

    assert left.state == "left"
    assert wallet(fan) == Balance(50_000, 0)
    assert (counted(rally), LimitedCount.objects.get().joiners) == (0, 0)


def test_a_fan_joins_again_after_leaving(make_fan):
    rally, fan = make_rally(), make_fan(funds=50_000)
    first = join(rally, fan)
    RallyProcess(rally).do(LeaveRally(fan, NOW))
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
    rally = make_rally(cap_units=7, limit_per_fan=1)
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
        prices.append(frames.read_frame(rally.sale_id)["price_minor"])
        assert crowd_of(rally).price_minor == prices[-1], number

    assert prices == [10_000, 10_000, 8_000, 8_000, 5_200]


def crowd_of(rally):
    return in_transaction(lambda: loading.load_counts(loading.load_terms(rally.sale_id)).crowd, name="test")


def test_the_frame_and_the_lane_say_the_same_of_joins_with_limits(make_fans):
    rally = make_rally()
    process = RallyProcess(rally)
    for fan, only in zip(make_fans(6, funds=50_000), [None, 5_200, 5_200, 8_000, 6_000, None], strict=True):
        process.do(join_request(fan, only=only))
    facts = frames.read_frame(rally.sale_id)
    crowd = crowd_of(rally)

    assert (facts["joiners"], facts["waiting"], facts["price_minor"]) == (6, 0, 5_200)
    assert (crowd.joiners, crowd.waiting, crowd.price_minor) == (6, 0, 5_200)


def test_the_frame_says_how_many_are_missing_for_the_next_price(make_fans):
    rally = make_rally()
    for fan, only in zip(make_fans(3, funds=50_000), [None, 8_000, 5_200], strict=True):
        join(rally, fan, only=only)
    facts = frames.read_frame(rally.sale_id)

    # One pays 100.00; 80.00 is accepted by two of the three that it asks for.
    assert (facts["price_minor"], facts["joiners"], facts["waiting"]) == (10_000, 1, 2)
    assert (facts["next_price_minor"], facts["next_missing"]) == (8_000, 1)


def test_every_join_makes_the_frames_version_grow(make_fans):
    rally = make_rally()
    versions = [frames.read_frame(rally.sale_id)["version"]]
    for fan in make_fans(3, funds=50_000):
        join(rally, fan)
        versions.append(frames.read_frame(rally.sale_id)["version"])

    assert [version - versions[0] for version in versions] == [0, 1, 2, 3]


def test_every_batch_writes_its_own_process_gate_and_settling_begins_with_all_of_them(make_fans):
    seller = make_seller()
    rally = make_rally(seller=seller)
    one, two = make_fans(2, funds=50_000)
    RallyProcess(rally, home=1).do_batch(join_request(one), join_request(two))
    RallyProcess(rally, home=0).do(LeaveRally(one, NOW))
    RallyProcess(rally, home=0).do(LeaveRally(one, NOW))  # a repeat writes nothing

    assert gates_of(rally) == {0: 1, 32: 1}
    assert [home_bucket(slot, GATES) for slot in (0, 1)] == [0, 32]
    sales.close_sale_early(seller_id=seller.id, sale_id=rally.sale_id, now=NOW)
    assert gates_of(rally) == {0: 1, 32: 1}  # it waits for nobody
    sales.settle_step(sale_id=rally.sale_id, now=NOW)
    assert {number: version for number, version in gates_of(rally).items() if number not in (0, 32)} == dict.fromkeys(
        set(range(GATES)) - {0, 32}, 1
    )


def gates_of(rally) -> dict[int, int]:
    """The versions of the gates that were written."""
    return dict(Gate.objects.filter(sale=rally.sale, version__gt=0).values_list("number", "version"))


@pytest.mark.parametrize(
    ("state", "code"),
    [(SaleState.FROZEN, "frozen"), (SaleState.CANCELLED, "called_off"), (SaleState.CLOSED, "not_open")],
)
def test_where_the_sale_stands_is_read_with_every_batch(make_fans, state, code):
    rally = make_rally()
    fan, stranger = make_fans(2, funds=50_000)
    process = RallyProcess(rally)
    process.do(join_request(fan))
    Sale.objects.filter(id=rally.sale_id).update(state=state)
    try:
        joining, leaving, removing = process.do_batch(join_request(stranger), LeaveRally(fan, NOW), RemoveFan(fan, NOW))
    finally:
        Sale.objects.filter(id=rally.sale_id).update(state=SaleState.LIVE)

    gone = "cannot_leave" if state == SaleState.CLOSED else code
    assert (joining.code, leaving.code, removing.code) == (code, gone, gone)
    assert (wallet(fan), wallet(stranger), counted(rally)) == (Balance(40_000, 10_000), Balance(50_000, 0), 1)


def test_times_are_later_by_as_long_as_the_sale_was_frozen(make_fans):
    rally = make_rally()
    one, two = make_fans(2, funds=50_000)
    sealed_end = rally.sale.closes_at
    pause(rally.sale_id, 60)
    process = RallyProcess(rally)

    joined, late = process.do_batch(
        join_request(one, at=sealed_end + dt.timedelta(seconds=59)),
        join_request(two, at=sealed_end + dt.timedelta(seconds=60)),
    )
    assert (joined.state, late.code) == ("joined", "not_open")
    assert sales.close_sale(sale_id=rally.sale_id, now=sealed_end + sales.CLOSE_GRACE) == sealed_end + (
        dt.timedelta(seconds=60) + sales.CLOSE_GRACE
    )
    frame = frames.read_frame(rally.sale_id)
    assert dt.datetime.fromisoformat(frame["closes_at"]) == sealed_end + dt.timedelta(seconds=60)


def test_leaving_shortly_before_the_end_frees_money_and_units_and_not_the_count(make_fans):
    rally = make_rally(cap_units=25)
    stays, leaves, removed, comes = make_fans(4, funds=50_000)
    process = RallyProcess(rally)
    process.do_batch(join_request(stays), join_request(leaves, 2), join_request(removed, only=8_000))
    firm = rally.sale.closes_at - dt.timedelta(seconds=rally.firm_s)
    process.do_batch(LeaveRally(leaves, firm), RemoveFan(removed, firm))

    assert rally.firm_s == 183  # a twentieth of 61 minutes
    assert [wallet(fan) for fan in (leaves, removed)] == [Balance(50_000, 0), Balance(50_000, 0)]
    frame = frames.read_frame(rally.sale_id)
    assert (frame["joiners"], frame["price_minor"], frame["units_left"]) == (3, 8_000, 24)
    assert Join.objects.filter(stays_counted=True).count() == 2
    back, turned_out, new = process.do_batch(
        join_request(leaves, at=firm), join_request(removed, at=firm), join_request(comes, at=firm)
    )
    assert (back.code, turned_out.code, new.state) == ("left_for_good", "removed", "joined")


def test_the_history_of_the_crowd_ends_at_its_count(make_fans):
    rally = make_rally()
    stays, leaves, late = make_fans(3, funds=50_000)
    process = RallyProcess(rally)
    process.do_batch(join_request(stays), join_request(leaves), join_request(late), LeaveRally(leaves, NOW))
    process.do(LeaveRally(late, rally.sale.closes_at - dt.timedelta(seconds=1)))

    sale = rally.sale
    changes = selectors.changes_over_time(rally.sale_id, since=sale.opens_at, until=sale.closes_at, slots=10)

    assert sum(joiners for _, _, joiners, _ in changes) == counted(rally) == 2


@pytest.mark.parametrize("together", [True, False], ids=["in_one_batch", "in_two"])
def test_the_link_of_a_removed_fan_admits_nobody(make_fans, together):
    rally = make_rally(audience="invited")
    first, second = make_fans(2, funds=50_000)
    code = join(rally, first, invite=rally.seller_invite).invite_code
    process = RallyProcess(rally)
    batch = [RemoveFan(first, NOW), join_request(second, invite=code)]

    outcomes = process.do_batch(*batch) if together else [process.do_batch(command)[0] for command in batch]

    assert (outcomes[0].state, outcomes[1].code) == ("removed", "invite_needed")


def test_who_brought_whom_is_known(make_fans):
    rally = make_rally(audience="invited")
    first, second = make_fans(2, funds=50_000)
    one = join(rally, first, invite=rally.seller_invite)
    join(rally, second, invite=one.invite_code)

    assert [j.fan_id for j in selectors.invited_by(rally.sale_id, first)] == [second]


def test_new_terms_are_noticed_by_a_lane_that_knows_the_old(make_fan):
    rally, fan = make_rally(), make_fan(funds=50_000)
    process = RallyProcess(rally)
    old = in_transaction(lambda: process.lane.terms, name="test")
    Sale.objects.filter(id=rally.sale_id).update(terms_sha256="f" * 64)
    try:
        assert process.do(join_request(fan)).terms_sha256 == "f" * 64
    finally:
        Sale.objects.filter(id=rally.sale_id).update(terms_sha256=old.sha256)
        Join.objects.update(terms_sha256=old.sha256)


def test_a_rally_called_off_releases_everybody_in_chunks(make_fans, monkeypatch):
    monkeypatch.setattr(RallyRules, "unwind_chunk", 2)
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
