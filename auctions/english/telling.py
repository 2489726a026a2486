"""What bidders are told: they were outbid, the end is near, how it ended. Sent by `sales.telling`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from django.urls import reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from accounts.services import Message
from auctions.english import selectors
from auctions.models import Lot
from core.language import Said
from core.money import Money
from core.transactions import retried_transaction
from sales.models import RUNNING_STATES, Sale
from sales.telling import tell_fan, tell_later

ENDED = "ended"
CLOSING = "closing"
WATCH = "auctions.watch"
# "Closes soon" is said this long before, or for a short auction in its last fifth.
CLOSING_SOON = dt.timedelta(minutes=15)


# So often at most is a fan told of being outbid in one lot.
OUTBID_EVERY = dt.timedelta(minutes=10)


def tell_outbid(*, sale_id: UUID, fan_id: UUID, now: dt.datetime) -> None:
    """Tell whoever led that somebody bid more; once in each ten minutes, whichever process noticed."""
    tell_fan(
        sale_id=sale_id, fan_id=fan_id, about=f"outbid:{sale_id}:{int(now.timestamp() // OUTBID_EVERY.total_seconds())}",
        title=_("{sale}: you were outbid"), text=_("Your money is free. Bid again while it is open."), now=now,
    )  # fmt: skip


def closing_soon_at(sale: Sale) -> dt.datetime:
    return sale.closes_at + sale.moved_by - min(CLOSING_SOON, (sale.closes_at - sale.opens_at) / 5)


@retried_transaction(replayable=True)
def watch(*, sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    """Have bidders told that the end is near. When to look again, or None."""
    sale = Sale.objects.get(id=sale_id)
    if sale.state not in RUNNING_STATES:
        return None
    if now < (soon_at := closing_soon_at(sale)):
        return soon_at
    tell_later(sale_id, CLOSING, now=now)
    return None


def messages(sale: Sale, event: str, *, after: UUID | None, limit: int) -> Sequence[Message]:
    """The next bidders' messages, in the order of fans."""
    path = reverse("sales:room", args=[sale.id])
    lot = Lot.objects.get(sale_id=sale.id)
    fans = selectors.bidders(sale.id, after=after, limit=limit)
    return [Message(fan_id, *_words(sale, lot, event, fan_id), path) for fan_id in fans]


def _words(sale: Sale, lot: Lot, event: str, fan_id: UUID) -> tuple[Said, Said]:
    price, leads = Money(lot.price_minor, sale.currency), fan_id == lot.leader_id
    if event == CLOSING:
        title = format_lazy(_("{title} closes soon"), title=sale.title)
        text = _("You lead at {price}.") if leads else _("You were outbid. It is at {price} now.")
        return title, format_lazy(text, price=price)
    assert event == ENDED, event
    if lot.state == "unsold":
        title = format_lazy(_("{title} was not sold"), title=sale.title)
        return title, _("The bids did not meet the reserve. Your money is free.") if leads else _(
            "The reserve was not met."
        )
    if leads:
        title = format_lazy(_("{title} is yours"), title=sale.title)
        return title, format_lazy(_("You won it at {price}. The rest of what was held is free."), price=price)
    title = format_lazy(_("{title} was sold"), title=sale.title)
    return title, format_lazy(_("It went for {price}. Nothing of yours is held."), price=price)
