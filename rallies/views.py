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
from core.errors import Invalid, Refusal
from core.http import user_id
from core.ids import uuid7
from core.money import Money
from rallies import presenters, selectors, services
from rallies.forms import JoinForm, LateJoinForm, read_invite
from rallies.hot import JOIN, JoinIn
from rallies.values import JoinLate
from sales import selectors as sale_selectors
from sales.buying import place_from_page
from sales.errors import NotVerified
from sales.formats import get_format
from sales.views import render_room, with_way_back


@with_way_back
@login_required
def join(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """Join without scripts; then the room again."""
    if request.method == "GET":
        return redirect("sales:room", sale_id)
    invite = read_invite(request)
    joined = place_from_page(
        request, sale_id, JOIN, JoinForm(request.POST),
        body=lambda cleaned: JoinIn(cleaned["quantity"], cleaned["only_at_or_below"], invite),
        again="You have already joined from this page. Leave first if you want to join differently.",
        shown=lambda cleaned: {"chosen_quantity": cleaned["quantity"], "chosen_limit": cleaned["only_at_or_below"]},
    )  # fmt: skip
    if isinstance(joined, HttpResponse):
        return joined
    messages.success(request, "You are in.")
    return redirect("sales:room", sale_id)


@with_way_back
@login_required
def leave(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """Leave before the close."""
    if request.method == "GET":
        return redirect("sales:room", sale_id)
    mine = selectors.get_join_of_fan(user_id(request), sale_id)
    try:
        services.leave_rally(rally_id=sale_id, fan_id=mine.fan_id, now=clock.now())
    except Refusal as refusal:
        return render_room(request, sale_selectors.get_public_sale(sale_id), refusal=refusal)
    messages.success(request, "You have left, and your money is in your wallet.")
    return redirect("sales:room", sale_id)


@with_way_back
@login_required
def join_late(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """Buy at the final price after the end; then the receipt."""
    if request.method == "GET":
        return redirect("sales:room", sale_id)
    sale = sale_selectors.get_public_sale(sale_id)
    form = LateJoinForm(request.POST)
    if not form.is_valid():
        return render_room(request, sale, refusal=Invalid("Please choose how many, and press the button again."))
    try:
        if not accounts.is_verified(user_id(request)):
            raise NotVerified
        late = services.join_late(
            sale_id,
            JoinLate(
                join_id=uuid7(), transfer_id=uuid7(), fan_id=user_id(request),
                idempotency_key=form.cleaned_data["key"], quantity=form.cleaned_data["quantity"],
                invite=read_invite(request), received_at=clock.now(),
            ),
        )  # fmt: skip
    except Refusal as refusal:
        return render_room(request, sale, refusal=refusal)
    return redirect("rallies:late_receipt", late.id)


@require_safe
@login_required
def joins(request: HttpRequest) -> HttpResponse:
    """The rallies that the fan is or was in."""
    fan_id = user_id(request)
    context = {
        "format": get_format("rally"),
        "rows": presenters.join_rows(selectors.list_joins_of_fan(fan_id)),
        "late_rows": presenters.late_rows(selectors.list_late_joins_of_fan(fan_id)),
    }
    return render(request, "rallies/joins.html", context)


@require_safe
@login_required
def receipt(request: HttpRequest, join_id: UUID) -> HttpResponse:
    join = selectors.get_receipt(user_id(request), join_id)
    sale = join.rally.sale
    (row,) = presenters.join_rows([join])
    price_minor = presenters.standings([sale.id])[sale.id]["price_minor"]
    context = {
        "record": join,
        "row": row,
        "sale": sale,
        "format": get_format(sale.format),
        "price": Money(price_minor, sale.currency),
        "held_first": row.sums.ceiling * join.quantity,
    }
    return render(request, "rallies/receipt.html", context)


@require_safe
@login_required
def late_receipt(request: HttpRequest, join_id: UUID) -> HttpResponse:
    late = selectors.get_late_receipt(user_id(request), join_id)
    (row,) = presenters.late_rows([late])
    context = {"format": get_format("rally"), "record": late, "row": row, "sale": late.rally.sale}
    return render(request, "rallies/late_receipt.html", context)
