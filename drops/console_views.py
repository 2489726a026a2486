"""A seller's own pages for drops; publishing, closing and calling off are every format's (`sales.console`)."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse

from core import clock
from core.http import user_id
from core.money import Money
from drops import selectors, services
from sales import console
from sales.proof import pseudonym
from sellers import selectors as sellers


@console.asks_first
@login_required
def refund(request: HttpRequest, handle: str, order_id: UUID) -> HttpResponse:
    """Give one buyer everything back; first ask."""
    member = sellers.get_editor(user_id(request), handle)
    order = selectors.orders.of_seller(member.seller_id, order_id)
    total, sale = Money(order.total_minor, order.currency), order.drop.sale
    fan = pseudonym(sale.id, order.fan_id)
    return console.ask_first(
        request, sale, f"Refund {total}?",
        lambda: f"{fan} gets {total} back, and {order.quantity} of {sale.title} go back on sale.", "Refund",
        act=lambda: services.refund_order(drop_id=order.drop_id, order_id=order.id, now=clock.now()),
        done="The buyer has all of the money back; the units are in stock again.",
    )  # fmt: skip
