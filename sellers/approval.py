"""New shops wait for staff where SELLERS_NEED_APPROVAL says so: they draft as they like, and publish once they are approved.

That a shop waits stands on its own row, which whoever publishes locks: approving, refusing and switching off meet there.
"""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _l
from django.utils.translation import gettext_noop as N_

from accounts import audit
from accounts import services as accounts
from accounts.services import Message
from core.language import Said
from core.text import clean_line
from core.transactions import joins_transaction, retried_transaction
from sellers import events
from sellers.errors import NotWaiting, ShopWaits
from sellers.models import Member, Role, Seller

REASON_MAX = 200  # the shop's owners read it


def check(seller: Seller) -> None:
    """Raises ShopWaits. `seller` is as the transaction that publishes has locked it."""
    if seller.refused_because is not None:
        raise ShopWaits(
            N_("Staff have not let this shop publish. Its pages say why, and there you can ask again."),
            handle=seller.handle,
        )
    if seller.waits_since is not None:
        raise ShopWaits(handle=seller.handle)


def list_waiting() -> QuerySet[Seller]:
    """Those that staff have not answered, the longest wait first."""
    return Seller.objects.filter(waits_since__isnull=False, refused_because=None).order_by("waits_since", "id")


@retried_transaction(replayable=True)
def approve(*, seller_id: UUID, staff_id: UUID, reason: str, now: dt.datetime) -> None:
    """Let the shop publish, also one that was told no. A repeat changes nothing."""
    reason = clean_line(reason, field="reason", most=REASON_MAX)
    waiting = Seller.objects.filter(id=seller_id, waits_since__isnull=False)
    if waiting.update(waits_since=None, refused_because=None):
        audit.write("shop_approved", user_id=None, now=now, by=staff_id, seller=seller_id, reason=reason)
        tell_owners(
            seller_id, "approved", _l("{shop} can publish now"), _l("Staff say: {reason}"), reason=reason, now=now
        )


@retried_transaction(replayable=True)
def refuse(*, seller_id: UUID, staff_id: UUID, reason: str, now: dt.datetime) -> None:
    """Tell the shop why it cannot publish yet; its owners may ask again. Raises NotWaiting for one that is approved."""
    reason = clean_line(reason, field="reason", most=REASON_MAX)
    if not Seller.objects.filter(id=seller_id, waits_since__isnull=False).update(refused_because=reason):
        raise NotWaiting
    audit.write("shop_refused", user_id=None, now=now, by=staff_id, seller=seller_id, reason=reason)
    text = _l("You can go on drafting, and ask again. Staff say: {reason}")
    tell_owners(seller_id, "refused", _l("{shop} cannot publish yet"), text, reason=reason, now=now)


@retried_transaction(replayable=True)
def ask_again(*, seller_id: UUID, now: dt.datetime) -> None:
    """Have staff look at a shop anew that they told no. A repeat changes nothing."""
    if Seller.objects.filter(id=seller_id, refused_because__isnull=False).update(refused_because=None, waits_since=now):
        events.write("asked_again", seller_id=seller_id, now=now)


@joins_transaction
def tell_owners(seller_id: UUID, event: str, title: Said, text: Said, *, reason: str, now: dt.datetime) -> None:
    """What staff did to the shop, on the site and by mail: `{shop}` and `{reason}` stand in the words."""
    seller = Seller.objects.get(id=seller_id)
    owners = Member.objects.filter(seller_id=seller_id, role=Role.OWNER).values_list("user_id", flat=True)
    said = format_lazy(title, shop=seller.name), format_lazy(text, reason=reason)
    path = reverse("sales:console", args=[seller.handle])
    messages = [Message(user_id, *said, path) for user_id in owners]
    accounts.notify(messages, key=f"shop:{seller_id.hex}:{event}:{now.timestamp():.3f}", now=now, always_by_mail=True)
