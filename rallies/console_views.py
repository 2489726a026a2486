"""A seller's pages: drafting a rally, publishing it, watching it, ending it."""

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
from rallies import forms, presenters, selectors, services, stairs
from rallies.format import RALLY
from rallies.forms import RallyForm
from rallies.models import Join, Rally
from sales import presenters as sale_presenters
from sales import selectors as sale_selectors
from sales import services as sales
from sales.models import SaleState
from sales.phases import standing
from sales.proof import pseudonym
from sales.views import with_way_back
from sellers import selectors as sellers
from sellers.models import MAY_EDIT_SALES, Seller

JOINS_SHOWN = 100


@require_http_methods(["GET", "HEAD", "POST"])
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
    if form.is_valid():
        try:
            rally = services.draft_rally(seller_id=member.seller_id, **form.as_draft(clock.now()))
        except Invalid as refusal:
            form.add_refusal(str(refusal.data.get("field", "")), refusal.message)
        else:
            return redirect("rallies:console", handle, rally.sale_id)
    return _form_page(request, member.seller, form, values, status=422)


def _form_page(
    request: HttpRequest, shop: Seller, form: RallyForm, values: dict[str, str], *, status: int = 200
) -> HttpResponse:
    tiers, currency = forms.tiers_so_far(values)
    drawn = stairs.draw(tiers, currency) if tiers else None
    context = {
        "format": RALLY,
        "shop": shop,
        "form": form,
        "stairs": drawn,
        "tier_sums": stairs.tier_sums(drawn, fee_bps=shop.fee_bps) if drawn else [],
        "fee_percent": f"{shop.fee_bps / 100:g}",
    }
    return render(request, "rallies/new.html", context, status=status)


@require_safe
@login_required
def rally(request: HttpRequest, handle: str, sale_id: UUID) -> HttpResponse:
    """A draft to look over and publish, or a running or ended rally's numbers and joins."""
    member = sellers.get_membership(user_id(request), handle)
    rally = selectors.get_rally_for_seller(member.seller_id, sale_id)
    now = clock.now()
    tiers = selectors.tiers_of(sale_id)
    is_draft = rally.sale.state == SaleState.DRAFT
    frame = presenters.frame_of(rally.sale)
    drawn = stairs.draw(tiers, rally.sale.currency, None if is_draft else frame)
    context = {
        "shop": member.seller,
        "sale": rally.sale,
        "rally": rally,
        "stairs": drawn,
        "tier_sums": stairs.tier_sums(drawn, fee_bps=rally.fee_bps),
        **standing(rally.sale, now, frame["units_left"]),
        "may_edit": member.role in MAY_EDIT_SALES,
        "fee_percent": f"{rally.fee_bps / 100:g}",
    }
    if is_draft:
        context |= {"terms_text": sale_presenters.terms_preview(rally.sale)}
        return render(request, "rallies/draft.html", context)
    currency = rally.sale.currency
    context |= {
        "frame": frame,
        "price": Money(frame["price_minor"], currency),
        "next_price": None if frame["next_count"] is None else Money(frame["next_price_minor"], currency),
        "sums": presenters.RallyPresenter().sums([rally.sale])[sale_id],
        "rows": presenters.pseudonymous_rows(rally.sale, frame, limit=JOINS_SHOWN),
        "inviters": presenters.top_inviters(sale_id),
        "history": presenters.history_of(rally, tiers, now),
        "history_until": min(now, rally.sale.closed_at or rally.sale.closes_at),
        "invite_url": presenters.invite_url(request, sale_id, rally.seller_invite),
        "terms": sale_selectors.find_terms(sale_id, rally.sale.terms_version),
    }
    context |= _after_the_end(rally, frame)
    return render(request, "rallies/console.html", context)


def _after_the_end(rally: Rally, frame: dict[str, object]) -> dict[str, object]:
    outcome = selectors.outcomes_of([rally.sale_id]).get(rally.sale_id)
    if outcome is None:
        return {}
    return {
        "outcome": outcome,
        "totals": presenters.ended_totals([rally], {rally.sale_id: outcome.price_minor})[rally.sale_id],
        "late_rows": selectors.list_late_joins_of_rally(rally.sale_id, limit=JOINS_SHOWN),
    }


@with_way_back
@login_required
def publish(request: HttpRequest, handle: str, sale_id: UUID) -> HttpResponse:
    """Seal the draft's terms and put it on its schedule."""
    if request.method == "GET":
        return redirect("rallies:console", handle, sale_id)
    member = sellers.get_editor(user_id(request), handle)
    sale = sales.publish_sale(seller_id=member.seller_id, sale_id=sale_id, now=clock.now())
    messages.success(request, f"{sale.title} is published and its terms are sealed.")
    return redirect("rallies:console", handle, sale_id)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def close(request: HttpRequest, handle: str, sale_id: UUID) -> HttpResponse:
    """End a running rally now; first ask."""
    member = sellers.get_editor(user_id(request), handle)
    if request.method == "POST":
        sales.close_sale_early(seller_id=member.seller_id, sale_id=sale_id, now=clock.now())
        messages.success(request, "The rally is closed; its joins are being settled.")
        return redirect("rallies:console", handle, sale_id)
    rally = selectors.get_rally_for_seller(member.seller_id, sale_id)
    frame = presenters.frame_of(rally.sale)
    price = Money(frame["price_minor"], rally.sale.currency)
    if frame["count"] < rally.minimum:
        what = f"As it stands, with {frame['count']} of at least {rally.minimum}, nobody would pay."
    else:
        what = f"As it stands, {frame['units']} units would be paid at {price}."
    context = {
        "heading": f"Close {rally.sale.title} now?",
        "sentence": f"Nobody can join or leave any more, and everybody pays the same final price. {what} "
        "It cannot be opened again.",
        "action": "Close the rally",
        "back": _console_path(handle, sale_id),
    }
    return render(request, "confirm.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def cancel(request: HttpRequest, handle: str, sale_id: UUID) -> HttpResponse:
    """Call a rally off; first ask."""
    member = sellers.get_editor(user_id(request), handle)
    if request.method == "POST":
        sales.cancel_sale(seller_id=member.seller_id, sale_id=sale_id, now=clock.now())
        messages.success(request, "The rally is called off. Nobody pays, and all that was held goes back.")
        return redirect("rallies:console", handle, sale_id)
    sale = sale_selectors.get_sale_for_seller(member.seller_id, sale_id)
    is_draft = sale.state == SaleState.DRAFT
    context = {
        "heading": f"Call {sale.title} off?",
        "sentence": "Nobody has seen it yet."
        if is_draft
        else "Nobody pays, and what is held goes back to the wallets.",
        "action": "Call it off",
        "back": _console_path(handle, sale_id),
    }
    return render(request, "confirm.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def remove(request: HttpRequest, handle: str, join_id: UUID) -> HttpResponse:
    """Turn a fan out before the close; first ask."""
    member = sellers.get_editor(user_id(request), handle)
    join = selectors.get_join_for_seller(member.seller_id, join_id)
    if request.method == "POST":
        services.remove_fan(rally_id=join.rally_id, fan_id=join.fan_id, now=clock.now())
        messages.success(request, "The fan is out, and has the money back.")
        return redirect("rallies:console", handle, join.rally_id)
    fan = pseudonym(join.rally_id, join.fan_id)
    context = {
        "heading": f"Remove {fan}?",
        "sentence": f"{fan} gets everything back that is held, and cannot join this rally again. "
        "The crowd is one smaller, so the price may rise again.",
        "action": "Remove the fan",
        "back": _console_path(handle, join.rally_id),
    }
    return render(request, "confirm.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def refund(request: HttpRequest, handle: str, join_id: UUID) -> HttpResponse:
    """Give a fan who paid everything back; first ask."""
    member = sellers.get_editor(user_id(request), handle)
    join = selectors.get_join_for_seller(member.seller_id, join_id)
    if request.method == "POST":
        services.refund_join(rally_id=join.rally_id, fan_id=join.fan_id, now=clock.now())
        messages.success(request, "The fan has all of the money back.")
        return redirect("rallies:console", handle, join.rally_id)
    fan = pseudonym(join.rally_id, join.fan_id)
    context = {
        "heading": f"Refund {_paid(join) or fan}?",
        "sentence": f"{fan} gets back what was paid, out of your proceeds, and the house gives back its fee. "
        "The final price stays what it is for all others.",
        "action": "Refund",
        "back": _console_path(handle, join.rally_id),
    }
    return render(request, "confirm.html", context)


def _paid(join: Join) -> Money | None:
    outcome = selectors.outcomes_of([join.rally_id]).get(join.rally_id)
    return Money(outcome.price_minor * join.quantity, join.rally.sale.currency) if outcome else None


def _console_path(handle: str, sale_id: UUID) -> str:
    return reverse("rallies:console", args=[handle, sale_id])
