from __future__ import annotations

import datetime as dt
from uuid import UUID

from ninja import Router, Schema
from ninja.security import django_auth

from auctions.dutch import selectors, services
from auctions.models import Dutch
from sales.lifecycle_api import lifecycle_routes
from sales.things_api import things_routes

router = Router(auth=django_auth)


class ClaimedOut(Schema):
    """A fan's own claim. Minor units: of a unit when it was claimed, and what was taken for one in the end."""

    id: UUID
    sale_id: UUID
    quantity: int
    unit_price_minor: int
    unit_paid_minor: int | None
    state: str
    claimed_at: dt.datetime
    terms_sha256: str


lifecycle_routes(router, format="dutch", plural="falling-prices", draft=services.draft_dutch, model=Dutch)

things_routes(
    router, format="dutch", plural="falling-prices", things=selectors.claims, name="claims", mine_at="/auctions/claims",
    out=ClaimedOut, show=lambda claims: claims,
)  # fmt: skip
