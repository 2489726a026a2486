"""A seller's own pages for drops; publishing, closing and calling off are every format's (`sales.console`)."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

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
    order = selectors.get_order_for_seller(member.seller_id, order_id)
    if request.method == "POST":
        services.refund_order(drop_id=order.drop_id, order_id=order.id, now=clock.now())
        messages.success(request, "The buyer has all of the money back; the units are in stock again.")
        return redirect("drops:console", handle, order.drop_id)
    total, sale = Money(order.total_minor, order.currency), order.drop.sale
    sentence = (
        f"{pseudonym(sale.id, order.fan_id)} gets {total} back, and {order.quantity} of {sale.title} go back on sale."
    )
    back = console.get_format("drop").url("console", handle, sale.id)
    return console.question(request, f"Refund {total}?", sentence, "Refund", back)
