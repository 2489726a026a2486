from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema, Status
from ninja.security import django_auth

from core import clock
from core.http import user_id
from core.money import Money, sold_in
from core.schemas import Currency, In, Minor
from payments import providers, services

router = Router(auth=django_auth, tags=["wallet"])


class TopUpIn(In):
    """The id is made by the client, so that a repeat starts one payment."""

    id: UUID
    amount_minor: Minor
    currency: Currency = "EUR"


class TopUpOut(Schema):
    id: UUID
    state: str
    checkout_url: str


@router.post("", response={201: TopUpOut})
def start_top_up(request: HttpRequest, body: TopUpIn) -> Status[dict[str, Any]]:
    """Start putting money into the wallet; the answer says where to pay."""
    amount = Money(body.amount_minor, sold_in(body.currency))
    top_up = services.start_top_up(top_up_id=body.id, user_id=user_id(request), amount=amount, now=clock.now())
    url = request.build_absolute_uri(providers.current().checkout_url(top_up))
    return Status(201, {"id": top_up.id, "state": top_up.state, "checkout_url": url})
