"""Who follows a shop, who has left again, and how that is shown."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from accounts import closing
from accounts.models import User
from sellers import selectors, services
from sellers.models import Follow, Role, Seller
from tests.tools.shop import NOW, make_fan, make_seller

pytestmark = pytest.mark.django_db(transaction=True)

DAY = dt.timedelta(days=1)


@pytest.fixture
def seller() -> Seller:
    return make_seller(handle="northlight")


def follow(seller: Seller, fan_id: UUID, *, days_ago: int, left: int | None = None) -> UUID:
    services.follow(seller_id=seller.id, fan_id=fan_id, now=NOW - days_ago * DAY)
    if left is not None:
        services.unfollow(seller_id=seller.id, fan_id=fan_id, now=NOW - left * DAY)
    return fan_id


def day_of(growth: selectors.Growth, days_ago: int) -> tuple[int, int, int, int]:
    day = growth.days[-1 - days_ago]
    assert day.day == timezone.localtime(NOW - days_ago * DAY).date()
    return day.joined, day.left, day.net, day.total


def test_joined_left_net_and_total_by_day(seller: Seller) -> None:
    for days_ago, left in [(200, None), (200, 100), (120, 3), (10, None), (3, None), (3, 0)]:
        follow(seller, make_fan(), days_ago=days_ago, left=left)
    follow(make_seller(), make_fan(), days_ago=3)

    growth = selectors.growth(seller.id, NOW)

    assert (growth.count, growth.new_in_week, growth.left_in_week) == (3, 2, 2)
    assert len(growth.days) == selectors.GROWTH_DAYS + 1
    assert [day_of(growth, days) for days in (90, 10, 4, 3, 2, 0)] == [
        (0, 0, 0, 2), (1, 0, 1, 3), (0, 0, 0, 3), (2, 1, 1, 4), (0, 0, 0, 4), (0, 1, -1, 3),
    ]  # fmt: skip
    assert growth.days[-1].total == growth.count


def test_who_left_is_not_counted_and_not_told_and_a_repeat_changes_nothing(seller: Seller) -> None:
    fan = follow(seller, make_fan(), days_ago=5, left=2)
    services.unfollow(seller_id=seller.id, fan_id=fan, now=NOW)

    assert not selectors.is_following(seller.id, fan)
    assert selectors.count_followers(seller.id) == 0
    assert selectors.followers(seller.id, after=None, limit=10) == []
    assert Follow.objects.get().left_at == NOW - 2 * DAY


def test_who_follows_again_is_current_and_counted_once(seller: Seller) -> None:
    fan = follow(seller, make_fan(), days_ago=5, left=2)
    for _ in range(2):
        services.follow(seller_id=seller.id, fan_id=fan, now=NOW)

    assert selectors.is_following(seller.id, fan)
    assert selectors.followers(seller.id, after=None, limit=10) == [fan]
    growth = selectors.growth(seller.id, NOW)
    assert (growth.count, day_of(growth, 5), day_of(growth, 2), day_of(growth, 0)) == (
        1, (1, 0, 1, 1), (0, 0, 0, 1), (0, 0, 0, 1),
    )  # fmt: skip


def test_a_closed_account_leaves_no_row_of_what_it_followed_or_had_followed(seller: Seller) -> None:
    gone, stays = make_fan(), make_fan()
    follow(seller, gone, days_ago=5, left=2)
    follow(make_seller(), gone, days_ago=5)
    follow(seller, stays, days_ago=5, left=2)

    closing.close_account(user_id=gone, now=NOW)

    assert [row.fan_id for row in Follow.objects.all()] == [stays]


def test_a_fan_takes_along_whom_they_follow_and_followed(seller: Seller) -> None:
    fan = follow(seller, make_fan(), days_ago=5, left=2)

    assert closing.export(fan)["follows"] == [
        {"seller__handle": "northlight", "made_at": NOW - 5 * DAY, "left_at": NOW - 2 * DAY}
    ]


def test_the_page_has_a_table_of_the_days(seller: Seller) -> None:
    owner = make_fan()
    services.set_member(seller_id=seller.id, user_id=owner, role=Role.VIEWER)
    now = timezone.now()
    for _ in range(2):
        services.follow(seller_id=seller.id, fan_id=make_fan(), now=now - 3 * DAY)
    client = Client()
    client.force_login(User.objects.get(id=owner))

    answer: Any = client.get("/sell/northlight/followers/")

    html = " ".join(answer.content.decode().split())
    assert "<td>2</td><td>0</td><td>+2</td><td>2</td>" in html
    assert "style=" not in html
    assert [day.joined for day in answer.context["growth"].moved] == [2]
