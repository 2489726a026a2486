"""A shop's page of growth: buyers, who came back, what sells."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from core import clock, rate_limit
from core.errors import NotFound
from core.http import user_id
from core.money import EXPONENTS
from sales import exports, growth
from sellers import selectors as sellers
from sellers.models import MAY_EDIT_SALES


@require_safe
@login_required
def page(request: HttpRequest, handle: str) -> HttpResponse:
    member = sellers.get_membership(user_id(request), handle)
    weeks, currency = _weeks(request), request.GET.get("currency", "")
    found = growth.read(
        handle, member.seller_id, clock.now(), weeks=weeks, currency=currency if currency in EXPONENTS else ""
    )
    context = {
        "shop": member.seller, "may_edit": member.role in MAY_EDIT_SALES, "growth": found, "weeks": weeks,
        "choices": growth.WEEKS, "followers": sellers.count_followers(member.seller_id),
    }  # fmt: skip
    return render(request, "sales/growth.html", context)


@require_safe
@login_required
def export(request: HttpRequest, handle: str, what: str, kind: str) -> StreamingHttpResponse:
    """One of the page's tables as a file."""
    member = sellers.get_membership(user_id(request), handle)
    if what not in growth.FILES or kind not in exports.FILES:
        raise NotFound
    rate_limit.check("export", str(member.user_id), allowed=30, window_s=3_600)
    columns, lines = growth.FILES[what]
    rows = lines(member.seller_id, clock.now(), _weeks(request))
    return exports.FILES[kind](rows, f"{what}-{handle}", columns)


def _weeks(request: HttpRequest) -> int:
    """As many as the address says, if they are to choose from."""
    said = request.GET.get("weeks", "")
    return next((weeks for weeks in growth.WEEKS if str(weeks) == said), growth.WEEKS_FIRST)
