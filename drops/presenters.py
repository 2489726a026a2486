"""What pages show of a drop and of its orders."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from core.http import user_id
from core.money import Money
from drops import rules, selectors
from drops.models import HAS_UNITS, Drop, Order, OrderState, Settlement
from sales.formats import BasePresenter, Sums
from sales.models import Sale
from sales.presenters import quantities
from sales.proof import pseudonym
from sales.selectors import settled_totals, with_terms, with_terms_each

NEWEST_ORDERS = 50
CONSOLE_ORDERS = 200


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order with what its owner, or its seller, may do about it now."""

    order: Order
    may_confirm: bool
    give_back_until: dt.datetime | None  # of a hold, its end; None: it cannot be given back
    may_refund: bool

    @property
    def fan(self) -> str:
        """A pseudonym, for other eyes than the owner's."""
        return pseudonym(self.order.drop_id, self.order.fan_id)

    @property
    def price(self) -> Money:
        return Money(self.order.unit_price_minor, self.order.currency)

    @property
    def total(self) -> Money:
        return Money(self.order.total_minor, self.order.currency)


def order_row(order: Order, drop: Drop, now: dt.datetime) -> OrderRow:
    """The buttons to offer. Only `rules.decide` decides; a button too many is refused there."""
    is_confirmable = order.state == OrderState.HELD and now < _hold_ends_at(order, drop)
    may_refund = order.state in HAS_UNITS
    return OrderRow(order, is_confirmable, _give_back_until(order, drop, now), may_refund)


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


def newest_rows(drop: Drop, now: dt.datetime, *, limit: int = NEWEST_ORDERS) -> list[OrderRow]:
    return [order_row(order, drop, now) for order in selectors.orders.list_of_sale(drop.sale_id, limit=limit)]


class DropPresenter(BasePresenter, folder="drops"):
    def room(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        drop = with_terms(Drop, sale)
        context = {
            "drop": drop,
            "price": Money(drop.price_minor, sale.currency),
            "quantities": quantities(drop.limit_per_fan, drop.units_total),
        }
        if request.user.is_authenticated:
            mine = selectors.list_orders_of_fan_in_drop(user_id(request), sale.id)
            context["orders"] = [order_row(order, drop, now) for order in mine]
        return context

    def proof(self, sale: Sale) -> dict[str, Any]:
        drop = with_terms(Drop, sale)
        sums = self.sums([sale])[sale.id]
        settled = settled_totals(Settlement.objects.filter(drop_id=sale.id))
        return {
            "drop": drop,
            "sums": sums,
            "paid_out": Money(settled["gross_minor"] - settled["fee_minor"], sale.currency),
            "fee": Money(settled["fee_minor"], sale.currency),
            "rows": newest_rows(drop, sale.closes_at),
        }

    def happened(self, sale: Sale) -> list[str]:
        orders, amount_minor = selectors.refunded_totals(sale.id)
        if not orders:
            return []
        return [
            f"{orders:,} paid orders were given back by their buyers or the seller, {Money(amount_minor, sale.currency)}"
        ]

    def draft(self, sale: Sale) -> dict[str, Any]:
        drop = sale.drop
        price = Money(drop.price_minor, sale.currency)
        return {"drop": drop, "price": price, "fee_percent": f"{drop.fee_bps / 100:g}"}

    def console(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        drop = with_terms(Drop, sale)
        price, rows = Money(drop.price_minor, sale.currency), newest_rows(drop, now, limit=CONSOLE_ORDERS)
        return {"drop": drop, "price": price, "rows": rows}

    def close_means(self, sale: Sale) -> str:
        return "Nobody can buy any more, and what was paid is passed on to you. It cannot be opened again."

    def sums(self, sales: Collection[Sale]) -> dict[UUID, Sums]:
        drops = with_terms_each(Drop, sales)
        sold = selectors.sums_of_drops(drops)
        sums = {}
        for sale in sales:
            units, gross_minor = sold.get(sale.id, (0, 0))
            sums[sale.id] = Sums(units, drops[sale.id].units_total, Money(gross_minor, sale.currency))
        return sums
