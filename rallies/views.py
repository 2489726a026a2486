"""What a fan does by pressing a button. What a seller does is in `console_views`."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from core import clock
from core.errors import Refusal
from core.http import user_id
from rallies import selectors, services
from rallies.forms import JoinForm, read_invite
from rallies.hot import JoinIn, join_command, late_command
from sales import selectors as sale_selectors
from sales.buying import place_from_page
from sales.forms import PurchaseForm
from sales.views import button, render_room


@button("sales:room")
def join(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """Join without scripts; then the room again."""
    invite = read_invite(request)
    joined = place_from_page(
        request, sale_id, JoinForm(request.POST),
        body=lambda cleaned: JoinIn(cleaned["quantity"], cleaned["only_at_or_below"], invite),
        place=lambda asked: services.join_rally(sale_id, join_command(asked)),
        again=_("You have already joined from this page. Leave first if you want to join differently."),
        shown=lambda cleaned: {"chosen_quantity": cleaned["quantity"], "chosen_limit": cleaned["only_at_or_below"]},
    )  # fmt: skip
    if isinstance(joined, HttpResponse):
        return joined
    messages.success(request, _("You are in."))
    return redirect("sales:room", sale_id)


@button("sales:room")
def leave(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """Leave before the close."""
    mine = selectors.get_join(user_id(request), sale_id)
    try:
        services.leave_rally(rally_id=sale_id, fan_id=mine.fan_id, now=clock.now())
    except Refusal as refusal:
        return render_room(request, sale_selectors.get_public_sale(sale_id), refusal=refusal)
    messages.success(request, _("You have left, and your money is in your wallet."))
    return redirect("sales:room", sale_id)


@button("sales:room")
def join_late(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """Buy at the final price after the end; then the receipt."""
    invite = read_invite(request)
    late = place_from_page(
        request, sale_id, PurchaseForm(request.POST),
        body=lambda cleaned: JoinIn(cleaned["quantity"], None, invite),
        place=lambda asked: services.join_late(sale_id, late_command(asked)),
    )  # fmt: skip
    return late if isinstance(late, HttpResponse) else redirect("rallies:late_receipt", late.id)
