from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.translation import gettext as _

from core.charts import Columns, columns, line
from core.errors import NotAllowed, NotFound
from core.paging import Page, page_of
from sellers.errors import ShopIsOff
from sellers.models import MAY_EDIT_SALES, ApiKey, Follow, Member, Seller, ShopEvent


def open_shops() -> QuerySet[Seller]:
    return Seller.objects.filter(is_active=True)


def get_seller(handle: str) -> Seller:
    """A shop that fans may see. Raises NotFound, and ShopIsOff for one that staff have switched off."""
    seller = Seller.objects.filter(handle=handle).first()
    if seller is None:
        raise NotFound(_("This shop does not exist."))
    if not seller.is_active:
        raise ShopIsOff
    return seller


def is_following(seller_id: UUID, fan_id: UUID) -> bool:
    return _follows(seller_id).filter(fan_id=fan_id).exists()


def count_followers(seller_id: UUID) -> int:
    return _follows(seller_id).count()


def followers(seller_id: UUID, *, after: UUID | None, limit: int) -> list[UUID]:
    """The next of them, in the order of their ids."""
    found = _follows(seller_id)
    if after is not None:
        found = found.filter(fan_id__gt=after)
    return list(found.order_by("fan_id").values_list("fan_id", flat=True)[:limit])


def _follows(seller_id: UUID) -> QuerySet[Follow]:
    """Of those who have not left."""
    return Follow.objects.filter(seller_id=seller_id, left_at=None)


def find_membership(user_id: UUID, handle: str) -> Member | None:
    return Member.objects.select_related("seller").filter(user_id=user_id, seller__handle=handle).first()


def get_membership(user_id: UUID, handle: str) -> Member:
    """The user's place at this seller. To everybody else the console of a shop does not exist."""
    member = find_membership(user_id, handle)
    if member is None:
        raise NotFound
    return member


def get_editor(user_id: UUID, handle: str) -> Member:
    """A member who may change sales. A viewer may look, and is told so."""
    member = get_membership(user_id, handle)
    if not member.seller.is_active:
        raise NotAllowed(_("This shop is switched off by staff. You can look, not change."))
    if member.role not in MAY_EDIT_SALES:
        raise NotAllowed(_("Your role at this shop lets you look, not change."))
    return member


def list_members(seller_id: UUID) -> list[Member]:
    """Each with its user, the first to come first."""
    return list(Member.objects.select_related("user").filter(seller_id=seller_id).order_by("created_at", "id"))


def list_memberships(user_id: UUID) -> list[Member]:
    return list(Member.objects.select_related("seller").filter(user_id=user_id).order_by("seller__name"))


def list_keys(seller_id: UUID) -> list[ApiKey]:
    """Those that are revoked too, the newest first."""
    return list(ApiKey.objects.select_related("made_by").filter(seller_id=seller_id).order_by("-id")[:100])


def page_of_events(seller_id: UUID, cursor: str, *, event: str = "") -> Page[ShopEvent]:
    """The newest first; `event` narrows it to one kind."""
    found = ShopEvent.objects.select_related("by", "key").filter(seller_id=seller_id)
    return page_of(found.filter(event=event) if event else found, cursor)


GROWTH_DAYS = 90


@dataclass(frozen=True, slots=True)
class FollowDay:
    """A day of a shop's followers, in the reader's zone. `total` is how many there were at its end."""

    day: dt.date
    joined: int
    left: int
    total: int

    @property
    def net(self) -> int:
        return self.joined - self.left


@dataclass(frozen=True, slots=True)
class Growth:
    """Of a shop's followers, by day, the oldest first."""

    count: int
    new_in_week: int
    left_in_week: int
    days: list[FollowDay]

    @property
    def moved(self) -> list[FollowDay]:
        """The days on which somebody came or left, the newest first."""
        return [day for day in reversed(self.days) if day.joined or day.left]

    @property
    def points(self) -> str:
        """A line of how many there were."""
        return line([day.total for day in self.days])

    @property
    def columns(self) -> Columns:
        """Who joined, and below the line who left."""
        return columns([(day.joined,) for day in self.days], [day.left for day in self.days])


def growth(seller_id: UUID, now: dt.datetime) -> Growth:
    """The last GROWTH_DAYS days and today. Reads the follows that began or ended in them, and one count."""
    today = timezone.localtime(now).date()
    first = today - dt.timedelta(days=GROWTH_DAYS)
    since = timezone.make_aware(dt.datetime.combine(first, dt.time()))
    follows = Follow.objects.filter(seller_id=seller_id)
    joined, left = (_by_day(follows, name, since) for name in ("made_at", "left_at"))
    count = count_followers(seller_id)
    total = count - sum(joined.values()) + sum(left.values())  # before the first day
    days = []
    for number in range(GROWTH_DAYS + 1):
        day = first + dt.timedelta(days=number)
        total += joined.get(day, 0) - left.get(day, 0)
        days.append(FollowDay(day, joined.get(day, 0), left.get(day, 0), total))
    week = now - dt.timedelta(days=7)
    return Growth(
        count, follows.filter(made_at__gte=week).count(), follows.filter(left_at__gte=week).count(), days,
    )  # fmt: skip


def _by_day(follows: QuerySet[Follow], moment: str, since: dt.datetime) -> dict[dt.date, int]:
    """Day → how many follows have this moment in it."""
    found = follows.filter(**{f"{moment}__gte": since}).annotate(day=TruncDate(moment))
    return dict(found.values_list("day").annotate(n=Count("fan_id")).order_by())
