from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from accounts import audit
from accounts.models import User
from core import clock
from core.text import clean_line, clean_text
from core.transactions import joins_transaction, retried_transaction
from sellers import events
from sellers.errors import HandleTaken, LastOwner, TooManyShops
from sellers.models import ABOUT_MAX, NAME_MAX, Follow, Member, Role, Seller
from sellers.theme import CHROMA_MAX

SHOPS_MAX = 5  # that one user opens
# Addresses that a fan would take for the house's own, or for a part of the site.
RESERVED = frozenset(
    {
        "about", "account", "accounts", "admin", "api", "billing", "dropfront", "help", "house", "join", "legal", "login", "logout",
        "mail", "media", "moderator", "official", "orders", "pay", "payments", "pictures", "proof", "rallies", "root", "sales",
        "security", "sell", "seller", "sellers", "shop", "shops", "staff", "static", "status", "support", "system", "team",
        "things", "wallet", "www",
    }
)  # fmt: skip
_ALIKE = str.maketrans({"0": "o", "1": "l", "3": "e", "4": "a", "5": "s", "7": "t", "-": None})


@retried_transaction(replayable=True)
def open_shop(*, seller_id: UUID, owner_id: UUID, handle: str, name: str, about: str = "") -> Seller:
    """A new seller with its owner; where SELLERS_NEED_APPROVAL says so it waits for staff (`sellers/approval.py`).

    A repeat with the same `seller_id` returns the shop. Raises HandleTaken, also for an address that would pass for the house's,
    TooManyShops, and Invalid.
    """
    seller = Seller.objects.filter(id=seller_id, members__user_id=owner_id).first()
    if seller is not None:
        return seller
    handle = handle.lower()
    if is_reserved(handle) or Seller.objects.filter(Q(handle=handle) | Q(id=seller_id)).exists():
        raise HandleTaken(handle=handle)
    if Member.objects.filter(user_id=owner_id, role=Role.OWNER).count() >= SHOPS_MAX:
        raise TooManyShops(most=SHOPS_MAX)
    seller = Seller(
        id=seller_id, handle=handle, name=clean_line(name, field="name", most=NAME_MAX),
        about=clean_text(about, field="about", most=ABOUT_MAX), waits_since=clock.now() if settings.SELLERS_NEED_APPROVAL else None,
    )  # fmt: skip
    seller.save(force_insert=True)
    Member.objects.create(seller=seller, user_id=owner_id, role=Role.OWNER)
    return seller


def is_reserved(handle: str) -> bool:
    """Whether it is an address of the house's, or looks like one: `dr0pfront`, `drop-front`, `dropfront-official`."""
    looks = handle.translate(_ALIKE)
    return looks in RESERVED or "dropfront" in looks


@retried_transaction(replayable=True)
def follow(*, seller_id: UUID, fan_id: UUID, now: dt.datetime) -> None:
    """Have the fan told of the shop's new sales. A repeat changes nothing; whoever had left follows again."""
    Follow.objects.bulk_create([Follow(seller_id=seller_id, fan_id=fan_id, made_at=now)], ignore_conflicts=True)
    Follow.objects.filter(seller_id=seller_id, fan_id=fan_id, left_at__isnull=False).update(left_at=None)


@retried_transaction(replayable=True)
def unfollow(*, seller_id: UUID, fan_id: UUID, now: dt.datetime) -> None:
    """Take that back. A repeat changes nothing."""
    Follow.objects.filter(seller_id=seller_id, fan_id=fan_id, left_at=None).update(left_at=now)


@retried_transaction(replayable=True)
def set_brand(*, seller_id: UUID, name: str, about: str, hue: int | None, chroma: int | None) -> None:
    """What a shop is called, what it says of itself and its colour (`Seller.hue`). Raises Invalid."""
    events.write("brand_changed", seller_id=seller_id, now=clock.now(), name=name)
    Seller.objects.filter(id=seller_id).update(
        name=clean_line(name, field="name", most=NAME_MAX), about=clean_text(about, field="about", most=ABOUT_MAX),
        hue=None if hue is None else hue % 360, chroma=None if chroma is None else min(max(chroma, 0), CHROMA_MAX),
    )  # fmt: skip


@retried_transaction(replayable=True)
def set_member(*, seller_id: UUID, user_id: UUID, role: Role) -> Member:
    """Give the user this role at the seller, whether or not they had one. Raises LastOwner."""
    return give_role(seller_id=seller_id, user_id=user_id, role=role)


@joins_transaction
def give_role(*, seller_id: UUID, user_id: UUID, role: Role) -> Member:
    # Not update_or_create: without savepoints it cannot go on when another transaction was first.
    member = Member.objects.filter(seller_id=seller_id, user_id=user_id).first()
    now = clock.now()
    audit.write("role_given", user_id=user_id, now=now, seller=seller_id, role=role)
    events.write("role_given", seller_id=seller_id, now=now, to=_address(user_id), role=Role(role).value)
    if member is None:
        return Member.objects.create(seller_id=seller_id, user_id=user_id, role=role)
    if role != Role.OWNER:
        _keep_an_owner(member)
    member.role = role
    member.save(update_fields=["role"])
    return member


@retried_transaction(replayable=True)
def remove_member(*, seller_id: UUID, user_id: UUID) -> None:
    """The user is none of the seller's any more. A repeat changes nothing. Raises LastOwner."""
    take_out(seller_id=seller_id, user_id=user_id)


@joins_transaction
def take_out(*, seller_id: UUID, user_id: UUID) -> None:
    member = Member.objects.filter(seller_id=seller_id, user_id=user_id).first()
    if member is not None:
        _keep_an_owner(member)
        member.delete()
        now = clock.now()
        audit.write("role_taken", user_id=user_id, now=now, seller=member.seller_id, role=member.role)
        events.write("role_taken", seller_id=seller_id, now=now, of=_address(user_id), role=member.role)


def _address(user_id: UUID) -> str:
    return str(User.objects.values_list("email", flat=True).get(id=user_id))


@joins_transaction
def _keep_an_owner(leaving: Member) -> None:
    """A shop without an owner goes on selling, and nobody can reach what it earns."""
    if leaving.role != Role.OWNER:
        return
    # Locked: two owners who take each other's role away see each other's still.
    Seller.objects.select_for_update().get(id=leaving.seller_id)
    others = Member.objects.filter(seller_id=leaving.seller_id, role=Role.OWNER).exclude(id=leaving.id)
    if not others.exists():
        raise LastOwner
