"""What the terms of an English auction may say, and how high a bid may go, pure. Minor units."""

from __future__ import annotations

from itertools import pairwise

from django.utils.translation import gettext as _

from auctions.charges import most_with_premium, with_premium
from auctions.english.steps import Step, check_steps, step_at
from auctions.english.values import EnglishTerms
from core.money import MINOR_MAX


def fits(terms: EnglishTerms, max_minor: int) -> bool:
    """Whether this maximum with its premium, and the next bid after it, stay below what one payment can be."""
    return with_premium(max_minor, terms.premium_bps) + step_at(terms.steps, max_minor) <= MINOR_MAX


def bid_max(terms: EnglishTerms) -> int:
    """The highest maximum that fits; 0 when none does."""
    rows = [*pairwise(terms.steps), (terms.steps[-1], Step(MINOR_MAX + 1, 1))]
    for step, above in reversed(rows):
        most = min(most_with_premium(MINOR_MAX - step.step_minor, terms.premium_bps), above.from_minor - 1)
        if most >= step.from_minor:
            return most
    return 0


def check_english_terms(terms: EnglishTerms) -> str | None:
    """Why these terms make no auction, as a sentence; None when they do."""
    if (wrong := check_steps(terms.steps)) is not None:
        return wrong
    if terms.start_minor <= 0:
        return _("The first bid must be above zero.")
    if not terms.opens_at < terms.closes_at <= terms.hard_end:
        return _("A lot opens before it closes, and bids cannot move its end past its last possible one.")
    if min(terms.window_s, terms.extension_s) < 0:
        return _("The time that a late bid adds cannot be below zero.")
    reserve_minor = terms.reserve_minor or 0
    if reserve_minor < 0:
        return _("A reserve cannot be below zero.")
    dearest_minor = max(terms.start_minor, reserve_minor)
    if terms.buy_now_minor is not None:
        if terms.buy_now_minor < dearest_minor:
            return _("The price to buy at once is at least the first bid and the reserve.")
        dearest_minor = terms.buy_now_minor
    if not fits(terms, dearest_minor):
        return _("A price of this lot is more than one payment can be.")
    return None
