"""A fan's pages. The seller's are in `console_views`."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts import selectors as accounts
from core import clock
from core.errors import Busy, Invalid, Refusal
from core.http import user_id
from core.ids import uuid7
from drops import presenters, rules, selectors, services
from drops.format import DROP
from drops.forms import BuyForm
from drops.models import Order, OrderState
from sales import selectors as sales
from sales.errors import IdempotencyConflict, NotVerified
from sales.views import render_room, with_way_back


@with_way_back
@login_required
def buy(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """Buy, or hold, without scripts: the same command as the API's, then the receipt."""
    if request.method == "GET":
        return redirect("sales:room", sale_id)
    sale = sales.get_public_sale(sale_id)
    form = BuyForm(request.POST)
    if not form.is_valid():
        return render_room(request, sale, refusal=Invalid("Please choose how many, and press the button again."))
    try:
        order = services.place_order(sale_id, _purchase(request, form))
    except IdempotencyConflict:
        # The same page, sent a second time for another quantity.
        refusal = Invalid("You have already ordered from this page. If you want more, order again now.")
        return render_room(request, sale, refusal=refusal)
    except Busy as refusal:
        # Perhaps it went through unheard, so the next try carries the same key.
        return render_room(request, sale, refusal=refusal, key=form.cleaned_data["key"])
    except Refusal as refusal:
        return render_room(request, sale, refusal=refusal)
    return redirect("drops:order", order.id)


def _purchase(request: HttpRequest, form: BuyForm) -> rules.PlaceOrder:
    if not accounts.is_verified(user_id(request)):
        raise NotVerified
    return rules.PlaceOrder(
        order_id=uuid7(),
        transfer_id=uuid7(),
        fan_id=user_id(request),
        idempotency_key=form.cleaned_data["key"],
        quantity=form.cleaned_data["quantity"],
        hold=form.cleaned_data["hold"],
        received_at=clock.now(),
    )


@require_safe
@login_required
def orders(request: HttpRequest) -> HttpResponse:
    now = clock.now()
    mine = selectors.list_orders_of_fan(user_id(request))
    rows = [presenters.order_row(order, order.drop, now) for order in mine]
    return render(request, "drops/orders.html", {"format": DROP, "rows": rows})


@require_safe
@login_required
def order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The receipt."""
    order = selectors.get_order_of_fan(user_id(request), order_id)
    row = presenters.order_row(order, order.drop, clock.now())
    context = {"format": DROP, "record": order, "row": row, "sale": order.drop.sale}
    return render(request, "drops/order.html", context)


@with_way_back
@login_required
def confirm(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Pay for the held units."""
    if request.method == "GET":
        return redirect("drops:order", order_id)
    order = selectors.get_order_of_fan(user_id(request), order_id)
    services.confirm_order(drop_id=order.drop_id, order_id=order.id, fan_id=user_id(request), now=clock.now())
    messages.success(request, "Paid. It is yours.")
    return _back(request, order)


@with_way_back
@login_required
def give_back(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """End a hold, or return what was bought while the terms allow."""
    if request.method == "GET":
        return redirect("drops:order", order_id)
    order = selectors.get_order_of_fan(user_id(request), order_id)
    done = services.cancel_order(drop_id=order.drop_id, order_id=order.id, fan_id=user_id(request), now=clock.now())
    words = "The hold is ended" if done.state == OrderState.CANCELLED else "The order is given back"
    messages.success(request, f"{words}, and your money is in your wallet.")
    return _back(request, order)


def _back(request: HttpRequest, order: Order) -> HttpResponse:
    """To the page that the button stood on."""
    if request.POST.get("from") == "room":
        return redirect("sales:room", order.drop_id)
    return redirect("drops:order", order.id)
