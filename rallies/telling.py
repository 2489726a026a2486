"""What fans of a rally are told: a price was reached, it closes soon, it is settled. Sent by `sales.telling`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from django.urls import reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from accounts.services import Message
from core.language import Said, number_lazy
from core.money import Money
from core.transactions import retried_transaction
from rallies import selectors
from rallies.loading import load_counts, load_terms
from rallies.models import Join, JoinState, Outcome
from rallies.pricing import PriceTier
from sales.models import RUNNING_STATES, Sale
from sales.telling import tell_later

Words = tuple[Said, Said]  # a title and a text, written in the language of who is told
CLOSING = "closing"
SETTLED = "settled"
WATCH = "rallies.watch"
# "Closes soon" is said this long before, or for a short rally in its last fifth.
CLOSING_SOON = dt.timedelta(minutes=15)


@retried_transaction(replayable=True)
def price_moved(rally_id: UUID, level: int, was: int, *, now: dt.datetime) -> None:
    """Have fans told that the price has come down to a tier, or has risen again to one. Each is said once in a rally."""
    for reached in range(1, level + 1):
        tell_later(rally_id, f"tier-{reached}", now=now)
    if level < was:
        tell_later(rally_id, f"rose-{level}", now=now)


@retried_transaction(replayable=True)
def watch(*, rally_id: UUID, now: dt.datetime) -> dt.datetime | None:
    """Have fans told that the end is near, and of every tier that nobody has told of. When to look again, or None."""
    sale = Sale.objects.get(id=rally_id)
    if sale.state not in RUNNING_STATES:
        return None
    soon_at = closing_soon_at(sale)
    if now < soon_at:
        return soon_at
    for reached in range(1, load_counts(load_terms(rally_id)).crowd.level + 1):
        tell_later(rally_id, f"tier-{reached}", now=now)
    tell_later(rally_id, CLOSING, now=now)
    return None


def closing_soon_at(sale: Sale) -> dt.datetime:
    return sale.closes_at + sale.moved_by - min(CLOSING_SOON, (sale.closes_at - sale.opens_at) / 5)


def messages(sale: Sale, event: str, *, after: UUID | None, limit: int) -> Sequence[Message]:
    """The next fans' messages, in the order of fans."""
    wanted = [JoinState.PAID, JoinState.RELEASED] if event == SETTLED else [JoinState.JOINED]
    found = list(selectors.joins.of_sale(sale.id, after=after).filter(state__in=wanted).order_by("fan_id")[:limit])
    path = reverse("sales:room", args=[sale.id])
    tiers = selectors.tiers_of(sale.id)
    if event == SETTLED:
        outcome = Outcome.objects.get(rally_id=sale.id)
        return [Message(join.fan_id, *_settled_words(sale, tiers, join, outcome), path) for join in found]
    title, text = _words(sale, tiers, event)
    return [Message(join.fan_id, title, text, path) for join in found]


def _words(sale: Sale, tiers: Sequence[PriceTier], event: str) -> Words:
    if event == CLOSING:
        return format_lazy(_("{title} closes soon"), title=sale.title), _(
            "Bring somebody with your invite link: the price falls for all."
        )
    kind, level = event.split("-")
    tier = tiers[int(level)]
    price = Money(tier.price_minor, sale.currency)
    if kind == "tier":
        crowd = format_lazy(
            _("The crowd reached {from_count}. Everybody pays what it ends at."),
            from_count=number_lazy(tier.from_count),
        )
        return format_lazy(_("{title} is down to {price}"), title=sale.title, price=price), crowd
    assert kind == "rose", event
    return (
        format_lazy(_("{title} is at {price} again"), title=sale.title, price=price),
        _("Some have left. Bring others with your invite link, or leave while you can."),
    )


def _settled_words(sale: Sale, tiers: Sequence[PriceTier], join: Join, outcome: Outcome) -> Words:
    if join.state == JoinState.PAID:
        paid = Money(outcome.price_minor * join.quantity, sale.currency)
        saved = Money((tiers[0].price_minor - outcome.price_minor) * join.quantity, sale.currency)
        return format_lazy(_("{title}: you paid {paid}"), title=sale.title, paid=paid), format_lazy(
            _("You saved {saved} on the first price. The rest of your hold is free."), saved=saved
        )
    if not outcome.did_run:
        return format_lazy(_("{title} did not run"), title=sale.title), _(
            "Fewer joined than it needed, so nobody pays. Your money is free."
        )
    return format_lazy(_("{title}: you were not charged"), title=sale.title), _(
        "The price did not fall to your limit. Your money is free."
    )
