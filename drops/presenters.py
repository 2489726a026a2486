"""What pages show of a drop and of its orders."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from core.http import user_id
from core.language import number
from core.money import Money
from drops import rules, selectors
from drops.models import HAS_UNITS, Drop, Order, OrderState, Settlement
from sales.bought import BoughtRow, with_refunds
from sales.formats import BasePresenter, Sums, Verdict
from sales.models import Sale, SaleState
from sales.phases import ends_at, opens_at
from sales.presenters import QUANTITY_MAX
from sales.refunds import refunded_in
from sales.selectors import settled_totals, with_terms, with_terms_each


@dataclass(slots=True, kw_only=True)
class OrderRow(BoughtRow):
    """With what its owner may do about it now. Only `rules.decide` decides; a button too many is refused there."""

    fan_actions = "drops/_order_actions.html"

    give_back_until: dt.datetime | None  # of a hold, its end; None: it cannot be given back

    @property
    def may_confirm(self) -> bool:
        return self.held_until is not None


def order_row(order: Order, drop: Drop, now: dt.datetime) -> OrderRow:
    total, nothing = Money(order.total_minor, order.currency), Money(0, order.currency)
    is_paid = order.state in (OrderState.PAID, OrderState.SETTLED, OrderState.REFUNDED)
    held_until = _hold_ends_at(order, drop) if order.state == OrderState.HELD else None
    return OrderRow(
        record=order, sale=drop.sale, at=order.placed_at, price=Money(order.unit_price_minor, order.currency),
        held=total if order.state == OrderState.HELD else nothing, paid=total if is_paid else nothing,
        gives_back=Money(unsettled_minor(order), order.currency),
        held_until=held_until if held_until and now < held_until else None,
        give_back_until=_give_back_until(order, drop, now),
    )  # fmt: skip


def unsettled_minor(order: Order) -> int:
    return order.total_minor if order.state in (OrderState.HELD, OrderState.PAID) else 0


def _give_back_until(order: Order, drop: Drop, now: dt.datetime) -> dt.datetime | None:
    if order.state == OrderState.HELD:
        return _hold_ends_at(order, drop)
    sale = drop.sale
    until = rules.may_cancel_until(
        order, cancel_s=drop.cancel_s, closes_at=sale.closes_at + sale.moved_by, frozen_ms=sale.frozen_ms
    )
    return until if order.state == OrderState.PAID and now < until else None


def _hold_ends_at(order: Order, drop: Drop) -> dt.datetime:
    return rules.hold_ends_at(order, frozen_ms=drop.sale.frozen_ms)


PACE_OVER = dt.timedelta(seconds=10)
CHART_SLOTS = 96


@dataclass(frozen=True, slots=True)
class SoldChart:
    """Units sold over time, as points of a line in a box of 100 by 100, whose top is all there are."""

    points: str
    units: int
    busiest: int  # units in one slot
    slot: dt.timedelta


def sold_chart(drop: Drop, until: dt.datetime) -> SoldChart | None:
    """From the opening until then; None while nothing is sold."""
    since = opens_at(drop.sale)
    sold = (
        dict(selectors.units_over_time(drop.sale_id, since=since, until=until, slots=CHART_SLOTS))
        if until > since
        else {}
    )
    if not sold:
        return None
    total, points = 0, ["0,100"]
    for slot in range(1, CHART_SLOTS + 1):
        total += sold.get(slot, 0)
        points.append(f"{100 * slot / CHART_SLOTS:.2f},{100 * (1 - total / drop.units_total):.2f}")
    return SoldChart(" ".join(points), total, max(sold.values()), (until - since) / CHART_SLOTS)


class DropPresenter(BasePresenter, folder="drops"):
    def room(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        drop = with_terms(Drop, sale)
        context: dict[str, Any] = {
            "drop": drop,
            "price": Money(drop.price_minor, sale.currency),
            "quantity_most": min(drop.limit_per_fan or QUANTITY_MAX, drop.units_total),
        }
        return context | self._own(user_id(request), drop, now) if request.user.is_authenticated else context

    def _own(self, fan_id: UUID, drop: Drop, now: dt.datetime) -> dict[str, Any]:
        """What only the fan who is logged in sees."""
        sale = drop.sale
        mine = selectors.list_orders_of_fan_in_drop(fan_id, sale.id)
        taken = [order for order in mine if order.state in (OrderState.PAID, OrderState.SETTLED)]
        counted = sum(order.quantity for order in mine if order.state in HAS_UNITS)
        limit = drop.limit_per_fan
        own: dict[str, Any] = {
            "orders": with_refunds([order_row(order, drop, now) for order in mine]),
            "units_mine": sum(order.quantity for order in taken),
            "may_buy": None if limit is None else max(limit - counted, 0),
        }
        if limit is not None:
            own["quantity_most"] = max(limit - counted, 1)
        if taken:
            own["receipt_url"] = reverse("drops:order", args=[taken[0].id])
        return own

    def entry(self, sale: Sale) -> Money:
        return Money(with_terms(Drop, sale).price_minor, sale.currency)

    def verdict(self, sale: Sale, frame: Mapping[str, Any]) -> Verdict:
        total, left = frame["units_total"], frame["units_left"]
        if left == total:
            return Verdict(_("Nobody bought"))
        words = (
            _("{sold} of {total} sold").format(sold=number(total - left), total=number(total))
            if left
            else _("All {total} sold").format(total=number(total))
        )
        return Verdict(words, _("Each at the same price."), tone="good")

    def rows(self, records: Sequence[Order], now: dt.datetime) -> list[OrderRow]:
        return [order_row(order, order.drop, now) for order in records]

    def proof(self, sale: Sale) -> dict[str, Any]:
        drop = with_terms(Drop, sale)
        sums = self.sums([sale])[sale.id]
        settled = settled_totals(Settlement.objects.filter(drop_id=sale.id))
        return {
            "drop": drop,
            "sums": sums,
            "paid_out": Money(settled["gross_minor"] - settled["fee_minor"], sale.currency),
            "fee": Money(settled["fee_minor"], sale.currency),
        }

    def told(self, sale: Sale) -> list[str]:
        facts = self.proof(sale)
        sums, paid_out, fee = facts["sums"], facts["paid_out"], facts["fee"]
        told = [
            _("{units_total} existed, {units} were sold.").format(
                units_total=number(sums.units_total), units=number(sums.units)
            ),
            _("Fans paid {gross}.").format(gross=sums.gross),
        ]
        if sale.state == SaleState.SETTLED:
            told[1] = _("Fans paid {gross}: {paid_out} went to the seller, {fee} to the house.").format(
                gross=sums.gross, paid_out=paid_out, fee=fee
            )
            told.append(_("{amount} is unaccounted for.").format(amount=sums.gross - paid_out - fee))
            refunded_minor, _count = refunded_in([sale.id]).get(sale.id, (0, 0))
            if refunded_minor:
                told.append(_("{amount} was refunded since.").format(amount=Money(refunded_minor, sale.currency)))
        return told

    def happened(self, sale: Sale) -> list[str]:
        orders, amount_minor = selectors.given_back(sale.id)
        given = Money(amount_minor, sale.currency)
        return (
            [
                _("{orders} paid orders were given back by their buyers or the seller, {given}").format(
                    orders=number(orders), given=given
                )
            ]
            if orders
            else []
        )

    def draft(self, sale: Sale) -> dict[str, Any]:
        drop = sale.drop
        price = Money(drop.price_minor, sale.currency)
        return {"drop": drop, "price": price, "fee_percent": f"{drop.fee_bps / 100:g}"}

    def console(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        drop = with_terms(Drop, sale)
        until = min(now, sale.closed_at or ends_at(sale))
        return {
            "drop": drop,
            "price": Money(drop.price_minor, sale.currency),
            "chart": sold_chart(drop, until),
            "chart_until": until,
        }

    def pace(self, sale: Sale, now: dt.datetime) -> float:
        return selectors.units_since(sale.id, now - PACE_OVER) / PACE_OVER.total_seconds()

    def close_means(self, sale: Sale) -> str:
        return _("Nobody can buy any more, and what was paid is passed on to you. It cannot be opened again.")

    def sums(self, sales: Collection[Sale]) -> dict[UUID, Sums]:
        drops = with_terms_each(Drop, sales)
        sold = selectors.sums_of_drops(drops)
        sums = {}
        for sale in sales:
            units, gross_minor = sold.get(sale.id, (0, 0))
            sums[sale.id] = Sums(units, drops[sale.id].units_total, Money(gross_minor, sale.currency))
        return sums
