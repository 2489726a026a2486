"""Fans are told of prices reached, of the end that is near, and of what they paid; each of it once."""

from __future__ import annotations

import datetime as dt

import pytest

from accounts import selectors as account_selectors
from accounts.models import Notification, User
from core import due_work
from core.errors import Invalid
from core.models import DueWork
from core.transactions import in_transaction
from dsql import faults
from rallies import services, settlement, telling
from rallies.models import Rally
from rallies.pricing import PriceTier
from sales import services as sales
from sales import telling as sales_telling
from sales.errors import WrongState
from sales.models import Reminder, Sale, Telling
from tests.tools.shop import HOUR, NOW, close_on_time, join, join_request, make_rally, make_seller, pause, rally_terms

pytestmark = pytest.mark.django_db(transaction=True)


def titles(fan) -> list[str]:
    return [n.title for n in reversed(account_selectors.page_of_notifications(fan).rows)]


def tell_all(rally, now: dt.datetime = NOW) -> None:
    while sales_telling.tell_step(sale_id=rally.sale_id, now=now):
        pass


def test_everybody_hears_of_a_price_that_was_reached_once(make_fans):
    rally = make_rally()
    fans = make_fans(5, funds=50_000)
    for fan in fans[:3]:
        join(rally, fan)
    tell_all(rally)
    for fan in fans[3:]:
        join(rally, fan)
    tell_all(rally)
    telling.watch(rally_id=rally.sale_id, now=rally.sale.closes_at)
    tell_all(rally)

    closes = "A lamp closes soon"
    assert titles(fans[0]) == ["A lamp is down to €80.00", "A lamp is down to €52.00", closes]
    assert titles(fans[4]) == ["A lamp is down to €52.00", closes]


def test_each_is_told_in_their_own_language(make_fans):
    tiers = [PriceTier(1, 10_000), PriceTier(2, 1_234)]
    rally = make_rally(tiers=tiers)
    german, english = make_fans(2, funds=50_000)
    User.objects.filter(id=german).update(language="de")
    for fan in (german, english):
        join(rally, fan)
    tell_all(rally)

    assert titles(german) == ["A lamp ist auf 12,34\xa0€ gefallen"]
    assert titles(english) == ["A lamp is down to €12.34"]


def test_a_batch_that_passes_two_tiers_tells_of_both(make_fans):
    rally = make_rally()
    told_by(services.RallyLane(rally.sale_id), *[join_request(fan) for fan in make_fans(5, funds=50_000)])

    assert events(rally) == {"tier-1", "tier-2"}


def told_by(lane, *commands) -> None:
    """One batch of a process' lane, with what follows its commit."""
    lane.told(commands, in_transaction(lambda: lane.run(commands), name="test"))


def events(rally) -> set[str]:
    return set(Telling.objects.filter(sale=rally.sale).values_list("event", flat=True))


def test_a_price_that_rises_again_is_told_once(make_fans):
    rally = make_rally()
    *fans, last = make_fans(3, funds=50_000)
    for fan in fans:
        join(rally, fan)
    for _ in range(2):
        join(rally, last)
        tell_all(rally)
        services.leave_rally(rally_id=rally.sale_id, fan_id=last, now=NOW)
        tell_all(rally)

    assert titles(fans[0]) == ["A lamp is down to €80.00", "A lamp is at €100.00 again"]
    assert titles(last) == ["A lamp is down to €80.00"]


def test_a_price_that_stays_when_somebody_leaves_near_the_end_is_not_told_to_rise(make_fans):
    rally = make_rally()
    fans = make_fans(3, funds=50_000)
    for fan in fans:
        join(rally, fan)
    near_the_end = rally.sale.closes_at - dt.timedelta(seconds=1)
    services.leave_rally(rally_id=rally.sale_id, fan_id=fans[0], now=near_the_end)

    assert events(rally) == {"tier-1"}


def test_two_processes_that_see_the_same_price_tell_of_it_once(make_fans):
    rally = make_rally()
    one, two, three, four = make_fans(4, funds=50_000)
    lanes = [services.RallyLane(rally.sale_id) for _ in range(2)]
    told_by(lanes[0], join_request(one), join_request(two), join_request(three))
    told_by(lanes[1], join_request(four))
    tell_all(rally)

    assert [titles(fan) for fan in (one, four)] == [["A lamp is down to €80.00"]] * 2


def test_a_price_that_nobody_told_of_is_told_with_the_end_that_is_near(make_fans, monkeypatch):
    """As when a process dies right after its batch."""
    monkeypatch.setattr(services.RallyLane, "committed", lambda lane, state: None)
    rally = make_rally()
    lane = services.RallyLane(rally.sale_id)
    fans = make_fans(3, funds=50_000)
    told_by(lane, *[join_request(fan) for fan in fans])
    assert events(rally) == set()

    telling.watch(rally_id=rally.sale_id, now=telling.closing_soon_at(rally.sale))

    assert events(rally) == {"tier-1", "closing"}


def test_the_end_is_announced_when_it_is_near(make_fan):
    rally, fan = make_rally(), make_fan(funds=50_000)
    join(rally, fan)
    soon = telling.closing_soon_at(rally.sale)
    assert DueWork.objects.get(kind=telling.WATCH).due_at == soon == NOW + dt.timedelta(minutes=47, seconds=48)
    assert telling.watch(rally_id=rally.sale_id, now=soon - dt.timedelta(seconds=1)) == soon
    tell_all(rally)
    assert titles(fan) == []

    assert telling.watch(rally_id=rally.sale_id, now=soon) is None
    tell_all(rally)
    assert titles(fan) == ["A lamp closes soon"]


@pytest.mark.tampers  # nobody froze it
def test_the_end_of_a_rally_that_was_frozen_is_near_later():
    rally = make_rally()
    soon = telling.closing_soon_at(rally.sale)
    pause(rally.sale_id, 60)

    assert telling.watch(rally_id=rally.sale_id, now=soon) == soon + dt.timedelta(seconds=60)


def test_each_fan_reads_what_became_of_it(make_fans):
    rally = make_rally()
    paid, free, left = make_fans(3, funds=50_000)
    join(rally, paid, 2)
    join(rally, free, only=5_200)
    join(rally, left)
    services.leave_rally(rally_id=rally.sale_id, fan_id=left, now=NOW)
    closed_at = close_on_time(rally.sale_id)
    while sales.settle_step(sale_id=rally.sale_id, now=closed_at):
        pass
    tell_all(rally)

    assert titles(paid) == ["A lamp: you paid €200.00"]
    assert titles(free) == ["A lamp: you were not charged"]
    assert titles(left) == []


def test_telling_goes_on_in_chunks_and_after_a_lost_answer(make_fans, monkeypatch):
    monkeypatch.setattr(sales_telling, "CHUNK_FANS", 2)
    rally = make_rally()
    fans = make_fans(5, funds=50_000)
    for fan in fans:
        join(rally, fan)
    with faults.lose_commit_answers() as injection:
        tell_all(rally)

    assert injection.injected == 1
    assert all("A lamp is down to €52.00" in titles(fan) for fan in fans)
    assert Notification.objects.count() == 5 * Telling.objects.filter(event__startswith="tier").count()
    assert not Telling.objects.filter(done_at=None).exists()


def test_a_watcher_stops_when_the_rally_has_closed():
    seller = make_seller()
    rally = make_rally(seller=seller)
    soon = telling.closing_soon_at(rally.sale)
    sales.close_sale_early(seller_id=seller.id, sale_id=rally.sale_id, now=NOW)
    assert telling.watch(rally_id=rally.sale_id, now=soon) is None
    assert events(rally) == set()


def test_a_reminder_arrives_when_the_sale_opens(make_fans):
    rally = make_rally(opens_at=NOW + HOUR, closes_at=NOW + 2 * HOUR)
    one, two = make_fans(2, funds=100)
    for fan in (one, one, two):
        sales_telling.remind(sale_id=rally.sale_id, fan_id=fan, now=NOW)
    sales_telling.forget_reminder(sale_id=rally.sale_id, fan_id=two)
    assert Reminder.objects.count() == 1

    due_work.run_due(now=NOW + HOUR)
    due_work.run_due(now=NOW + HOUR)

    assert titles(one) == ["A lamp is open"]
    assert titles(two) == []
    with pytest.raises(WrongState):
        sales_telling.remind(sale_id=rally.sale_id, fan_id=two, now=NOW + HOUR)


def test_a_rally_of_a_series_publishes_the_next():
    seller = make_seller()
    terms = rally_terms(seller=seller) | {"repeats_every_days": 7, "repeats_left": 2}
    first = services.open_rally(**terms)
    for _ in range(2):
        following = settlement.repeat_rally(rally_id=first.sale_id, now=NOW + 2 * HOUR)

    assert Rally.objects.count() == 2
    assert following is not None
    assert (following.repeats_left, following.sale.title) == (1, "A lamp")
    assert following.sale.opens_at - first.sale.opens_at == dt.timedelta(days=7)
    assert Sale.objects.get(id=following.sale_id).state == "scheduled"
    last = settlement.repeat_rally(rally_id=following.sale_id, now=NOW + 2 * HOUR)
    assert last is not None
    assert settlement.repeat_rally(rally_id=last.sale_id, now=NOW) is None


def test_a_series_ends_when_one_is_called_off():
    seller = make_seller()
    first = services.open_rally(**rally_terms(seller=seller), repeats_every_days=1, repeats_left=3)
    sales.cancel_sale(seller_id=seller.id, sale_id=first.sale_id, now=NOW)

    assert settlement.repeat_rally(rally_id=first.sale_id, now=NOW) is None


def test_a_series_that_nobody_looked_after_leaves_out_what_would_be_over():
    first = services.open_rally(**rally_terms(), repeats_every_days=1, repeats_left=3)
    following = settlement.repeat_rally(rally_id=first.sale_id, now=NOW + dt.timedelta(days=10))

    assert following is not None
    assert following.sale.closes_at > NOW + dt.timedelta(days=10)


@pytest.mark.parametrize(("zone", "hour_utc"), [("Europe/Berlin", 11), ("UTC", 12), ("America/New_York", 11)])
def test_the_next_of_a_series_has_the_same_time_of_day_where_the_seller_is(zone, hour_utc):
    """Four weeks on, clocks have gone an hour forward both in Berlin and in New York."""
    first = services.open_rally(
        **rally_terms(opens_at=NOW, closes_at=NOW + HOUR), repeats_every_days=28, repeats_left=1, repeats_zone=zone
    )
    following = settlement.repeat_rally(rally_id=first.sale_id, now=NOW + 2 * HOUR)

    assert following is not None
    assert following.sale.opens_at == dt.datetime(2026, 3, 30, hour_utc, tzinfo=dt.UTC)
    assert following.sale.closes_at == dt.datetime(2026, 3, 30, hour_utc + 1, tzinfo=dt.UTC)
    assert following.repeats_zone == zone


def test_a_daily_rally_of_a_whole_day_goes_on_over_the_day_of_25_hours():
    opens_at = dt.datetime(2026, 10, 23, 10, tzinfo=dt.UTC)  # noon in Berlin
    rally = services.open_rally(
        **rally_terms(opens_at=opens_at, closes_at=opens_at + 24 * HOUR, now=opens_at), repeats_every_days=1,
        repeats_left=2, repeats_zone="Europe/Berlin",
    )  # fmt: skip
    opened = []
    while rally := settlement.repeat_rally(rally_id=rally.sale_id, now=rally.sale.closes_at):
        opened.append((rally.sale.opens_at, rally.sale.closes_at))

    day = dt.datetime(2026, 10, 24, tzinfo=dt.UTC)
    assert opened == [(day + 10 * HOUR, day + 35 * HOUR), (day + 35 * HOUR, day + 59 * HOUR)]


def test_an_unknown_time_zone_is_refused():
    with pytest.raises(Invalid) as refusal:
        services.draft_rally(**rally_terms(), repeats_every_days=7, repeats_left=1, repeats_zone="Atlantis/Port")
    assert refusal.value.data == {"field": "repeats_zone"}


def test_a_pause_over_the_end_does_not_ask_for_another_of_a_series_that_goes_on_by_itself():
    """Work that is scheduled anew when a sale goes on finds the next one as it has become: called off, or over."""
    seller = make_seller()
    first = services.open_rally(**rally_terms(seller=seller), repeats_every_days=1, repeats_left=3)
    following = settlement.repeat_rally(rally_id=first.sale_id, now=NOW + HOUR)
    sales.cancel_sale(seller_id=seller.id, sale_id=following.sale_id, now=NOW + 2 * HOUR)

    again = settlement.repeat_rally(rally_id=first.sale_id, now=NOW + dt.timedelta(days=10))

    assert again.sale_id == following.sale_id
    assert again.sale.state == "cancelled"
