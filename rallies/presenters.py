"""What pages show of a rally and of its joins."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from core.http import user_id
from core.language import number
from core.money import Money, share_bps
from rallies import selectors, shown, stairs
from rallies.forms import RallyForm, read_invite
from rallies.models import Join, JoinState, Outcome, Rally
from rallies.pricing import PriceTier
from rallies.settlement import outcome_if_closed_now
from sales import frames
from sales import presenters as sale_presenters
from sales.bought import BoughtRow, with_refunds
from sales.formats import BasePresenter, Sums, Verdict
from sales.forms import SaleForm
from sales.models import UNENDED_STATES, Sale
from sales.phases import ends_at
from sales.presenters import QUANTITY_MAX, quantities
from sales.pseudonyms import pseudonym
from sales.refunds import refunded_in
from sales.selectors import with_terms, with_terms_each
from sellers.models import Seller

PACE_OVER = dt.timedelta(seconds=10)
HISTORY_SLOTS = 96


def current_frame(sale: Sale) -> dict[str, Any]:
    """The rally's frame: as viewers have it while it runs. After that from the rows themselves, for amounts depend on it."""
    if sale.state in UNENDED_STATES:
        return sale_presenters.newest_frames([sale.id])[sale.id]
    return frames.read_frame(sale.id)


def room_url(sale_id: UUID, code: str) -> str:
    """The rally's room, by somebody's link if there is a code."""
    path = reverse("sales:room", args=[sale_id])
    return f"{path}?{urlencode({'invite': code})}" if code else path


def invite_url(request: HttpRequest, sale_id: UUID, code: str) -> str:
    return request.build_absolute_uri(room_url(sale_id, code))


class RallyPresenter(BasePresenter, folder="rallies"):
    def room(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        rally = with_terms(Rally, sale)
        tiers = selectors.tiers_of(sale.id)
        frame = current_frame(sale)
        first, price = (Money(minor, sale.currency) for minor in (tiers[0].price_minor, frame["price_minor"]))
        invite = read_invite(request)
        context = {
            "rally": rally,
            "frame": frame,
            "stairs": stairs.draw(tiers, sale.currency, frame),
            "first_price": first,
            "price": price,
            "lowest_price": Money(tiers[-1].price_minor, sale.currency),
            "saved": first - price,
            "missing": max(rally.minimum - frame["count"], 0),
            "more": frame["next_missing"],
            "invite": invite,
            "room_url": room_url(sale.id, invite),
            "quantity_most": min(rally.limit_per_fan or QUANTITY_MAX, rally.cap_units or QUANTITY_MAX),
        }
        if request.user.is_authenticated:
            context |= self._own(request, rally, tiers, frame)
        return context

    def _own(
        self, request: HttpRequest, rally: Rally, tiers: Sequence[PriceTier], frame: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What only the fan who is logged in sees."""
        sale, fan_id = rally.sale, user_id(request)
        own: dict[str, Any] = {}
        join = selectors.find_join(fan_id, sale.id)
        if join is not None:
            (own["mine"],) = with_refunds([shown.join_row(join, sale, tiers, frame)])
            own["brought"] = shown.brought_by(sale.id, fan_id)
            own["invite_url"] = invite_url(request, sale.id, join.invite_code)
            if join.invited_by_id:
                own["inviter"] = shown.names_between_friends(sale.id, [join.invited_by_id])[join.invited_by_id]
        if frame["did_run"] is not None:
            own |= self._after_the_end(fan_id, rally, frame, join)
        return own

    def _after_the_end(self, fan_id: UUID, rally: Rally, frame: Mapping[str, Any], join: Join | None) -> dict[str, Any]:
        outcome = selectors.outcomes_of([rally.sale_id]).get(rally.sale_id)
        late = selectors.find_late_join(fan_id, rally.sale_id)
        after: dict[str, Any] = {"late_quantities": late_quantities(rally, outcome, frame["units_left"], join)}
        if late is not None and outcome is not None:
            late.rally = rally
            (after["late"],) = with_refunds(shown.late_rows([late]))
        return after

    def entry(self, sale: Sale) -> Money:
        """Joining holds the first price, the most it can come to."""
        return Money(selectors.tiers_of(sale.id)[0].price_minor, sale.currency)

    def verdict(self, sale: Sale, frame: Mapping[str, Any]) -> Verdict:
        price = Money(frame["price_minor"], sale.currency)
        if frame["did_run"] is None:
            return Verdict(
                _("{price} with {joiners} joined").format(price=price, joiners=number(frame["joiners"])),
                _("The final price is fixed in a moment."),
            )
        if frame["did_run"]:
            return Verdict(
                _("{price} each, for {joiners}").format(price=price, joiners=number(frame["joiners"])),
                _("Everybody pays the same."),
                tone="good",
            )
        return Verdict(
            _("Too few joined: nobody pays"),
            _("{count} of at least {minimum} came together.").format(
                count=number(frame["count"]), minimum=number(frame["minimum"])
            ),
        )

    def rows(self, records: Sequence[Any], now: dt.datetime) -> Sequence[BoughtRow]:
        return shown.join_rows(records) if records and isinstance(records[0], Join) else shown.late_rows(records)

    def told(self, sale: Sale) -> list[str]:
        facts = self.proof(sale)
        frame, price, totals = facts["frame"], facts["price"], facts["totals"]
        if frame["did_run"] is None:
            return [
                _("{joiners} have joined so far.").format(joiners=number(frame["joiners"])),
                _("The price stands at {price} for everybody.").format(price=price),
            ]
        if not frame["did_run"]:
            came = _("{count} of at least {minimum} came together.").format(
                count=number(frame["count"]), minimum=number(frame["minimum"])
            )
            return [came, _("So it did not run, and nobody paid."), _("All that was held went back.")]
        return [
            _("{joiners} joined, and everybody paid the same: {price} each.").format(
                joiners=number(frame["joiners"]), price=price
            ),
            _("Fans paid {gross}: {paid_out} went to the seller, {fee} to the house.").format(
                gross=totals.gross, paid_out=totals.rest, fee=totals.fee
            ),
            _("What was held above the final price went back."),
        ]

    def happened(self, sale: Sale) -> list[str]:
        removed = Join.objects.filter(rally_id=sale.id, state=JoinState.REMOVED).count()
        return [_("{removed} fans were removed by the seller").format(removed=number(removed))] if removed else []

    def proof(self, sale: Sale) -> dict[str, Any]:
        rally = with_terms(Rally, sale)
        frame = current_frame(sale)
        return {
            "rally": rally,
            "frame": frame,
            "price": Money(frame["price_minor"], sale.currency),
            "settled": selectors.settlement_totals(sale.id),
            "totals": ended_totals({sale.id: rally}, {sale.id: frame["price_minor"]})[sale.id],
        }

    def new(self, form: SaleForm, shop: Seller) -> dict[str, Any]:
        """The staircase that the form says so far: its buttons, and the script, ask for it anew."""
        assert isinstance(form, RallyForm), form
        tiers, currency = form.tiers_so_far()
        return drawn(tiers, currency, shop.fee_bps) if tiers else {}

    def draft(self, sale: Sale) -> dict[str, Any]:
        return {"rally": sale.rally, **drawn(selectors.tiers_of(sale.id), sale.currency, sale.rally.fee_bps)}

    def console(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        rally, frame = with_terms(Rally, sale), current_frame(sale)
        tiers = selectors.tiers_of(sale.id)
        next_minor = frame["next_price_minor"]
        return {
            "frame": frame,
            "price": Money(frame["price_minor"], sale.currency),
            "next_price": None if next_minor is None else Money(next_minor, sale.currency),
            "inviters": [{"fan": pseudonym(sale.id, fan), "brought": n} for fan, n in selectors.top_inviters(sale.id)],
            "history": history_of(rally, tiers, now),
            "history_until": min(now, sale.closed_at or ends_at(sale)),
            "invite_url": invite_url(request, sale.id, rally.seller_invite),
            "rally": rally,
            **drawn(tiers, sale.currency, rally.fee_bps, frame),
            **_after_the_end(rally),
        }

    def pace(self, sale: Sale, now: dt.datetime) -> float:
        return selectors.joined_since(sale.id, now - PACE_OVER) / PACE_OVER.total_seconds()

    def close_means(self, sale: Sale) -> str:
        rally, end = with_terms(Rally, sale), outcome_if_closed_now(rally_id=sale.id)
        if not end.did_run:
            count = end.units if rally.basis == "units" else end.joiners
            what = _("As it stands, with {count} of at least {minimum}, nobody would pay.").format(
                count=count, minimum=rally.minimum
            )
        else:
            what = _("As it stands, {units} units would be paid at {amount}.").format(
                units=end.units, amount=Money(end.price_minor, sale.currency)
            )
        return _(
            "Nobody can join or leave any more. Because it ends before its time, everybody pays "
            "the next price that the crowd was promised. {what} It cannot be opened again."
        ).format(what=what)

    def sums(self, sales: Collection[Sale]) -> dict[UUID, Sums]:
        rallies = with_terms_each(Rally, sales)
        outcomes = selectors.outcomes_of(rallies)
        ended = ended_totals(rallies, {rally_id: outcome.price_minor for rally_id, outcome in outcomes.items()})
        running = sale_presenters.newest_frames(sale.id for sale in sales if sale.state in UNENDED_STATES)
        sums = {}
        for sale in sales:
            units, gross = 0, Money(0, sale.currency)
            if total := ended.get(sale.id):
                units, gross = total.units, total.gross
            elif frame := running.get(sale.id):
                units = frame["units"]
                gross = Money(frame["price_minor"] * units, sale.currency)
            sums[sale.id] = Sums(units, rallies[sale.id].cap_units, gross)
        return sums


@dataclass(frozen=True, slots=True)
class EndedTotals:
    """What a rally that ended came to, what was refunded since taken off."""

    units: int
    gross: Money
    fee: Money
    refunded: Money

    @property
    def rest(self) -> Money:
        return self.gross - self.fee


def ended_totals(rallies: Mapping[UUID, Rally], prices: Mapping[UUID, int]) -> dict[UUID, EndedTotals]:
    """Of the rallies whose final `prices` are given."""
    counted: dict[UUID, list[tuple[int, int]]] = {rally_id: [] for rally_id in prices}
    for rally_id, quantity, count in selectors.paid_quantities(list(prices)):
        counted[rally_id].append((quantity, count))
    refunded = refunded_in(list(prices))
    return {
        rally_id: _ended_totals(rallies[rally_id], prices[rally_id], counted[rally_id], *refunded.get(rally_id, (0, 0)))
        for rally_id in prices
    }


def _ended_totals(
    rally: Rally, price_minor: int, counted: Sequence[tuple[int, int]], refunded_minor: int, fee_back_minor: int
) -> EndedTotals:
    units = sum(quantity * count for quantity, count in counted)
    # As settling does it: rounded down for each join.
    fee_minor = sum(share_bps(price_minor * quantity, rally.fee_bps) * count for quantity, count in counted)
    gross, fee, refunded = (
        Money(minor, rally.sale.currency)
        for minor in (price_minor * units - refunded_minor, fee_minor - fee_back_minor, refunded_minor)
    )
    return EndedTotals(units, gross, fee, refunded)


def late_quantities(rally: Rally, outcome: Outcome | None, units_left: int | None, join: Join | None) -> range:
    """How many the fan may still buy at the final price. Only `rules.decide` decides; one too many is refused there."""
    if not rally.late_joins or outcome is None or not outcome.did_run:
        return range(0)
    if join is not None and join.state == JoinState.REMOVED:
        return range(0)
    has = join.quantity if join is not None and join.state in (JoinState.JOINED, JoinState.PAID) else 0
    return quantities(rally.limit_per_fan - has, units_left or 0)


# The seller's pages


def drawn(
    tiers: Sequence[PriceTier], currency: str, fee_bps: int, frame: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The staircase, and what a rally would come to on each step."""
    steps = stairs.draw(tiers, currency, frame)
    sums = stairs.tier_sums(steps, fee_bps=fee_bps)
    return {"stairs": steps, "tier_sums": sums, "fee_percent": f"{fee_bps / 100:g}"}


def _after_the_end(rally: Rally) -> dict[str, Any]:
    outcome = selectors.outcomes_of([rally.sale_id]).get(rally.sale_id)
    if outcome is None:
        return {}
    return {
        "outcome": outcome,
        "totals": ended_totals({rally.sale_id: rally}, {rally.sale_id: outcome.price_minor})[rally.sale_id],
    }


def history_of(rally: Rally, tiers: Sequence[PriceTier], now: dt.datetime) -> stairs.History | None:
    """The crowd and the price from the opening until now or the end."""
    sale = rally.sale
    since, until = sale.opens_at, min(now, sale.closed_at or ends_at(sale))
    if until <= since:
        return None
    changes = selectors.changes_over_time(sale.id, since=since, until=until, slots=HISTORY_SLOTS)
    return stairs.history(tiers, sale.currency, changes, slots=HISTORY_SLOTS, counts_units=rally.basis == "units")
