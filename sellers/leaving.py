"""A shop must not lose its last owner; whoever leaves is no member any more."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.closing import Part, register
from sellers import services
from sellers.models import Follow, Member, Role


def obstacles(user_id: UUID) -> list[str]:
    owned = Member.objects.select_related("seller").filter(user_id=user_id, role=Role.OWNER)
    alone = [member.seller.name for member in owned if not _other_owners(member)]
    return [
        _("You are the only owner of {name}: make somebody else an owner first.").format(name=name) for name in alone
    ]


def _other_owners(member: Member) -> bool:
    return Member.objects.filter(seller_id=member.seller_id, role=Role.OWNER).exclude(user_id=member.user_id).exists()


def leave(user_id: UUID) -> None:
    for member in Member.objects.filter(user_id=user_id):
        services.take_out(seller_id=member.seller_id, user_id=user_id)
    Follow.objects.filter(fan_id=user_id).delete()


def export(user_id: UUID) -> list[dict[str, Any]]:
    own = Member.objects.filter(user_id=user_id)
    return [dict(row) for row in own.values("seller__handle", "seller__name", "role")]


def follows(user_id: UUID) -> list[dict[str, Any]]:
    """Also those that they have left again."""
    own = Follow.objects.filter(fan_id=user_id).order_by("made_at", "seller_id")
    return [dict(row) for row in own.values("seller__handle", "made_at", "left_at")]


register(Part("follows", export=follows))
register(Part("shops", obstacles=obstacles, leave=leave, export=export))
