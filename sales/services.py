"""The life of a sale: draft → scheduled → live → closed → settling → settled, or cancelled; frozen by staff on the way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from accounts import selectors as account_selectors
from core import clock, due_work, nudge
from core.chunks import run_shrinking
from core.sql import execute_all
from core.transactions import DEADLINE_S, Conflict40001, joins_transaction, retried_transaction
from ledger import services as ledger
from ledger.models import HOUSE, AccountKey, AccountKind
from sales import counting, frames, gates, lanes, prover, selectors, stuck, telling, terms, tokens
from sales.drafting import SaleDraft, check_times
from sales.errors import Frozen, NotEditable, WrongState
from sales.formats import get_format
from sales.models import RUNNING_STATES, Sale, SaleState, SealedTerms
from sales.rows import TermsRow
from sellers import approval
from sellers import events as shop_events
from sellers import selectors as sellers
from sellers.models import Seller

# A purchase received in time may take this long to commit, so closing waits for it. Nobody can *place* one meanwhile: that is
# decided by the time it was received.
CLOSE_GRACE = dt.timedelta(seconds=DEADLINE_S)

M = TypeVar("M", bound=TermsRow)

ANNOUNCE = "sales.announce"
CLOSE = "sales.close"
SETTLE = "sales.settle"
UNWIND = "sales.unwind"


def opens(make_draft: Callable[..., M], *, name: str) -> Callable[..., M]:
    """Drafting and publishing in one transaction."""

    @retried_transaction(replayable=True, name=name)
    def open_sale(draft: SaleDraft, **terms: Any) -> M:
        row = make_draft(draft, **terms)
        row.sale = publish(seller_id=draft.seller_id, sale_id=draft.sale_id, now=draft.now)
        return row

    return open_sale


@retried_transaction(replayable=True)
def publish_sale(*, seller_id: UUID, sale_id: UUID, now: dt.datetime) -> Sale:
    """Seal the terms and put the sale on its schedule. A repeat changes nothing."""
    return publish(seller_id=seller_id, sale_id=sale_id, now=now)


@joins_transaction
def publish(*, seller_id: UUID, sale_id: UUID, now: dt.datetime, is_preview: bool = False) -> Sale:
    """`publish_sale` as a part of the caller's transaction. A preview is undone, so a shop that waits for staff has one too."""
    sale = _load(sale_id, seller_id)
    frames.send_after_commit(sale.id)
    if sale.state in RUNNING_STATES:
        return sale
    if sale.state != SaleState.DRAFT:
        raise NotEditable(state=sale.state)
    check_times(sale.opens_at, sale.closes_at, now)
    # Locked: a shop is not switched off beside this and left with a running sale.
    seller = Seller.objects.select_for_update().get(id=sale.seller_id)
    if not seller.is_active:
        raise WrongState(_("This shop is switched off by staff."))
    if not is_preview:
        approval.check(seller)
    format = get_format(sale.format)
    text = terms.canonical_text(common_terms(sale) | dict(format.rules.terms(sale)))
    sale.terms_version, sale.terms_sha256, sale.published_at = 1, terms.sha256_of(text), now
    SealedTerms.objects.create(sale=sale, version=1, text=text, sha256=sale.terms_sha256, sealed_at=now)
    ledger.open_accounts(
        [
            AccountKey(sale.id, AccountKind.ESCROW, sale.currency),
            AccountKey(sale.seller_id, AccountKind.PROCEEDS, sale.currency),
            AccountKey(HOUSE, AccountKind.FEES, sale.currency),
        ],
        now=now,
    )
    gates.open_gates(sale.id)
    format.rules.publish(sale, now)
    entry = format.presenter.entry(sale)
    sale.entry_minor = entry.minor if entry else None
    move(sale, SaleState.SCHEDULED, "terms_version", "terms_sha256", "published_at", "entry_minor")
    shop_events.write("sale_published", seller_id=seller_id, now=now, sale=sale.id, title=sale.title)
    if _may_tell_followers(sale, now):
        telling.tell_later(sale.id, telling.PUBLISHED, now=now)
    schedule(sale)
    return sale


FOLLOWERS_TOLD_A_DAY = 5  # of sales of one shop


def _may_tell_followers(sale: Sale, now: dt.datetime) -> bool:
    """Whoever follows a shop wants its news, and not two hundred of them in an afternoon."""
    if not sellers.followers(sale.seller_id, after=None, limit=1):
        return False
    of_today = Sale.objects.filter(seller_id=sale.seller_id, published_at__gt=now - dt.timedelta(days=1)).exclude(
        id=sale.id
    )
    return of_today.count() < FOLLOWERS_TOLD_A_DAY


@joins_transaction
def schedule(sale: Sale) -> None:
    """Have the sale opened and closed at its times as they stand now."""
    rules = get_format(sale.format).rules
    due_work.schedule(ANNOUNCE, sale.id, due_at=sale.opens_at + sale.moved_by)
    due_work.schedule(CLOSE, sale.id, due_at=rules.ends_at(sale) + CLOSE_GRACE)
    rules.schedule(sale)


def common_terms(sale: Sale) -> dict[str, terms.TermValue]:
    return {
        "sale": str(sale.id),
        "seller": sale.seller.handle,
        "format": sale.format,
        "title": sale.title,
        "currency": sale.currency,
        "opens_at": sale.opens_at,
        "closes_at": sale.closes_at,
    }


def draft_text(sale: Sale) -> str:
    """The text that publishing this draft would seal."""
    return terms.canonical_text(common_terms(sale) | dict(get_format(sale.format).rules.terms(sale)))


@retried_transaction(replayable=True)
def announce_sale(*, sale_id: UUID, now: dt.datetime) -> None:
    """Say that the sale is live. It was open from `opens_at` on, whether or not anybody said so."""
    sale = _load(sale_id)
    frames.send_after_commit(sale.id)
    if sale.state == SaleState.SCHEDULED and sale.opens_at + sale.moved_by <= now:
        move(sale, SaleState.LIVE)
        telling.tell_later(sale.id, telling.OPENING, now=now)


@retried_transaction(replayable=True)
def close_sale(*, sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    """End the buying when its time has come, then have the sale settled. When to look again; None when there is no need to.

    Only the format knows when its sale ends, and that may have moved since this was scheduled.
    """
    sale = _load(sale_id)
    frames.send_after_commit(sale.id)
    if sale.state not in RUNNING_STATES:
        return None  # ended, or frozen: whoever sets it free schedules this again
    due_at = get_format(sale.format).rules.ends_at(sale) + CLOSE_GRACE
    if due_at > now:
        return due_at
    _close(sale, now)
    return None


@retried_transaction(replayable=True)
def close_sale_early(*, seller_id: UUID, sale_id: UUID, now: dt.datetime) -> Sale:
    """The seller ends a running sale before its time, for instance when it is sold out. A repeat changes nothing."""
    sale = _load(sale_id, seller_id)
    frames.send_after_commit(sale.id)
    if sale.state in RUNNING_STATES:
        now = _before_end(sale, now)
        get_format(sale.format).rules.check_seller_may_end(sale)
        _close(sale, now)
        shop_events.write("sale_closed", seller_id=seller_id, now=now, sale=sale.id, title=sale.title)
    elif sale.state == SaleState.FROZEN:
        raise Frozen
    elif sale.state in (SaleState.DRAFT, SaleState.CANCELLED):
        raise WrongState(state=sale.state)
    return sale


@joins_transaction
def _before_end(sale: Sale, now: dt.datetime) -> dt.datetime:
    """`now` as the database's clock believes it. Whoever can see how a sale ended may not change it any more, whether or not the
    scheduler has come by."""
    (rows,) = execute_all([gates.standing_statement(sale.id)])
    now = lanes.believed(now, lanes.standing_of(rows).now)
    ends_at = get_format(sale.format).rules.ends_at(sale)
    if now >= ends_at:
        raise WrongState(_("This sale has ended."), state=sale.state, ends_at=ends_at.isoformat())
    return now


def _close(sale: Sale, now: dt.datetime) -> None:
    """From now on purchases are refused. Those under way are met by the first step of settling: this does not wait for them, as
    past purchases without end it would never get through. A format whose end they move meets them here: past its end there are
    no more of them."""
    sale.closed_at = now
    get_format(sale.format).rules.close(sale)
    move(sale, SaleState.CLOSED, "closed_at")
    due_work.schedule(SETTLE, sale.id, due_at=now)


def settle_step(*, sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    """Pay the next chunk of a closed sale. The time of the next step; the one that finds nothing left settles the sale."""
    rules = get_format(Sale.objects.only("format").get(id=sale_id).format).rules
    return run_shrinking(
        lambda limit: _settle(sale_id, now, limit), largest=rules.settle_chunk, name="settle", subject_id=sale_id,
        set_aside=lambda error: stuck.set_aside(sale_id, error, now=now),
    )  # fmt: skip


@joins_transaction
def _settle(sale_id: UUID, now: dt.datetime, limit: int) -> dt.datetime | None:
    sale = _load(sale_id)
    frames.send_after_commit(sale.id)
    if sale.state not in (SaleState.CLOSED, SaleState.SETTLING):
        return None
    if not sale.seller.is_active:
        return now + stuck.LOOK_AGAIN_AFTER  # nothing is paid to a shop that staff have switched off
    if sale.state == SaleState.CLOSED:
        gates.meet_purchases(sale.id)
        move(sale, SaleState.SETTLING)
    next_at = get_format(sale.format).rules.settle_step(sale, now, limit=limit)
    if next_at is None and stuck.has_any(sale.id):
        next_at = now + stuck.LOOK_AGAIN_AFTER  # all others are done; what stands aside waits for staff
    if next_at is None:
        sale.settled_at = now
        move(sale, SaleState.SETTLED, "settled_at")
        prover.wish_anew(sale.id, now=now)
        counting.count_later(sale, now=now)
    return next_at


def settle_to_the_end(sale_id: UUID) -> None:
    """All steps that are due now, one after the other: for commands and demos, beside the worker who may do some of them."""
    while (next_at := settle_step(sale_id=sale_id, now=clock.now())) and next_at <= clock.now():
        pass


@retried_transaction(replayable=True)
def cancel_sale(*, seller_id: UUID, sale_id: UUID, now: dt.datetime) -> Sale:
    """Call a draft or running sale off. Everybody who paid gets all of it back. A repeat changes nothing."""
    sale = _load(sale_id, seller_id)
    if sale.published_at is not None:
        frames.send_after_commit(sale.id)
    if sale.state == SaleState.CANCELLED:
        return sale
    if sale.state == SaleState.FROZEN:
        raise Frozen
    if sale.state != SaleState.DRAFT and sale.state not in RUNNING_STATES:
        raise WrongState(_("This sale has ended; it can no longer be called off."), state=sale.state)
    if sale.state != SaleState.DRAFT:
        now = _before_end(sale, now)
        get_format(sale.format).rules.check_seller_may_end(sale)
    call_off(sale, telling.CALLED_OFF, now)
    shop_events.write("sale_called_off", seller_id=seller_id, now=now, sale=sale.id, title=sale.title)
    return sale


@joins_transaction
def call_off(sale: Sale, event: str, now: dt.datetime) -> None:
    """End the sale with all money back. `event` is what its fans are told. Purchases are refused from now on; the last step of
    giving back meets those under way."""
    if sale.published_at is not None:
        due_work.schedule(UNWIND, sale.id, due_at=now)
        telling.tell_later(sale.id, event, now=now)
    sale.closed_at = sale.closed_at or now
    move(sale, SaleState.CANCELLED, "closed_at")


def unwind_step(*, sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    """Give the next chunk of a cancelled sale's buyers their money back. The time of the next step, or None at the end."""
    rules = get_format(Sale.objects.only("format").get(id=sale_id).format).rules
    return run_shrinking(
        lambda limit: _unwind(sale_id, now, limit), largest=rules.unwind_chunk, name="unwind", subject_id=sale_id,
        set_aside=lambda error: stuck.set_aside(sale_id, error, now=now),
    )  # fmt: skip


@joins_transaction
def _unwind(sale_id: UUID, now: dt.datetime, limit: int) -> dt.datetime | None:
    sale = _load(sale_id)
    assert sale.state == SaleState.CANCELLED, sale.state
    frames.send_after_commit(sale.id)
    next_at = get_format(sale.format).rules.unwind_step(sale, now, limit=limit)
    if next_at is None:
        gates.meet_purchases(sale.id)  # one that committed since is a conflict, and seen by the next try
    return next_at


def issue_buy_token(*, user_id: UUID, sale_id: UUID, now: dt.datetime) -> dict[str, Any]:
    """A short-lived permission for the user to buy in this sale: {"buy_token", "expires_at"}. `now` is when the request began,
    before its session was read: one that ends meanwhile ends this too."""
    is_verified = account_selectors.is_verified(user_id)
    token = tokens.make_buy_token(fan_id=user_id, sale_id=sale_id, is_verified=is_verified, now_s=now.timestamp())
    return {"buy_token": token, "expires_at": now + dt.timedelta(seconds=tokens.VALID_S)}


def _load(sale_id: UUID, seller_id: UUID | None = None) -> Sale:
    if seller_id is not None:
        return selectors.get_sale_for_seller(seller_id, sale_id)
    return Sale.objects.select_related("seller").get(id=sale_id)


def move(sale: Sale, state: SaleState, *fields: str) -> None:
    """Write the new state, guarded by the one that was read, so that two movers cannot both succeed."""
    moved = Sale.objects.filter(id=sale.id, state=sale.state).update(
        state=state, version=F("version") + 1, **{field: getattr(sale, field) for field in fields}
    )
    if not moved:
        raise Conflict40001("the sale's state moved since it was read")
    sale.state = state
    nudge_after_commit()


def nudge_after_commit() -> None:
    transaction.on_commit(nudge.look_now, robust=True)
