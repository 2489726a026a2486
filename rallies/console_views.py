"""A seller's own pages for rallies; publishing, closing and calling off are every format's (`sales.console`)."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from core import clock
from core.http import user_id
from core.ids import uuid7
from core.money import Money
from rallies import forms, selectors, services, stairs
from rallies.forms import RallyForm
from sales import console
from sales.formats import get_format
from sales.proof import pseudonym
from sellers import selectors as sellers
from sellers.models import Seller


@console.asks_first
@login_required
def new(request: HttpRequest, handle: str) -> HttpResponse:
    """Draft a rally. The buttons beside the tiers, and the script, ask for the same form again with a new picture."""
    member = sellers.get_editor(user_id(request), handle)
    values = request.POST.dict()
    if request.method != "POST":
        return _form_page(request, member.seller, RallyForm(initial={"sale_id": uuid7()}), values)
    if "add_tier" in values:
        return _form_page(request, member.seller, forms.with_one_row_more(values), values)
    if (row := values.get("remove_tier", "")).isdecimal():
        form = forms.without_row(values, int(row))
        return _form_page(request, member.seller, form, dict(form.initial))
    if "preview" in values:
        return _form_page(request, member.seller, RallyForm(initial=values), values)
    form = RallyForm(values, initial={})
    if form.is_valid() and (sale_id := console.draft_from(form, member, services.draft_rally)):
        return redirect("rallies:console", handle, sale_id)
    return _form_page(request, member.seller, form, values, status=422)


def _form_page(
    request: HttpRequest, shop: Seller, form: RallyForm, values: dict[str, str], *, status: int = 200
) -> HttpResponse:
    tiers, currency = forms.tiers_so_far(values)
    drawn = stairs.draw(tiers, currency) if tiers else None
    context = {
        "shop": shop,
        "format": get_format("rally"),
        "form": form,
        "now": clock.now(),
        "stairs": drawn,
        "tier_sums": stairs.tier_sums(drawn, fee_bps=shop.fee_bps) if drawn else [],
        "fee_percent": f"{shop.fee_bps / 100:g}",
    }
    return render(request, "rallies/new.html", context, status=status)


@console.asks_first
@login_required
def remove(request: HttpRequest, handle: str, join_id: UUID) -> HttpResponse:
    """Turn a fan out before the close; first ask."""
    member = sellers.get_editor(user_id(request), handle)
    join = selectors.joins.of_seller(member.seller_id, join_id)
    fan = pseudonym(join.rally_id, join.fan_id)
    return console.ask_first(
        request, join.rally.sale, f"Remove {fan}?",
        lambda: f"{fan} gets everything back that is held, and cannot join this rally again. The crowd is one smaller, so the "
        "price may rise again; near the end the count stays as it is.",
        "Remove the fan", act=lambda: services.remove_fan(rally_id=join.rally_id, fan_id=join.fan_id, now=clock.now()),
        done="The fan is out, and has the money back.",
    )  # fmt: skip


@console.asks_first
@login_required
def refund(request: HttpRequest, handle: str, join_id: UUID) -> HttpResponse:
    """Give a fan who paid everything back; first ask."""
    member = sellers.get_editor(user_id(request), handle)
    join = selectors.joins.of_seller(member.seller_id, join_id)
    sale, fan = join.rally.sale, pseudonym(join.rally_id, join.fan_id)
    outcome = selectors.outcomes_of([sale.id]).get(sale.id)
    paid = Money(outcome.price_minor * join.quantity, sale.currency) if outcome else fan
    return console.ask_first(
        request, sale, f"Refund {paid}?",
        lambda: f"{fan} gets back what was paid, out of your proceeds, and the house gives back its fee. "
        "The final price stays what it is for all others.",
        "Refund", act=lambda: services.refund_join(rally_id=join.rally_id, fan_id=join.fan_id, now=clock.now()),
        done="The fan has all of the money back.",
    )  # fmt: skip
