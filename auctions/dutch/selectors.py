from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from uuid import UUID

from django.db.models import Count
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from auctions.errors import ClaimNotFound
from auctions.models import Claim, ClaimState
from sales.things import Things

claims = Things(
    Claim, terms="sale", missing=ClaimNotFound, receipt="auctions/dutch/claim.html", page="dutch:claim",
    paid_minor=lambda claim: claim.quantity * (claim.unit_paid_minor or 0) if claim.state == ClaimState.PAID else 0,
    noun=pgettext_lazy("noun", "claim"), nouns=_("claims"),
)  # fmt: skip
COUNTED_MAX = 2_000


def claims_of_fan(fan_id: UUID, sale_id: UUID) -> list[Claim]:
    return list(Claim.objects.filter(fan_id=fan_id, sale_id=sale_id).order_by("claimed_at", "id"))


def sums_of(sale_ids: Collection[UUID]) -> dict[UUID, tuple[int, int]]:
    """Sale → (units claimed, what they cost when they were, or were charged), of claims that were not given back. Minor units."""
    rows = Claim.objects.filter(sale_id__in=sale_ids, state__in=[ClaimState.HELD, ClaimState.PAID]).values_list(
        "sale_id", "quantity", "unit_price_minor", "unit_paid_minor"
    )
    sums: dict[UUID, tuple[int, int]] = {}
    counted = rows.annotate(count=Count("id")).order_by()
    for sale_id, quantity, price_minor, paid_minor, count in counted:
        units, gross = sums.get(sale_id, (0, 0))
        unit_minor = price_minor if paid_minor is None else paid_minor
        sums[sale_id] = (units + quantity * count, gross + quantity * unit_minor * count)
    return sums


def units_since(sale_id: UUID, since: dt.datetime) -> int:
    """Of the newest, so that no more are read however many there are."""
    newest = Claim.objects.filter(sale_id=sale_id).order_by("-id").values_list("claimed_at", "quantity")[:COUNTED_MAX]
    return sum(quantity for at, quantity in newest if at >= since)
