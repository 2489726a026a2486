"""What pages show of a drop and of its orders."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from accounts import selectors as accounts
from core.http import user_id
from core.ids import uuid7
from core.money import Money
from drops import rules, selectors
from drops.models import HAS_UNITS, Drop, Order, OrderState
from sales.formats import BasePresenter, Sums
from sales.models import UNENDED_STATES, Sale
from sales.proof import pseudonym
from sales.selectors import with_terms
from sales.services import issue_buy_token

# More than this at once is bought through the API.
QUANTITY_MAX = 10
NEWEST_ORDERS = 50
CONSOLE_ORDERS = 200


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order with what its owner, or its seller, may do about it now."""

    order: Order
    may_confirm: bool
    give_back_until: dt.datetime | None  # of a hold, its end; None: it cannot be given back
    may_refund: bool
    fan: str = ""  # a pseudonym, for other eyes than the owner's

    @property
    def price(self) -> Money:
        return Money(self.order.unit_price_minor, self.order.currency)

    @property
    def total(self) -> Money:
        return Money(self.order.total_minor, self.order.currency)


def order_row(order: Order, drop: Drop, now: dt.datetime, *, fan: str = "") -> OrderRow:
    """The buttons to offer. Only `rules.decide` decides; a button too many is refused there."""
    is_confirmable = order.state == OrderState.HELD and now < _hold_ends_at(order, drop)
    may_refund = order.state in HAS_UNITS
    return OrderRow(order, is_confirmable, _give_back_until(order, drop, now), may_refund, fan)


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


def order_rows(orders: Iterable[Order], drop: Drop, now: dt.datetime) -> list[OrderRow]:
    return [order_row(order, drop, now) for order in orders]


def pseudonymous_rows(drop: Drop, now: dt.datetime, *, limit: int = NEWEST_ORDERS) -> list[OrderRow]:
    """The drop's newest orders, each fan by the name that this sale's proof gives them."""
    newest = selectors.list_orders_of_drop(drop.sale_id)[:limit]
    return [order_row(order, drop, now, fan=pseudonym(drop.sale_id, order.fan_id)) for order in newest]


class DropPresenter(BasePresenter):
    room_template = "drops/room.html"
    card_template = "drops/_card.html"
    totals_template = "drops/_totals.html"
    orders_template = "drops/_newest_orders.html"
    new_template = "drops/new.html"
    draft_template = "drops/draft.html"
    console_template = "drops/console.html"

    def room(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        drop = selectors.get_drop(sale.id)
        limit = min(drop.limit_per_fan or QUANTITY_MAX, QUANTITY_MAX, drop.units_total)
        context = {"drop": drop, "price": Money(drop.price_minor, sale.currency), "quantities": range(1, limit + 1)}
        if request.user.is_authenticated:
            context |= self._own(drop, user_id(request), now)
        return context

    def _own(self, drop: Drop, fan_id: UUID, now: dt.datetime) -> dict[str, Any]:
        """What only the fan who is logged in sees."""
        own: dict[str, Any] = {
            "orders": order_rows(selectors.list_orders_of_fan_in_drop(fan_id, drop.sale_id), drop, now),
            "is_verified": accounts.is_verified(fan_id),
        }
        if own["is_verified"] and drop.sale.state in UNENDED_STATES:
            # The key is for the form without scripts; a script makes its own, one per purchase.
            own |= {"key": uuid7(), **issue_buy_token(user_id=fan_id, sale_id=drop.sale_id)}
        return own

    def proof(self, sale: Sale) -> dict[str, Any]:
        drop = selectors.get_drop(sale.id)
        sums = self.sums([sale])[sale.id]
        settled = selectors.settled_totals(sale.id)
        return {
            "drop": drop,
            "sums": sums,
            "paid_out": Money(settled["gross_minor"] - settled["fee_minor"], sale.currency),
            "fee": Money(settled["fee_minor"], sale.currency),
            "rows": pseudonymous_rows(drop, sale.closes_at),
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
        rows = pseudonymous_rows(drop, now, limit=CONSOLE_ORDERS)
        return {"drop": drop, "price": Money(drop.price_minor, sale.currency), "rows": rows}

    def close_means(self, sale: Sale) -> str:
        return "Nobody can buy any more, and what was paid is passed on to you. It cannot be opened again."

    def sums(self, sales: Collection[Sale]) -> dict[UUID, Sums]:
        totals = selectors.totals_of_drops([sale.id for sale in sales])
        units_total = selectors.units_of_drops([sale.id for sale in sales])
        nothing = {"units": 0, "gross_minor": 0}
        return {
            sale.id: Sums(total["units"], units_total[sale.id], Money(total["gross_minor"], sale.currency))
            for sale in sales
            for total in [totals.get(sale.id, nothing)]
        }
