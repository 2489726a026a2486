"""Telling fans what happened to a sale, in their list of notifications: as due work, a chunk of fans to a step.

The spine tells of the opening, to those who asked to be reminded; a format names its own events (`Rules.messages`). Each event of
a sale is told to a fan once, however often a step runs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from django.urls import reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.models import NewsKind
from accounts.services import Message
from core import due_work
from core.language import Said
from core.transactions import Conflict40001, joins_transaction, retried_transaction
from sales import selectors
from sales.errors import WrongState
from sales.formats import get_format
from sales.models import RUNNING_STATES, Reminder, Sale, StaffAction, Telling
from sellers import selectors as sellers

TELL = "sales.tell"
OPENING = "opening"
PUBLISHED = "published"
CALLED_OFF = "called-off"
VOIDED = "voided"
# Each with the number of the action of staff, because it can happen more than once.
FROZEN = "frozen-"
RESUMED = "resumed-"
CHUNK_FANS = 1_000  # a notification is one written row


@joins_transaction
def tell_later(sale_id: UUID, event: str, *, now: dt.datetime) -> None:
    """Have everybody concerned told of `event` soon. A repeat tells nobody twice."""
    if Telling.objects.filter(sale_id=sale_id, event=event).exists():
        return
    Telling.objects.create(sale_id=sale_id, event=event, made_at=now)  # a race is a conflict, and runs again
    due_work.schedule(TELL, sale_id, due_at=now)


@retried_transaction(replayable=True)
def tell_step(*, sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    """Tell the next chunk of fans of the oldest event that is not done. The time of the next step, or None at the end."""
    telling = Telling.objects.filter(sale_id=sale_id, done_at=None).order_by("made_at", "event").first()
    if telling is None:
        return None
    sale = Sale.objects.select_related("seller").get(id=sale_id)
    messages = _messages(sale, telling.event, after=telling.told_up_to)
    accounts.notify(messages, key=f"{sale_id}:{telling.event}", now=now)
    is_done = len(messages) < CHUNK_FANS
    moved = Telling.objects.filter(
        sale_id=sale_id, event=telling.event, told_up_to=telling.told_up_to, done_at=None
    ).update(told_up_to=messages[-1].user_id if messages else telling.told_up_to, done_at=now if is_done else None)
    if not moved:
        raise Conflict40001("another worker told this chunk")
    return now


def _messages(sale: Sale, event: str, *, after: UUID | None) -> Sequence[Message]:
    rules = get_format(sale.format).rules
    if event == CALLED_OFF or event.startswith((VOIDED, FROZEN, RESUMED)):
        return _stopped_messages(sale, event, rules.fans(sale, after=after, limit=CHUNK_FANS))
    if event == PUBLISHED:
        return _published_messages(sale, sellers.followers(sale.seller_id, after=after, limit=CHUNK_FANS))
    if event != OPENING:
        return rules.messages(sale, event, after=after, limit=CHUNK_FANS)
    reminders = Reminder.objects.filter(sale_id=sale.id)
    if after is not None:
        reminders = reminders.filter(fan_id__gt=after)
    fans = reminders.order_by("fan_id").values_list("fan_id", flat=True)[:CHUNK_FANS]
    path = reverse("sales:room", args=[sale.id])
    return [
        Message(
            fan_id,
            format_lazy(_("{title} is open"), title=sale.title),
            format_lazy(_("At {name}. You asked to be reminded."), name=sale.seller.name),
            path,
            NewsKind.SALES,
        )
        for fan_id in fans
    ]


def _published_messages(sale: Sale, fans: Sequence[UUID]) -> list[Message]:
    path = reverse("sales:room", args=[sale.id])
    title = format_lazy(_("{seller} announced {title}"), seller=sale.seller.name, title=sale.title)
    return [Message(fan_id, title, _("You follow this shop."), path, NewsKind.SALES) for fan_id in fans]


def _stopped_messages(sale: Sale, event: str, fans: Sequence[UUID]) -> list[Message]:
    """What the seller or staff did to the sale, told to those who bought or joined."""
    title, text = _stopped_words(sale, event)
    path = reverse("sales:room", args=[sale.id])
    return [Message(fan_id, title, text, path) for fan_id in fans]


def _stopped_words(sale: Sale, event: str) -> tuple[Said, Said]:
    back = _("Whatever you paid or held goes back to your wallet.")
    if event == CALLED_OFF:
        return format_lazy(_("{title} was called off"), title=sale.title), back
    if event == VOIDED:
        reason = sale.staff_actions.filter(kind=StaffAction.Kind.VOID)[0].reason
        return format_lazy(_("{title} was called off by staff"), title=sale.title), format_lazy(
            _("{said} Why: {reason}"), said=back, reason=reason
        )
    kind, number = event.rsplit("-", 1)
    action = sale.staff_actions.order_by("at", "id")[int(number)]
    if f"{kind}-" == FROZEN:
        return (
            format_lazy(_("{title} is paused by staff"), title=sale.title),
            format_lazy(
                _("Nothing is lost: holds stay, and every deadline moves on. Why: {reason}"), reason=action.reason
            ),
        )
    return format_lazy(_("{title} goes on"), title=sale.title), format_lazy(
        _("Every deadline is later by the time it was paused. Staff say: {reason}"), reason=action.reason
    )


@retried_transaction(replayable=True)
def tell_fan(*, sale_id: UUID, fan_id: UUID, about: str, title: Said, text: Said, now: dt.datetime) -> None:
    """Tell one fan of what was done to their own purchase. Once for each `about`; `{sale}` in `title` is the sale's."""
    sale = Sale.objects.get(id=sale_id)
    path = reverse("sales:room", args=[sale_id])
    accounts.notify([Message(fan_id, format_lazy(title, sale=sale.title), text, path)], key=about, now=now)


@retried_transaction(replayable=True)
def remind(*, sale_id: UUID, fan_id: UUID, now: dt.datetime) -> None:
    """Remind the fan when the sale opens. A repeat changes nothing. Raises WrongState when it has opened."""
    sale = selectors.get_public_sale(sale_id)
    if sale.state not in RUNNING_STATES or sale.opens_at + sale.moved_by <= now:
        raise WrongState(gettext("This sale is open already, or over."), state=sale.state)
    Reminder.objects.bulk_create([Reminder(sale_id=sale_id, fan_id=fan_id, made_at=now)], ignore_conflicts=True)


@retried_transaction(replayable=True)
def forget_reminder(*, sale_id: UUID, fan_id: UUID) -> None:
    """Take the wish back. A repeat changes nothing."""
    Reminder.objects.filter(sale_id=sale_id, fan_id=fan_id).delete()


def is_reminded(sale_id: UUID, fan_id: UUID) -> bool:
    return Reminder.objects.filter(sale_id=sale_id, fan_id=fan_id).exists()
