"""Drafting a sale of any format, once: the common part of a draft, and looking for a repeat."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.utils.text import slugify
from django.utils.translation import gettext as _
from msgspec import Struct
from msgspec.structs import replace

from core.errors import Invalid, NotFound
from core.money import MINOR_MAX, WORTH_MAX, sold_in
from core.text import clean_line, clean_text
from core.transactions import joins_transaction, retried_transaction
from sales.asked import asked_columns, check_terms
from sales.errors import DraftChanged, IdTaken, TooManyDrafts, WrongState
from sales.models import Sale, SaleState
from sales.rows import TermsRow
from sellers import events as shop_events

M = TypeVar("M", bound=TermsRow)

TITLE_MAX = 120
STORY_MAX = 5_000
DRAFTS_MAX = 200  # a shop has so many at a time

SALE_LONGEST = dt.timedelta(days=92)
# Also keeps times inside what Python can hold: a year 9999 with an offset is stored as the year 10000, which no one can load.
ANNOUNCED_LONGEST = dt.timedelta(days=730)


class SaleDraft(Struct, frozen=True):
    """What a draft of every format says. The id is made by whoever drafts and kept over retries."""

    sale_id: UUID
    seller_id: UUID
    title: str
    story: str
    currency: str
    opens_at: dt.datetime | None  # None: as soon as it is drafted
    closes_at: dt.datetime
    now: dt.datetime
    # The fingerprint of the draft that this one takes the place of; ANY whatever it says by now; "" for a new one.
    replaces: str = ""


ANY = "*"


@joins_transaction
def draft_once(
    row: M, draft: SaleDraft, *, format: str,
    check: Callable[[M], None] = lambda row: None, complete: Callable[[M], None] = lambda row: None,
) -> M:  # fmt: skip
    """The draft with its terms: `row` is the format's, not saved yet. A repeat returns what is there.

    `check` raises Invalid for terms that do not fit together; each alone is within its bounds by then. `complete` sets what the
    format makes by itself (`MADE_HERE`), once the row has its sale.

    Raises Invalid, and IdTaken when the id is another sale's or was used for a draft that says something else.
    """
    draft = replace(
        draft,
        title=clean_line(draft.title, field="title", most=TITLE_MAX),
        story=clean_text(draft.story, field="story", most=STORY_MAX),
    )
    check_terms(row)
    check(row)
    existing = Sale.objects.select_related("seller").filter(id=draft.sale_id, seller_id=draft.seller_id).first()
    if existing is not None:
        return (
            _redrafted(row, existing, draft, format, complete)
            if draft.replaces
            else _repeated(row, existing, draft, format)
        )
    if draft.replaces:
        raise NotFound(_("This draft does not exist."))
    sold_in(draft.currency)
    opens_at = draft.opens_at or draft.now
    check_times(opens_at, draft.closes_at, draft.now)
    if Sale.objects.filter(seller_id=draft.seller_id, state=SaleState.DRAFT).count() >= DRAFTS_MAX:
        raise TooManyDrafts
    if _is_ours(draft.sale_id) or Sale.objects.filter(id=draft.sale_id).exists():
        raise IdTaken
    sale = Sale(
        id=draft.sale_id, seller_id=draft.seller_id, format=format, title=draft.title, story=draft.story,
        currency=draft.currency, slug=_slug(draft.title, draft.sale_id), opens_at=opens_at, closes_at=draft.closes_at,
        created_at=draft.now,
    )  # fmt: skip
    sale.save(force_insert=True)
    row.sale, row.fee_bps = sale, sale.seller.fee_bps
    complete(row)
    row.save(force_insert=True)
    shop_events.write("sale_drafted", seller_id=sale.seller_id, now=draft.now, sale=sale.id, title=sale.title)
    return row


def _redrafted(wanted: M, sale: Sale, draft: SaleDraft, format: str, complete: Callable[[M], None]) -> M:
    """The draft says something else now. Its row is written even by a change of lines only, so that two editors meet on it."""
    row = type(wanted)._default_manager.filter(pk=sale.id).first()
    if row is None or sale.format != format:
        raise NotFound(_("This draft does not exist."))
    row.sale = sale
    if sale.state != SaleState.DRAFT:
        raise WrongState(state=sale.state)
    if draft.replaces not in (ANY, fingerprint(sale)):
        raise DraftChanged
    sold_in(draft.currency)
    sale.opens_at = draft.opens_at or draft.now
    check_times(sale.opens_at, draft.closes_at, draft.now)
    sale.title, sale.story, sale.currency, sale.closes_at = draft.title, draft.story, draft.currency, draft.closes_at
    sale.slug = _slug(draft.title, sale.id)
    sale.save(update_fields=["title", "story", "currency", "opens_at", "closes_at", "slug"])
    for name, value in asked_terms(wanted).items():
        setattr(row, name, value)
    complete(row)
    row.save()
    shop_events.write("sale_changed", seller_id=sale.seller_id, now=draft.now, sale=sale.id, title=sale.title)
    return row


def fingerprint(sale: Sale) -> str:
    """Of all that a draft says, also in its format's lines."""
    from sales.services import draft_text  # which asks the formats, whose services import this

    return hashlib.sha256(f"{draft_text(sale)}\n{sale.story}".encode()).hexdigest()


def drafts(model: type[M], *, format: str) -> Callable[..., M]:
    """The drafting service of a format whose terms its form and its constraints say enough about."""

    @retried_transaction(replayable=True)
    def draft(draft: SaleDraft, **terms: Any) -> M:
        return draft_once(model(**terms), draft, format=format)

    return draft


def _repeated(wanted: M, sale: Sale, draft: SaleDraft, format: str) -> M:
    row = type(wanted)._default_manager.filter(pk=sale.id).first()
    if row is None or sale.format != format or not _says(sale, draft) or asked_terms(row) != asked_terms(wanted):
        raise IdTaken
    row.sale = sale
    return row


def asked_terms(row: TermsRow) -> dict[str, Any]:
    """The terms that somebody asked for when this was drafted, to ask for them again."""
    return {column.attname: getattr(row, column.attname) for column in asked_columns(type(row))}


def _says(sale: Sale, draft: SaleDraft) -> bool:
    opens_at = sale.created_at if draft.opens_at is None else draft.opens_at
    asked = (draft.title, draft.story, draft.currency, opens_at, draft.closes_at)
    return (sale.title, sale.story, sale.currency, sale.opens_at, sale.closes_at) == asked


def _is_ours(id: UUID) -> bool:
    """Whether it is of the kind that we write into the program, at the time zero: a sale with the id of the books would have
    their proof instead of its own."""
    return id.int >> 80 == 0


def check_times(opens_at: dt.datetime, closes_at: dt.datetime, now: dt.datetime) -> None:
    if closes_at <= opens_at:
        raise Invalid(_("A sale must close after it opens."), field="closes_at")
    if closes_at <= now:
        raise Invalid(_("The closing time has passed."), field="closes_at")
    if closes_at - opens_at > SALE_LONGEST:
        raise Invalid(_("A sale can be open for at most 92 days."), field="closes_at")
    if opens_at - now > ANNOUNCED_LONGEST:
        raise Invalid(_("A sale can be announced at most two years ahead."), field="opens_at")


def check_worth(price_minor: int, *, units_an_order: int, units: int | None, field: str) -> None:
    """What may be sold must also be possible to pay for: each order in one payment, and all of them in sums we can hold."""
    if price_minor * units_an_order > MINOR_MAX:
        raise Invalid(
            _("One order could cost more than one payment can be. Lower the price, or the units one fan may buy."),
            field=field,
        )
    if units is not None and price_minor * units > WORTH_MAX:
        raise Invalid(
            _("All units together would be worth more than a sale can be. Lower the price or the units."), field=field
        )


def _slug(title: str, sale_id: UUID) -> str:
    # A few digits made of the id keep two sales of one title apart without asking the database.
    return f"{slugify(title)[:70] or 'sale'}-{hashlib.sha256(sale_id.bytes).hexdigest()[:6]}"
