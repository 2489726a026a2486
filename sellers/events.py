"""What happened in a shop and who did it: a row of the transaction that did it, never changed, read by all of its members."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_noop as N_

from core import actor
from core.ids import uuid7
from core.transactions import joins_transaction
from sellers.models import ShopEvent

# Each with its words.
EVENTS = {
    "sale_drafted": N_("drafted a sale"),
    "sale_changed": N_("changed a draft"),
    "sale_published": N_("published a sale"),
    "sale_closed": N_("closed a sale early"),
    "sale_called_off": N_("called a sale off"),
    "refunded": N_("refunded a purchase"),
    "brand_changed": N_("changed the brand"),
    "role_given": N_("gave a role"),
    "role_taken": N_("took a role"),
    "invited": N_("invited somebody"),
    "asked_again": N_("asked staff to look at the shop again"),
    "key_made": N_("made an API key"),
    "key_revoked": N_("revoked an API key"),
}
FACT_MAX = 200  # characters of one


@joins_transaction
def write(event: str, *, seller_id: UUID, now: dt.datetime, **facts: Any) -> None:
    """`facts` are shown as they are: no secret, and nothing of a fan beyond what the shop may see."""
    assert event in EVENTS, event
    who = actor.current()
    said = {name: str(value)[:FACT_MAX] for name, value in facts.items()}
    ShopEvent.objects.create(
        id=uuid7(), seller_id=seller_id, event=event, by_id=who.user_id, key_id=who.key_id, facts=said, at=now
    )  # fmt: skip
