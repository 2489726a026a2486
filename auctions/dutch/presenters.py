"""What pages show of a falling price and of its claims."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.translation import gettext as _

from auctions.charges import Charge, with_premium
from auctions.dutch import rules, selectors
from auctions.models import Claim, ClaimState, Dutch, DutchSettlement
from core.http import user_id
from core.language import number
from core.money import Money
from sales.bought import BoughtRow, with_refunds
from sales.formats import BasePresenter, Sums, Verdict
from sales.models import Sale, SaleState
from sales.phases import opens_at
from sales.presenters import QUANTITY_MAX
from sales.selectors import settled_totals, with_terms, with_terms_each

PACE_OVER = dt.timedelta(seconds=10)


def terms_now(dutch: Dutch) -> rules.DutchTerms:
    """The terms with their times as they stand now."""
    sale = dutch.sale
    return rules.DutchTerms(
        currency=sale.currency, start_minor=dutch.start_minor, floor_minor=dutch.floor_minor, step_minor=dutch.step_minor,
        interval_s=dutch.interval_s, floor_s=1, opens_at=opens_at(sale), pays=dutch.pays, premium_bps=dutch.premium_bps,
        fee_bps=dutch.fee_bps,
    )  # fmt: skip


def price_now(dutch: Dutch, now: dt.datetime) -> Money:
    return Money(rules.price_at(terms_now(dutch), now), dutch.sale.currency)


def floor_at(dutch: Dutch) -> dt.datetime:
    """When the price has fallen as far as it goes."""
    reached = rules.reaches_at(terms_now(dutch), dutch.floor_minor)
    assert reached is not None
    return reached


def claim_row(claim: Claim, dutch: Dutch) -> BoughtRow:
    currency = dutch.sale.currency
    unit_minor = claim.unit_price_minor if claim.unit_paid_minor is None else claim.unit_paid_minor
    charge = Charge.of(claim.quantity * unit_minor, premium_bps=dutch.premium_bps, fee_bps=dutch.fee_bps)
    nothing, total, on_top = (Money(minor, currency) for minor in (0, charge.paid_minor, charge.premium_minor))
    is_paid = claim.state in (ClaimState.PAID, ClaimState.REFUNDED)
    return BoughtRow(
        record=claim, sale=dutch.sale, at=claim.claimed_at, price=Money(unit_minor, currency),
        held=total if claim.state == ClaimState.HELD else nothing, paid=total if is_paid else nothing, gives_back=nothing,
        on_top=on_top if is_paid else nothing,
    )  # fmt: skip


class DutchPresenter(BasePresenter, folder="auctions/dutch"):
    def room(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        dutch = with_terms(Dutch, sale)
        price = price_now(dutch, now)
        context = {
            "dutch": dutch, "price": price, "floor_at": floor_at(dutch), "falls_from": opens_at(sale),
            "price_total": Money(with_premium(price.minor, dutch.premium_bps), sale.currency),
            "premium_percent": f"{dutch.premium_bps / 100:g}" if dutch.premium_bps else "",
            "quantity_most": min(QUANTITY_MAX, dutch.units_total),
        }  # fmt: skip
        if not request.user.is_authenticated:
            return context
        mine = selectors.claims_of_fan(user_id(request), sale.id)
        return context | {"claims": with_refunds([claim_row(claim, dutch) for claim in mine])}

    def entry(self, sale: Sale) -> Money:
        return Money(with_terms(Dutch, sale).floor_minor, sale.currency)

    def verdict(self, sale: Sale, frame: Mapping[str, Any]) -> Verdict:
        sold, total = frame["units_total"] - frame["units_left"], frame["units_total"]
        if not sold:
            return Verdict(_("Nobody claimed"))
        if frame["last_minor"] is None:  # the clock says that it is over, and nobody has closed it yet
            return Verdict(_("{sold} of {total} claimed").format(sold=number(sold), total=number(total)), tone="good")
        last = Money(frame["last_minor"], sale.currency)
        detail = (
            _("All pay the last price.") if frame["pays"] == rules.LAST else _("Each pays the price of their moment.")
        )
        if total == 1:
            return Verdict(_("Sold at {price}").format(price=last), _("To the first who claimed it."), tone="good")
        words = _("{sold} of {total} claimed, down to {price}").format(
            sold=number(sold), total=number(total), price=last
        )
        return Verdict(words, detail, tone="good")

    def rows(self, records: Sequence[Claim], now: dt.datetime) -> list[BoughtRow]:
        return [claim_row(claim, claim.sale) for claim in records]

    def sums(self, sales: Collection[Sale]) -> dict[UUID, Sums]:
        dutches = with_terms_each(Dutch, sales)
        found = selectors.sums_of(list(dutches))
        sums = {}
        for sale in sales:
            units, gross_minor = found.get(sale.id, (0, 0))
            sums[sale.id] = Sums(units, dutches[sale.id].units_total, Money(gross_minor, sale.currency))
        return sums

    def proof(self, sale: Sale) -> dict[str, Any]:
        settled = settled_totals(DutchSettlement.objects.filter(sale_id=sale.id), "premium_minor")
        return {
            "dutch": with_terms(Dutch, sale), "sums": self.sums([sale])[sale.id],
            "paid_out": Money(settled["gross_minor"] - settled["fee_minor"], sale.currency),
            "house": Money(settled["fee_minor"] + settled["premium_minor"], sale.currency),
        }  # fmt: skip

    def told(self, sale: Sale) -> list[str]:
        facts = self.proof(sale)
        sums = facts["sums"]
        told = [
            _("{total} existed, {units} were claimed while the price fell.").format(
                total=number(sums.units_total), units=number(sums.units)
            )
        ]
        if sale.state == SaleState.SETTLED and sums.units:
            told.append(
                _("{paid_out} went to the seller, {house} to the house.").format(
                    paid_out=facts["paid_out"], house=facts["house"]
                )
            )
        return told

    def draft(self, sale: Sale) -> dict[str, Any]:
        dutch = with_terms(Dutch, sale)
        return {
            "dutch": dutch, "floor_at": floor_at(dutch), "fee_percent": f"{dutch.fee_bps / 100:g}",
            "premium_percent": f"{dutch.premium_bps / 100:g}" if dutch.premium_bps else "",
        }  # fmt: skip

    def console(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        dutch = with_terms(Dutch, sale)
        claimed = self.sums([sale])[sale.id].units
        return {**self.draft(sale), "price": price_now(dutch, now), "runs_on": bool(claimed)}

    def pace(self, sale: Sale, now: dt.datetime) -> float:
        return selectors.units_since(sale.id, now - PACE_OVER) / PACE_OVER.total_seconds()

    def close_means(self, sale: Sale) -> str:
        return _("Nobody has claimed anything. It cannot be opened again.")
