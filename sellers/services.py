from __future__ import annotations

from uuid import UUID

from django.db.models import Q

from core.transactions import retried_transaction
from sellers.errors import HandleTaken
from sellers.models import Member, Role, Seller


@retried_transaction(replayable=True)
def open_shop(*, seller_id: UUID, owner_id: UUID, handle: str, name: str, about: str = "") -> Seller:
    """A new seller with its owner. A repeat with the same `seller_id` returns the shop; a taken handle raises HandleTaken."""
    seller = Seller.objects.filter(id=seller_id, members__user_id=owner_id).first()
    if seller is not None:
        return seller
    if Seller.objects.filter(Q(handle=handle) | Q(id=seller_id)).exists():
        raise HandleTaken(handle=handle)
    seller = Seller(id=seller_id, handle=handle, name=name, about=about)
    seller.save(force_insert=True)
    Member.objects.create(seller=seller, user_id=owner_id, role=Role.OWNER)
    return seller


@retried_transaction(replayable=True)
def set_member(*, seller_id: UUID, user_id: UUID, role: Role) -> Member:
    """Give the user this role at the seller, whether or not they had one."""
    # Not update_or_create: without savepoints it cannot go on when another transaction was first.
    member = Member.objects.filter(seller_id=seller_id, user_id=user_id).first()
    if member is None:
        return Member.objects.create(seller_id=seller_id, user_id=user_id, role=role)
    member.role = role
    member.save(update_fields=["role"])
    return member
