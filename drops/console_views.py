"""A seller's pages: drafting a drop, publishing it, watching it, ending it."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from core import clock
from core.errors import Invalid
from core.http import user_id
from core.ids import uuid7
from core.money import Money
from drops import presenters, selectors, services
from drops.format import DROP
from drops.forms import DropForm
from drops.presenters import DropPresenter
from sales import presenters as sale_presenters
from sales import selectors as sale_selectors
from sales import services as sales
from sales.models import SaleState
from sales.phases import standing
from sales.views import with_way_back
from sellers import selectors as sellers
from sellers.models import MAY_EDIT_SALES


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new(request: HttpRequest, handle: str) -> HttpResponse:
    """Draft a drop."""
    member = sellers.get_editor(user_id(request), handle)
    form = DropForm(request.POST or None, initial={"sale_id": uuid7()})
    if form.is_valid():
        try:
            drop = services.draft_drop(seller_id=member.seller_id, **form.as_draft(clock.now()))
        except Invalid as refusal:
            form.add_refusal(str(refusal.data.get("field", "")), refusal.message)
        else:
            return redirect("drops:console", handle, drop.sale_id)
    context = {"format": DROP, "shop": member.seller, "form": form}
    return render(request, "drops/new.html", context, status=422 if form.errors else 200)


@require_safe
@login_required
def drop(request: HttpRequest, handle: str, sale_id: UUID) -> HttpResponse:
    """A draft to look over and publish, or a running drop's numbers and orders."""
    member = sellers.get_membership(user_id(request), handle)
    drop = selectors.get_drop_for_seller(member.seller_id, sale_id)
    now = clock.now()
    context = {
        "shop": member.seller,
        "sale": drop.sale,
        "drop": drop,
        "price": Money(drop.price_minor, drop.sale.currency),
        **standing(drop.sale, now),
        "may_edit": member.role in MAY_EDIT_SALES,
    }
    if drop.sale.state == SaleState.DRAFT:
        context |= {"terms_text": sale_presenters.terms_preview(drop.sale), "fee_percent": f"{drop.fee_bps / 100:g}"}
        return render(request, "drops/draft.html", context)
    context |= {
        "sums": DropPresenter().sums([drop.sale])[drop.sale_id],
        "rows": presenters.pseudonymous_rows(drop, now, limit=200),
        "terms": sale_selectors.find_terms(drop.sale_id, drop.sale.terms_version),
    }
    return render(request, "drops/console.html", context)


@with_way_back
@login_required
def publish(request: HttpRequest, handle: str, sale_id: UUID) -> HttpResponse:
    """Seal the draft's terms and put it on its schedule."""
    if request.method == "GET":
        return redirect("drops:console", handle, sale_id)
    member = sellers.get_editor(user_id(request), handle)
    sale = sales.publish_sale(seller_id=member.seller_id, sale_id=sale_id, now=clock.now())
    messages.success(request, f"{sale.title} is published and its terms are sealed.")
    return redirect("drops:console", handle, sale_id)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def close(request: HttpRequest, handle: str, sale_id: UUID) -> HttpResponse:
    """End a running drop now; first ask."""
    member = sellers.get_editor(user_id(request), handle)
    if request.method == "POST":
        sales.close_sale_early(seller_id=member.seller_id, sale_id=sale_id, now=clock.now())
        messages.success(request, "The drop is closed; its orders are being settled.")
        return redirect("drops:console", handle, sale_id)
    sale = sale_selectors.get_sale_for_seller(member.seller_id, sale_id)
    context = {
        "heading": f"Close {sale.title} now?",
        "sentence": "Nobody can buy any more, and what was paid is passed on to you. It cannot be opened again.",
        "action": "Close the drop",
        "back": _console_path(handle, sale_id),
    }
    return render(request, "confirm.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def cancel(request: HttpRequest, handle: str, sale_id: UUID) -> HttpResponse:
    """Call a drop off; first ask."""
    member = sellers.get_editor(user_id(request), handle)
    if request.method == "POST":
        sales.cancel_sale(seller_id=member.seller_id, sale_id=sale_id, now=clock.now())
        messages.success(request, "The drop is called off. Everybody who paid gets all of it back.")
        return redirect("drops:console", handle, sale_id)
    sale = sale_selectors.get_sale_for_seller(member.seller_id, sale_id)
    is_draft = sale.state == SaleState.DRAFT
    context = {
        "heading": f"Call {sale.title} off?",
        "sentence": "Nobody has seen it yet." if is_draft else "Everybody who paid gets all of their money back.",
        "action": "Call it off",
        "back": _console_path(handle, sale_id),
    }
    return render(request, "confirm.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def refund(request: HttpRequest, handle: str, order_id: UUID) -> HttpResponse:
    """Give one buyer everything back; first ask."""
    member = sellers.get_editor(user_id(request), handle)
    order = selectors.get_order_for_seller(member.seller_id, order_id)
    if request.method == "POST":
        services.refund_order(drop_id=order.drop_id, order_id=order.id, now=clock.now())
        messages.success(request, "The buyer has all of the money back; the units are in stock again.")
        return redirect("drops:console", handle, order.drop_id)
    total = Money(order.total_minor, order.currency)
    context = {
        "heading": f"Refund {total}?",
        "sentence": f"{presenters.pseudonym(order.drop_id, order.fan_id)} gets {total} back, "
        f"and {order.quantity} of {order.drop.sale.title} go back on sale.",
        "action": "Refund",
        "back": _console_path(handle, order.drop_id),
    }
    return render(request, "confirm.html", context)


def _console_path(handle: str, sale_id: UUID) -> str:
    return reverse("drops:console", args=[handle, sale_id])
