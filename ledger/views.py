from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from core.errors import NotFound
from core.http import user_id
from core.paging import Page, cursor_of
from ledger import presenters, selectors


@require_safe
@login_required
def wallet(request: HttpRequest) -> HttpResponse:
    """What the user has in each currency, and one wallet's statement: the chosen currency's, or the first."""
    wallets = selectors.wallets_of(user_id(request))
    currency = request.GET.get("currency") or next(iter(wallets), "EUR")
    if currency not in wallets and "currency" in request.GET:
        raise NotFound(_("You have no wallet in this currency."))
    context: dict[str, Any] = {"wallets": presenters.balances(wallets), "currency": currency, "page": Page([])}
    if currency in wallets:
        lines = selectors.statement(wallets[currency].account_id, cursor=cursor_of(request))
        context["page"] = lines.map(presenters.in_words)
    return render(request, "ledger/wallet.html", context)
