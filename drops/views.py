"""What a fan does by pressing a button."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from core import clock
from core.http import user_id
from drops import selectors, services
from drops.forms import BuyForm
from drops.hot import PlaceOrderIn, order_command
from drops.models import Order, OrderState
from sales.buying import place_from_page
from sales.views import button


@button("sales:room")
def buy(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """Buy, or hold, without scripts; then the receipt."""
    order = place_from_page(
        request, sale_id, BuyForm(request.POST),
        body=lambda cleaned: PlaceOrderIn(quantity=cleaned["quantity"], hold=cleaned["hold"]),
        place=lambda asked: services.place_order(sale_id, order_command(asked)),
        again=_("You have already ordered from this page. If you want more, order again now."),
    )  # fmt: skip
    return order if isinstance(order, HttpResponse) else redirect("drops:order", order.id)


@button("drops:order")
def confirm(request: HttpRequest, id: UUID) -> HttpResponse:
    """Pay for the held units."""
    order = selectors.orders.of_fan(user_id(request), id)
    services.confirm_order(drop_id=order.drop_id, order_id=order.id, fan_id=order.fan_id, now=clock.now())
    messages.success(request, _("Paid. It is yours."))
    return _back(request, order)


@button("drops:order")
def give_back(request: HttpRequest, id: UUID) -> HttpResponse:
    """End a hold, or return what was bought while the terms allow."""
    order = selectors.orders.of_fan(user_id(request), id)
    done = services.cancel_order(drop_id=order.drop_id, order_id=order.id, fan_id=order.fan_id, now=clock.now())
    words = _("The hold is ended") if done.state == OrderState.CANCELLED else _("The order is given back")
    messages.success(request, _("{words}, and your money is in your wallet.").format(words=words))
    return _back(request, order)


def _back(request: HttpRequest, order: Order) -> HttpResponse:
    """To the page that the button stood on."""
    if request.POST.get("from") == "room":
        return redirect("sales:room", order.drop_id)
    return redirect("drops:order", order.id)
