"""The life of a sale: draft → scheduled → live → closed → settling → settled, or cancelled."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils.text import slugify

from accounts import selectors as accounts
from core import clock, due_work, nudge
from core.errors import Invalid
from core.transactions import DEADLINE_S, Conflict40001, joins_transaction, retried_transaction
from ledger import services as ledger
from ledger.models import HOUSE, AccountKey, AccountKind
from sales import frames, prover, selectors, telling, terms, tokens
from sales.errors import IdTaken, NotEditable, WrongState
from sales.formats import get_format
from sales.models import RUNNING_STATES, Sale, SaleState, SealedTerms

# A purchase received in time may take this long to commit, so closing waits for it. Nobody can *place* one meanwhile: that is
# decided by the time it was received.
CLOSE_GRACE = dt.timedelta(seconds=DEADLINE_S)
SALE_LONGEST = dt.timedelta(days=92)
# Also keeps times inside what Python can hold: a year 9999 with an offset is stored as the year 10000, which no one can load.
ANNOUNCED_LONGEST = dt.timedelta(days=730)

ANNOUNCE = "sales.announce"
CLOSE = "sales.close"
SETTLE = "sales.settle"
UNWIND = "sales.unwind"


@joins_transaction
def draft_sale(
    *, sale_id: UUID, seller_id: UUID, format: str, title: str, story: str, currency: str,
    opens_at: dt.datetime, closes_at: dt.datetime, now: dt.datetime,
) -> Sale:  # fmt: skip
    """The common part of a new draft; the format's own service has looked for a repeat, calls this and adds its row."""
    check_times(opens_at, closes_at, now)
    if Sale.objects.filter(id=sale_id).exists():
        raise IdTaken
    sale = Sale(
        id=sale_id, seller_id=seller_id, format=format, title=title.strip(), story=story.strip(), currency=currency,
        slug=_slug(title, sale_id), opens_at=opens_at, closes_at=closes_at, created_at=now,
    )  # fmt: skip
    sale.save(force_insert=True)
    return sale


def check_times(opens_at: dt.datetime, closes_at: dt.datetime, now: dt.datetime) -> None:
    if closes_at <= opens_at:
        raise Invalid("A sale must close after it opens.", field="closes_at")
    if closes_at <= now:
        raise Invalid("The closing time has passed.", field="closes_at")
    if closes_at - opens_at > SALE_LONGEST:
        raise Invalid("A sale can be open for at most 92 days.", field="closes_at")
    if opens_at - now > ANNOUNCED_LONGEST:
        raise Invalid("A sale can be announced at most two years ahead.", field="opens_at")


def _slug(title: str, sale_id: UUID) -> str:
    # A few digits made of the id keep two sales of one title apart without asking the database.
    return f"{slugify(title)[:70] or 'sale'}-{hashlib.sha256(sale_id.bytes).hexdigest()[:6]}"


@retried_transaction(replayable=True)
def publish_sale(*, seller_id: UUID, sale_id: UUID, now: dt.datetime) -> Sale:
    """Seal the terms and put the sale on its schedule. A repeat changes nothing."""
    return publish(seller_id=seller_id, sale_id=sale_id, now=now)


@joins_transaction
def publish(*, seller_id: UUID, sale_id: UUID, now: dt.datetime) -> Sale:
    """`publish_sale` as a part of the caller's transaction."""
    sale = _load(sale_id, seller_id)
    frames.send_after_commit(sale.id)
    if sale.state in RUNNING_STATES:
        return sale
    if sale.state != SaleState.DRAFT:
        raise NotEditable(state=sale.state)
    check_times(sale.opens_at, sale.closes_at, now)
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
    format.rules.publish(sale, now)
    _move(sale, SaleState.SCHEDULED, "terms_version", "terms_sha256", "published_at")
    due_work.schedule(ANNOUNCE, sale.id, due_at=sale.opens_at)
    due_work.schedule(CLOSE, sale.id, due_at=sale.closes_at + CLOSE_GRACE)
    return sale


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


@retried_transaction(replayable=True)
def announce_sale(*, sale_id: UUID, now: dt.datetime) -> None:
    """Say that the sale is live. It was open from `opens_at` on, whether or not anybody said so."""
    sale = _load(sale_id)
    frames.send_after_commit(sale.id)
    if sale.state == SaleState.SCHEDULED and sale.opens_at <= now:
        _move(sale, SaleState.LIVE)
        telling.tell_later(sale.id, telling.OPENING, now=now)


@retried_transaction(replayable=True)
def close_sale(*, sale_id: UUID, now: dt.datetime) -> None:
    """End the buying, then have the sale settled. A repeat, or one that comes too early, changes nothing."""
    sale = _load(sale_id)
    frames.send_after_commit(sale.id)
    if sale.state in RUNNING_STATES and sale.closes_at + CLOSE_GRACE <= now:
        _close(sale, now)


@retried_transaction(replayable=True)
def close_sale_early(*, seller_id: UUID, sale_id: UUID, now: dt.datetime) -> Sale:
    """The seller ends a running sale before its time, for instance when it is sold out."""
    sale = _load(sale_id, seller_id)
    frames.send_after_commit(sale.id)
    if sale.state in RUNNING_STATES:
        _close(sale, now)
    elif sale.state in (SaleState.DRAFT, SaleState.CANCELLED):
        raise WrongState(state=sale.state)
    return sale


def _close(sale: Sale, now: dt.datetime) -> None:
    get_format(sale.format).rules.close(sale, now)
    sale.closed_at = now
    _move(sale, SaleState.CLOSED, "closed_at")
    due_work.schedule(SETTLE, sale.id, due_at=now)


@retried_transaction(replayable=True, deadline_s=10.0)
def settle_step(*, sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    """Pay the next chunk of a closed sale. The time of the next step; the one that finds nothing left settles the sale."""
    sale = _load(sale_id)
    frames.send_after_commit(sale.id)
    if sale.state not in (SaleState.CLOSED, SaleState.SETTLING):
        return None
    next_at = get_format(sale.format).rules.settle_step(sale, now)
    if next_at is None:
        sale.settled_at = now
        _move(sale, SaleState.SETTLED, "settled_at")
        prover.wish_anew(sale.id, now=now)
    elif sale.state == SaleState.CLOSED:
        _move(sale, SaleState.SETTLING)
    return next_at


@retried_transaction(replayable=True)
def cancel_sale(*, seller_id: UUID, sale_id: UUID, now: dt.datetime) -> Sale:
    """Call a draft or running sale off. Everybody who paid gets all of it back. A repeat changes nothing."""
    sale = _load(sale_id, seller_id)
    if sale.published_at is not None:
        frames.send_after_commit(sale.id)
    if sale.state == SaleState.CANCELLED:
        return sale
    if sale.state != SaleState.DRAFT and sale.state not in RUNNING_STATES:
        raise WrongState("This sale has ended; it can no longer be called off.", state=sale.state)
    if sale.state != SaleState.DRAFT:
        get_format(sale.format).rules.close(sale, now)
        due_work.schedule(UNWIND, sale.id, due_at=now)
    sale.closed_at = now
    _move(sale, SaleState.CANCELLED, "closed_at")
    return sale


@retried_transaction(replayable=True, deadline_s=10.0)
def unwind_step(*, sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    """Give the next chunk of a cancelled sale's buyers their money back. The time of the next step, or None at the end."""
    sale = _load(sale_id)
    assert sale.state == SaleState.CANCELLED, sale.state
    frames.send_after_commit(sale.id)
    return get_format(sale.format).rules.unwind_step(sale, now)


def issue_buy_token(*, user_id: UUID, sale_id: UUID) -> dict[str, Any]:
    """A short-lived permission for the user to buy in this sale: {"buy_token", "expires_at"}."""
    now = clock.now()
    is_verified = accounts.is_verified(user_id)
    token = tokens.make_buy_token(fan_id=user_id, sale_id=sale_id, is_verified=is_verified, now_s=now.timestamp())
    return {"buy_token": token, "expires_at": now + dt.timedelta(seconds=tokens.VALID_S)}


def _load(sale_id: UUID, seller_id: UUID | None = None) -> Sale:
    if seller_id is not None:
        return selectors.get_sale_for_seller(seller_id, sale_id)
    return Sale.objects.select_related("seller").get(id=sale_id)


def _move(sale: Sale, state: SaleState, *fields: str) -> None:
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
