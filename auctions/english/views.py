"""What a fan does by pressing a button."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from auctions.english import services
from auctions.english.forms import BidForm
from auctions.english.hot import BidIn, bid_command
from auctions.english.lot import asks_again
from core.errors import Invalid
from core.money import MoneyError, parse_money
from sales import selectors as sale_selectors
from sales.buying import place_from_page
from sales.models import Sale
from sales.presenters import newest_frames
from sales.views import button


@button("sales:room")
def bid(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """Bid without scripts; then the room again."""
    sale = sale_selectors.get_public_sale(sale_id)
    made = place_from_page(
        request, sale_id, BidForm(request.POST), body=lambda said: _body(sale, said),
        place=lambda asked: services.place_bid(sale_id, bid_command(asked)),
        again=_("You have already bid from this page. To bid more, say it again now."),
        shown=lambda said: {"typed_max": said["max"], "asked_again": said["max"]},
    )  # fmt: skip
    if isinstance(made, HttpResponse):
        return made
    leads = made.leader_after == made.fan_id
    messages.success(
        request, _("You lead.") if leads else _("Your bid counts, but somebody else has bid as much or more.")
    )
    return redirect("sales:room", sale_id)


def _body(sale: Sale, said: dict[str, Any]) -> BidIn:
    if said["buy_now"]:
        return BidIn(buy_now=True)
    if said["next_minor"]:
        return BidIn(max=said["next_minor"])
    try:
        most = parse_money(said["max"].strip(), sale.currency)
    except MoneyError as mistake:
        raise Invalid(str(mistake), field="max") from mistake
    if most.minor < 1:
        raise Invalid(_("A bid is more than nothing."), field="max")
    next_minor = newest_frames([sale.id])[sale.id]["min_next_minor"]
    if asks_again(next_minor, most.minor) and said["sure"] != said["max"]:
        raise Invalid(
            _(
                "{most} is more than ten times the next bid, and no bid can be taken back. If you mean it, send it again."
            ).format(most=most),
            field="max",
        )
    return BidIn(max=most.minor)
