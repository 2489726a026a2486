"""Fans are told of prices reached, of the end that is near, and of what they paid; each of it once."""

from __future__ import annotations

import datetime as dt

import pytest

from accounts import selectors as accounts
from accounts.models import Notification
from core import due_work
from dsql import faults
from rallies import services, telling
from rallies.models import Rally
from sales import services as sales
from sales import telling as sales_telling
from sales.errors import WrongState
from sales.models import Reminder, Sale, Telling
from tests.tools.shop import HOUR, NOW, join, make_rally, make_seller, rally_terms

pytestmark = pytest.mark.django_db(transaction=True)


def titles(fan) -> list[str]:
    return [n.title for n in reversed(accounts.list_notifications(fan))]


def tell_all(rally, now: dt.datetime = NOW) -> None:
    while sales_telling.tell_step(sale_id=rally.sale_id, now=now):
        pass


def test_everybody_hears_of_a_price_that_was_reached_once(make_fans):
    rally = make_rally()
    fans = make_fans(5, funds=50_000)
    for fan in fans[:3]:
        join(rally, fan)
    telling.watch(rally_id=rally.sale_id, now=NOW)
    tell_all(rally)
    for fan in fans[3:]:
        join(rally, fan)
    for _ in range(3):
        telling.watch(rally_id=rally.sale_id, now=NOW)
        tell_all(rally)

    assert titles(fans[0]) == ["A lamp is down to €80.00", "A lamp is down to €52.00"]
    assert titles(fans[4]) == ["A lamp is down to €52.00"]


def test_the_end_is_announced_when_it_is_near(make_fan):
    rally, fan = make_rally(), make_fan(funds=50_000)
    join(rally, fan)
    soon = telling.closing_soon_at(rally.sale)
    early = telling.watch(rally_id=rally.sale_id, now=soon - dt.timedelta(seconds=1))
    tell_all(rally)
    assert titles(fan) == []
    telling.watch(rally_id=rally.sale_id, now=soon)
    tell_all(rally)

    assert early is not None
    assert titles(fan) == ["A lamp closes soon"]


def test_each_fan_reads_what_became_of_it(make_fans):
    seller = make_seller()
    rally = make_rally(seller=seller)
    paid, free, left = make_fans(3, funds=50_000)
    join(rally, paid, 2)
    join(rally, free, only=5_200)
    join(rally, left)
    services.leave_rally(rally_id=rally.sale_id, fan_id=left, now=NOW)
    sales.close_sale_early(seller_id=seller.id, sale_id=rally.sale_id, now=NOW)
    while sales.settle_step(sale_id=rally.sale_id, now=NOW):
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
    telling.watch(rally_id=rally.sale_id, now=NOW)
    with faults.lose_commit_answers() as injection:
        tell_all(rally)

    assert injection.injected == 1
    assert all("A lamp is down to €52.00" in titles(fan) for fan in fans)
    assert Notification.objects.count() == 5 * Telling.objects.filter(event__startswith="tier").count()
    assert not Telling.objects.filter(done_at=None).exists()


def test_a_watcher_stops_when_the_rally_has_closed():
    seller = make_seller()
    rally = make_rally(seller=seller)
    assert telling.watch(rally_id=rally.sale_id, now=NOW) == NOW + telling.WATCHED_EVERY
    sales.close_sale_early(seller_id=seller.id, sale_id=rally.sale_id, now=NOW)
    assert telling.watch(rally_id=rally.sale_id, now=NOW) is None


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
        following = services.repeat_rally(rally_id=first.sale_id, now=NOW + 2 * HOUR)

    assert Rally.objects.count() == 2
    assert following is not None
    assert (following.repeats_left, following.sale.title) == (1, "A lamp")
    assert following.sale.opens_at - first.sale.opens_at == dt.timedelta(days=7)
    assert Sale.objects.get(id=following.sale_id).state == "scheduled"
    last = services.repeat_rally(rally_id=following.sale_id, now=NOW + 2 * HOUR)
    assert last is not None
    assert services.repeat_rally(rally_id=last.sale_id, now=NOW) is None


def test_a_series_ends_when_one_is_called_off():
    seller = make_seller()
    first = services.open_rally(**rally_terms(seller=seller), repeats_every_days=1, repeats_left=3)
    sales.cancel_sale(seller_id=seller.id, sale_id=first.sale_id, now=NOW)

    assert services.repeat_rally(rally_id=first.sale_id, now=NOW) is None


def test_a_series_that_nobody_looked_after_leaves_out_what_would_be_over():
    first = services.open_rally(**rally_terms(), repeats_every_days=1, repeats_left=3)
    following = services.repeat_rally(rally_id=first.sale_id, now=NOW + dt.timedelta(days=10))

    assert following is not None
    assert following.sale.closes_at > NOW + dt.timedelta(days=10)
