from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, QuerySet
from django.db.models.functions import TruncDate
from django.utils.translation import gettext as _

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
    return Follow.objects.filter(seller_id=seller_id, fan_id=fan_id).exists()


def count_followers(seller_id: UUID) -> int:
    return Follow.objects.filter(seller_id=seller_id).count()


def followers(seller_id: UUID, *, after: UUID | None, limit: int) -> list[UUID]:
    """The next of them, in the order of their ids."""
    found = Follow.objects.filter(seller_id=seller_id)
    if after is not None:
        found = found.filter(fan_id__gt=after)
    return list(found.order_by("fan_id").values_list("fan_id", flat=True)[:limit])


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
class Growth:
    """Of a shop's followers. `points` is a line from left to right over the days, in percent of the picture."""

    count: int
    new_in_week: int
    days: int
    points: str


def growth(seller_id: UUID, now: dt.datetime) -> Growth:
    """Of those who follow it now: whoever has left again is not counted."""
    since = now - dt.timedelta(days=GROWTH_DAYS)
    follows = Follow.objects.filter(seller_id=seller_id)
    before = follows.filter(made_at__lt=since).count()
    by_day = dict(
        follows.filter(made_at__gte=since)
        .annotate(day=TruncDate("made_at"))
        .values_list("day")
        .annotate(n=Count("fan_id"))
        .order_by()
    )
    total, points = before, []
    counts = []
    for number in range(GROWTH_DAYS + 1):
        total += by_day.get((since + dt.timedelta(days=number)).date(), 0)
        counts.append(total)
    for number, count in enumerate(counts):
        points.append(f"{100 * number / GROWTH_DAYS:.2f},{100 * (1 - count / total) if total else 100:.2f}")
    week = follows.filter(made_at__gte=now - dt.timedelta(days=7)).count()
    return Growth(total, week, GROWTH_DAYS, " ".join(points))
