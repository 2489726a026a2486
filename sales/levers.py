"""What staff can do to a sale: freeze it, let it go on, call it off; and to a shop, which freezes all of its sales.

Each is a reason that everybody may read, and a message to the sale's fans. First the sale's state changes, which purchases refuse
from then on; then those that are under way are met at the gate. The other way round, a sale that sells without end would never let
anybody through.
"""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from accounts import audit
from core.errors import Busy
from core.ids import uuid7
from core.language import Said
from core.text import clean_line
from core.transactions import joins_transaction, retried_transaction
from sales import frames, gates, selectors, services, telling
from sales.errors import WrongState
from sales.models import RUNNING_STATES, Sale, SaleState, StaffAction
from sellers import approval
from sellers.models import Seller

REASON_MAX = 200  # the sale's fans read it
MILLISECOND = dt.timedelta(milliseconds=1)


def freeze_sale(*, sale_id: UUID, staff_id: UUID, reason: str, now: dt.datetime) -> Sale:
    """Nothing is bought, confirmed, left or ended until staff say so; holds stay. A repeat changes nothing."""
    sale = _frozen(sale_id=sale_id, staff_id=staff_id, reason=reason, now=now)
    _let_purchases_end(sale_id=sale_id)
    return sale


@retried_transaction(replayable=True, name="freeze_sale")
def _frozen(*, sale_id: UUID, staff_id: UUID, reason: str, now: dt.datetime) -> Sale:
    sale = _load(sale_id)
    if sale.state != SaleState.FROZEN:
        _freeze(sale, staff_id, reason, _in_order(sale, now))
    return sale


@retried_transaction(replayable=True)
def resume_sale(*, sale_id: UUID, staff_id: UUID, reason: str, now: dt.datetime) -> Sale:
    """A frozen sale goes on, and every deadline of it is later by the time that it was frozen. A repeat changes nothing."""
    sale = _load(sale_id)
    if sale.state == SaleState.FROZEN:
        _resume(sale, staff_id, reason, _in_order(sale, now))
    elif sale.frozen_ms == 0:
        raise WrongState(_("This sale is not paused."), state=sale.state)
    return sale


@retried_transaction(replayable=True)
def void_sale(*, sale_id: UUID, staff_id: UUID, reason: str, now: dt.datetime) -> Sale:
    """All money goes back, also what was passed on to the seller by now. For a sale that runs, is frozen, closed or settling.

    A settled sale stands: its buyers are refunded one by one. A repeat changes nothing.
    """
    sale = _load(sale_id)
    if sale.state == SaleState.CANCELLED:
        return sale
    if sale.state in (SaleState.DRAFT, SaleState.SETTLED):
        raise WrongState(state=sale.state)
    now = _in_order(sale, now)
    _note(sale, StaffAction.Kind.VOID, staff_id, reason, now)
    services.call_off(sale, telling.VOIDED, now)
    return sale


# A shop


def switch_shop_off(*, seller_id: UUID, staff_id: UUID, reason: str, now: dt.datetime) -> int:
    """The shop opens nothing more, its running sales are frozen, and nothing is settled to it. Returns how many were frozen.

    A repeat after a kill goes on with the sales that are left.
    """
    _switch(seller_id=seller_id, is_active=False, staff_id=staff_id, reason=reason, now=now)
    running = Sale.objects.filter(seller_id=seller_id, state__in=RUNNING_STATES).values_list("id", flat=True)
    return _each_with_shop(_freeze, list(running), staff_id=staff_id, reason=reason, now=now)


def switch_shop_on(*, seller_id: UUID, staff_id: UUID, reason: str, now: dt.datetime) -> int:
    """The shop is open again: the sales that were frozen with it go on, and closed ones are settled. Returns how many go on."""
    _switch(seller_id=seller_id, is_active=True, staff_id=staff_id, reason=reason, now=now)
    frozen = list(Sale.objects.filter(seller_id=seller_id, state=SaleState.FROZEN).values_list("id", flat=True))
    newest = {sale_id: selectors.newest_staff_action(sale_id) for sale_id in frozen}
    with_shop = [sale_id for sale_id, action in newest.items() if action is not None and action.with_shop]
    return _each_with_shop(_resume, with_shop, staff_id=staff_id, reason=reason, now=now)


@retried_transaction(replayable=True)
def _switch(*, seller_id: UUID, is_active: bool, staff_id: UUID, reason: str, now: dt.datetime) -> None:
    # Whoever publishes a sale or lets it go on locks this row, so no sale begins to run beside it.
    is_new = Seller.objects.filter(id=seller_id).exclude(is_active=is_active).update(is_active=is_active)
    event = "shop_switched_on" if is_active else "shop_switched_off"
    audit.write(event, user_id=None, now=now, by=staff_id, seller=seller_id, reason=reason)
    if is_new:
        approval.tell_owners(
            seller_id, "on" if is_active else "off", *_switched_words(is_active), reason=reason, now=now
        )


def _switched_words(is_active: bool) -> tuple[Said, Said]:
    if is_active:
        return _l("{shop} is switched on again"), _l("Sales that were paused with it go on. Staff say: {reason}")
    return _l("{shop} is switched off by staff"), _l(
        "Its sales are paused, and nothing can be published or changed. Staff say: {reason}"
    )


def _each_with_shop(act: Any, sale_ids: Collection[UUID], *, now: dt.datetime, **given: Any) -> int:
    """Do it to one sale after the other, and to the others first when one of them is busy. Returns to how many."""
    began_s, done, busy = time.monotonic(), 0, None
    for sale_id in sale_ids:
        # Each at its own time: with the first one's, a sale that has ended meanwhile would be open again after the pause.
        at = now + dt.timedelta(seconds=time.monotonic() - began_s)
        try:
            done += _with_shop(act, sale_id=sale_id, now=at, **given)
            if act is _freeze:
                _let_purchases_end(sale_id=sale_id)
        except Busy as error:
            busy = error
    if busy:
        raise busy
    return done


@retried_transaction(replayable=True)
def _with_shop(act, *, sale_id: UUID, staff_id: UUID, reason: str, now: dt.datetime) -> bool:  # type: ignore[no-untyped-def]
    """One sale a transaction: its gate is many rows. Whether there was something to do."""
    sale = _load(sale_id)
    wanted = RUNNING_STATES if act is _freeze else [SaleState.FROZEN]
    # Locked: of two of staff at once the one who said it last wins, and leaves no sale as the other wanted it.
    is_active = Seller.objects.select_for_update().get(id=sale.seller_id).is_active
    if sale.state not in wanted or is_active != (act is _resume):
        return False
    act(sale, staff_id, reason, _in_order(sale, now), with_shop=True)
    return True


# One sale, in its transaction


@joins_transaction
def _freeze(sale: Sale, staff_id: UUID, reason: str, now: dt.datetime, *, with_shop: bool = False) -> None:
    if sale.state not in RUNNING_STATES:
        raise WrongState(_("Only a sale that is published and has not closed can be paused."), state=sale.state)
    # A purchase that is under way has seen it open and counts as before the pause; whatever begins from now on is refused.
    number = _note(sale, StaffAction.Kind.FREEZE, staff_id, reason, now, with_shop=with_shop)
    sale.frozen_at = now
    services.move(sale, SaleState.FROZEN, "frozen_at")
    telling.tell_later(sale.id, f"{telling.FROZEN}{number}", now=now)


@joins_transaction
def _resume(sale: Sale, staff_id: UUID, reason: str, now: dt.datetime, *, with_shop: bool = False) -> None:
    assert sale.frozen_at is not None, sale.id
    # Locked: a shop is not switched off beside this and left with a running sale.
    if not Seller.objects.select_for_update().get(id=sale.seller_id).is_active:
        raise WrongState(_("The shop of this sale is switched off. Switch it on again first."), state=sale.state)
    number = _note(sale, StaffAction.Kind.RESUME, staff_id, reason, now, with_shop=with_shop)
    gates.meet_purchases(sale.id)
    sale.frozen_ms += math.ceil((now - sale.frozen_at) / MILLISECOND)
    sale.frozen_at = None
    # Scheduled, and announced at once if it was open: that is told once.
    services.move(sale, SaleState.SCHEDULED, "frozen_at", "frozen_ms")
    services.schedule(sale)
    telling.tell_later(sale.id, f"{telling.RESUMED}{number}", now=now)


@retried_transaction(replayable=True)
def _let_purchases_end(*, sale_id: UUID) -> None:
    """Come back when none is under way any more that began before the pause."""
    gates.meet_purchases(sale_id)


def _in_order(sale: Sale, now: dt.datetime) -> dt.datetime:
    """`now`, but never before what has happened to the sale: whoever waited for it, or has a slow clock, comes after it."""
    newest = selectors.newest_staff_action(sale.id)
    if newest is not None and now < newest.at:
        now = newest.at + dt.timedelta(microseconds=1)
    return max([now, *filter(None, [sale.published_at, sale.closed_at])])


def _note(
    sale: Sale, kind: StaffAction.Kind, staff_id: UUID, reason: str, now: dt.datetime, *, with_shop: bool = False
) -> int:
    """Write down who did what and why; the number of this action on the sale."""
    reason = clean_line(reason, field="reason", most=REASON_MAX)
    number = StaffAction.objects.filter(sale_id=sale.id).count()
    StaffAction.objects.create(
        id=uuid7(), sale=sale, kind=kind, reason=reason, with_shop=with_shop, staff_id=staff_id, at=now
    )
    audit.write(f"sale_{kind}", user_id=None, now=now, by=staff_id, sale=sale.id, reason=reason)
    return number


def _load(sale_id: UUID) -> Sale:
    frames.send_after_commit(sale_id)
    sale = Sale.objects.select_related("seller").filter(id=sale_id, published_at__isnull=False).first()
    if sale is None:
        raise WrongState(_("This sale was never published."))
    return sale
