"""What pages show of an English auction, of its bids and of who won."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from auctions.charges import with_premium
from auctions.english import selectors
from auctions.english.forms import USUAL_STEPS
from auctions.english.settlement import reserve_sha256
from auctions.english.steps import read_steps, step_at
from auctions.models import Answer, Bid, English, Lot, LotState, Win, WinState
from core.http import user_id
from core.language import number
from core.money import Money
from sales.bought import BoughtRow
from sales.formats import BasePresenter, Sums, Verdict
from sales.models import Sale, SaleState
from sales.pseudonyms import pseudonym
from sales.selectors import with_terms

PACE_OVER = dt.timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class BidRow:
    """A line of the public log: no maximum."""

    bid: Bid
    fan: str  # a pseudonym
    price: Money  # after it
    ends_at: dt.datetime  # after it
    moved: bool  # it moved the end
    is_mine: bool = False

    @property
    def words(self) -> str:
        return str(Answer(self.bid.answer).label)


def log_rows(sale: Sale, bids: Sequence[Bid], *, fan_id: UUID | None = None) -> list[BidRow]:
    """The newest first. `fan_id` is who looks."""
    rows = []
    for number_, bid in enumerate(bids):
        before = bids[number_ + 1].end_after if number_ + 1 < len(bids) else sale.closes_at
        moved = bid.end_after != before and (bid.seq == 1 or number_ + 1 < len(bids))
        frozen = dt.timedelta(milliseconds=bid.frozen_ms)
        price = Money(bid.price_after_minor, sale.currency)
        fan = pseudonym(sale.id, bid.fan_id)
        rows.append(BidRow(bid, fan, price, bid.end_after + frozen, moved, is_mine=bid.fan_id == fan_id))
    return rows


@dataclass(frozen=True, slots=True)
class StepRow:
    """From this price on, the next bid is so much more."""

    start: Money
    step: Money


def percent(bps: int) -> str:
    """12.5, or 12,5 where the reader writes it so."""
    return formats.number_format(Decimal(bps) / 100)


def step_rows(english: English) -> list[StepRow]:
    currency = english.sale.currency
    return [StepRow(Money(s.from_minor, currency), Money(s.step_minor, currency)) for s in read_steps(english.steps)]


def next_minor(english: English, lot: Lot | None) -> int:
    """The least that a fan who does not lead has to bid now."""
    if lot is None or not lot.seq:
        return english.start_minor
    return lot.price_minor + step_at(read_steps(english.steps), lot.price_minor)


def win_row(win: Win, sale: Sale) -> BoughtRow:
    nothing, price, on_top = (Money(minor, sale.currency) for minor in (0, win.price_minor, win.premium_minor))
    return BoughtRow(
        record=win, sale=sale, at=win.won_at, price=price, held=nothing, gives_back=nothing, on_top=on_top, paid=price + on_top,
    )  # fmt: skip


class EnglishPresenter(BasePresenter, folder="auctions/english"):
    def room(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        english = with_terms(English, sale)
        fan_id = user_id(request) if request.user.is_authenticated else None
        context = {
            "english": english,
            "steps": step_rows(english),
            "log": log_rows(sale, selectors.newest_bids(sale.id), fan_id=fan_id),
            "premium_percent": percent(english.premium_bps) if english.premium_bps else "",
            **self._revealed(sale, english),
        }
        return context | self._own(sale, english, fan_id) if fan_id else context

    def _own(self, sale: Sale, english: English, fan_id: UUID) -> dict[str, Any]:
        """What only the fan who is logged in sees."""
        lot = selectors.lots_of([sale.id]).get(sale.id)
        best = selectors.best_max_of(sale.id, fan_id)
        leads = lot is not None and lot.leader_id == fan_id
        max_from = lot.leader_max_minor + 1 if lot is not None and leads else next_minor(english, lot)
        own: dict[str, Any] = {
            "me": pseudonym(sale.id, fan_id),
            "max_from": Money(max_from, sale.currency),
            "max_from_total": Money(with_premium(max_from, english.premium_bps), sale.currency),
        }
        if best is not None:
            held = with_premium(best, english.premium_bps)
            own |= {"my_max": Money(best, sale.currency), "my_hold": Money(held, sale.currency)}
        win = selectors.wins_of([sale.id]).get(sale.id)
        if win is not None and win.fan_id == fan_id:
            win.sale = english
            own |= {"win": win, "win_url": reverse("english:win", args=[win.id])}
        return own

    def _revealed(self, sale: Sale, english: English) -> dict[str, Any]:
        """The reserve with its salt, once the lot has stayed unsold; before, and of a lot that is sold, only its hash."""
        lot = selectors.lots_of([sale.id]).get(sale.id)
        if lot is None or lot.state != LotState.UNSOLD or english.reserve_minor is None:
            return {}
        sha256 = reserve_sha256(english, sale.currency)
        return {"reserve": english.reserve, "reserve_salt": english.reserve_salt.hex, "reserve_sha256": sha256}

    def entry(self, sale: Sale) -> Money:
        return Money(with_terms(English, sale).start_minor, sale.currency)

    def verdict(self, sale: Sale, frame: Mapping[str, Any]) -> Verdict:
        if not frame["bids"]:
            return Verdict(_("Nobody bid"))
        price = Money(frame["price_minor"], sale.currency)
        if frame["reserve"] == "not_met" and frame["lot"] != "sold":
            return Verdict(_("Not sold"), _("The bids did not meet the reserve."))
        return Verdict(_("Sold at {price}").format(price=price), _("To the highest of the bids."), tone="good")

    def rows(self, records: Sequence[Win], now: dt.datetime) -> list[BoughtRow]:
        return [win_row(win, win.sale.sale) for win in records]

    def sums(self, sales: Collection[Sale]) -> dict[UUID, Sums]:
        ids = [sale.id for sale in sales]
        lots, wins = selectors.lots_of(ids), selectors.wins_of(ids)
        sums = {}
        for sale in sales:
            win, lot = wins.get(sale.id), lots.get(sale.id)
            is_sold = win is not None and win.state == WinState.WON
            price_minor = win.price_minor if win is not None and is_sold else 0
            if lot is not None and lot.state == LotState.OPEN:
                price_minor = lot.price_minor
            sums[sale.id] = Sums(int(is_sold), 1, Money(price_minor, sale.currency))
        return sums

    def proof(self, sale: Sale) -> dict[str, Any]:
        english = with_terms(English, sale)
        lot, win = selectors.lots_of([sale.id])[sale.id], selectors.wins_of([sale.id]).get(sale.id)
        if win is not None:
            win.sale = english
        return {
            "english": english, "lot": lot, "win": win, "bids": lot.seq, "bidders": selectors.count_bidders(sale.id),
            "price": Money(lot.price_minor, sale.currency),
            "history": log_rows(sale, selectors.newest_bids(sale.id, limit=HISTORY_MAX)),
            "is_over": sale.state in (SaleState.SETTLED, SaleState.CANCELLED),
            **self._revealed(sale, english),
        }  # fmt: skip

    def told(self, sale: Sale) -> list[str]:
        facts = self.proof(sale)
        told = [_who_bid(facts["bids"], facts["bidders"])]
        win = facts["win"]
        if win is not None and win.state == WinState.WON:
            told.append(_("The lot was sold at {price}.").format(price=win.price))
            if win.passed_on_at is not None:
                seller = Money(win.price_minor - win.fee_minor, sale.currency)
                house = Money(win.premium_minor + win.fee_minor, sale.currency)
                told.append(
                    _("The winner paid {paid}: {seller} went to the seller, {house} to the house.").format(
                        paid=win.paid, seller=seller, house=house
                    )
                )
        elif sale.state == SaleState.SETTLED:
            told.append(_("The lot was not sold."))
        return told

    def new(self, form: Any, shop: Any) -> dict[str, Any]:
        return {"usual_steps": USUAL_STEPS}

    def draft(self, sale: Sale) -> dict[str, Any]:
        english = with_terms(English, sale)
        return {
            "english": english, "steps": step_rows(english), "fee_percent": percent(english.fee_bps),
            "premium_percent": percent(english.premium_bps) if english.premium_bps else "",
        }  # fmt: skip

    def console(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        lot = selectors.lots_of([sale.id]).get(sale.id)
        win = selectors.wins_of([sale.id]).get(sale.id)
        english = with_terms(English, sale)
        if win is not None:
            win.sale = english
        return {
            **self.draft(sale), "runs_on": bool(lot and lot.seq), "lot": lot, "win": win,
            "bidders": selectors.count_bidders(sale.id),
            "price": Money(lot.price_minor if lot else 0, sale.currency),
            "min_next": Money(next_minor(english, lot), sale.currency),
            "log": log_rows(sale, selectors.newest_bids(sale.id)),
            "seller_gets": Money(win.price_minor - win.fee_minor, sale.currency) if win else None,
            **self._revealed(sale, english),
        }  # fmt: skip

    def pace(self, sale: Sale, now: dt.datetime) -> float:
        return selectors.bids_since(sale.id, now - PACE_OVER) / PACE_OVER.total_seconds()

    def close_means(self, sale: Sale) -> str:
        return _("Nobody has bid. The lot is not sold, and cannot be opened again.")


def _who_bid(bids: int, bidders: int) -> str:
    if not bids:
        return _("Nobody bid.")
    if bidders == 1:
        return ngettext("One fan made one bid.", "One fan made {bids} bids.", bids).format(bids=number(bids))
    return _("{bidders} fans made {bids} bids.").format(bidders=number(bidders), bids=number(bids))


HISTORY_MAX = 200  # lines of the log on a proof
