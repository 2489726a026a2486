"""A fan who leads an auction has money in it; every bid of theirs is theirs to take along."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.closing import Part, register
from auctions.models import Bid, Lot, LotState


def obstacles(user_id: UUID) -> list[str]:
    leads = Lot.objects.filter(leader_id=user_id, state=LotState.OPEN).exists()
    return [_("You lead in an auction: wait for its end.")] if leads else []


def export(user_id: UUID) -> list[dict[str, Any]]:
    bids = Bid.objects.filter(fan_id=user_id).order_by("id")
    named = bids.values("id", "sale_id", "seq", "max_minor", "answer", "received_at", "price_after_minor")
    return [dict(bid) for bid in named]


register(Part("bids", obstacles=obstacles, export=export))
