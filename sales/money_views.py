"""A shop's money: what settled sales brought, and every line of it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from core.errors import NotFound
from core.http import user_id
from core.money import Money
from core.paging import Page, cursor_of
from ledger import presenters, selectors
from sales.models import Sale
from sellers import selectors as sellers
from sellers.models import MAY_EDIT_SALES


@require_safe
@login_required
def money(request: HttpRequest, handle: str) -> HttpResponse:
    """The shop's proceeds in each currency, and the lines of one: the chosen one's, or the first."""
    member = sellers.get_membership(user_id(request), handle)
    accounts = selectors.proceeds_of(member.seller_id)
    currency = request.GET.get("currency") or next(iter(accounts), "EUR")
    if currency not in accounts and "currency" in request.GET:
        raise NotFound(_("This shop has earned nothing in this currency."))
    context: dict[str, Any] = {
        "shop": member.seller, "may_edit": member.role in MAY_EDIT_SALES, "currency": currency, "lines": Page([]),
        "earned": [
            Money(selectors.balance(account_id).available_minor, each) for each, account_id in accounts.items()
        ],
    }  # fmt: skip
    if currency in accounts:
        lines = selectors.statement(accounts[currency], cursor=cursor_of(request))
        sales = Sale.objects.in_bulk({line.subject_id for line in lines.rows})
        rows = zip(presenters.in_words(lines.rows), (sales.get(line.subject_id) for line in lines.rows), strict=True)
        context["lines"] = Page(list(rows), lines.next)
    return render(request, "sales/money.html", context)
