"""What staff see of one fan when they help: all of it on one page, and nothing on it is a row to edit.

Whoever opens it is written down first: without that row there is no page.
"""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import audit, bans
from accounts.models import Ban, Notification, SecurityEvent, User
from accounts.selectors import mail_wishes
from core import clock
from core.admin_base import for_staff
from core.admin_reasons import STAFF_READ_IT, ReasonForm
from core.errors import Conflict, NotFound, Refusal
from core.http import user_id as staff_of
from core.money import amount_text
from core.paging import cursor_of
from core.transactions import retried_transaction
from ledger import presenters as money
from ledger import selectors as ledger
from sales import refunds, selectors
from sales.formats import get_format, list_formats
from sales.forms import RefundForm
from sales.mine import page_of_mine, shown

LOOKED = "looked_at"
EVENTS_SHOWN = 30
LOOKS_SHOWN = 10
NEWS_SHOWN = 20
ACTS = {"turn_out": bans.ban, "let_in_again": bans.let_in_again}


@require_http_methods(["GET", "POST"])
@for_staff("accounts.view_user", "ledger.view_account", "sales.view_sale")
def fan(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """The account, its money, purchases, news, and what was done about it; with buttons to turn out and to let in again."""
    user = User.objects.filter(id=user_id).first()
    if user is None:
        raise NotFound(_("This account does not exist."))
    form = ReasonForm(request.POST if request.method == "POST" else None)
    form.fields["reason"].help_text = STAFF_READ_IT
    if request.method == "POST" and _did(request, user, form):
        return redirect("staff_fan", user_id)
    _write_look(user_id=user.id, staff_id=staff_of(request), now=clock.now())
    context = {
        **admin.site.each_context(request), "title": _("Account of {email}").format(email=user.email), "fan": user, "form": form,
        "may_act": _may_act(request),
        **_account(user), **_money(request, user), **_log(user),
        "bought": page_of_mine(user.id, list_formats(), cursor_of(request, "bought")),
    }  # fmt: skip
    return TemplateResponse(request, "staff/fan.html", context, status=422 if form.errors else 200)


@retried_transaction()
def _write_look(*, user_id: UUID, staff_id: UUID, now: dt.datetime) -> None:
    audit.write(LOOKED, user_id=user_id, now=now, by=staff_id)


def _may_act(request: HttpRequest) -> bool:
    return request.user.has_perm("accounts.change_user")


def _did(request: HttpRequest, user: User, form: ReasonForm) -> bool:
    """Whether there is an answer to give: it was done, or refused in words."""
    act = ACTS.get(request.POST.get("act", ""))
    if act is None or not _may_act(request):
        raise PermissionDenied
    if not form.is_valid():
        return False
    try:
        act(user_id=user.id, staff_id=staff_of(request), reason=form.cleaned_data["reason"], now=clock.now())
    except Refusal as refusal:
        messages.error(request, refusal.said)
    else:
        messages.success(request, _("Done, and written down."))
    return True


def _account(user: User) -> dict[str, Any]:
    news = Notification.objects.filter(user_id=user.id)
    return {
        "ban": Ban.objects.select_related("staff").filter(user_id=user.id).first(),
        "addresses": EmailAddress.objects.filter(user_id=user.id).order_by("-primary", "email"),
        "factors": [row.get_type_display() for row in Authenticator.objects.filter(user_id=user.id).order_by("type", "id")],
        "sessions": UserSession.objects.filter(user_id=user.id).count(),
        "news_count": news.count(), "news": news.order_by("-made_at", "-id")[:NEWS_SHOWN], "wishes": mail_wishes(user.id),
    }  # fmt: skip


def _money(request: HttpRequest, user: User) -> dict[str, Any]:
    """The balances, and the statement of one wallet: the chosen currency's, or the first."""
    wallets = ledger.wallets_of(user.id)
    asked = request.GET.get("currency", "")
    currency = asked if asked in wallets else next(iter(wallets), "")
    lines = ledger.statement(wallets[currency].account_id, cursor=cursor_of(request)) if currency else None
    return {
        "wallets": money.balances(wallets), "currency": currency, "statement": lines.map(money.in_words) if lines else None,
    }  # fmt: skip


def _log(user: User) -> dict[str, Any]:
    about = SecurityEvent.objects.select_related("by").filter(user_id=user.id).order_by("-id")
    return {
        "events": about.exclude(event=LOOKED)[:EVENTS_SHOWN],
        "looks": about.filter(event=LOOKED)[:LOOKS_SHOWN],
    }


@require_http_methods(["GET", "POST"])
@for_staff("sales.view_sale", "sales.change_sale")
def purchase(request: HttpRequest, sale_id: UUID, purchase_id: UUID) -> HttpResponse:
    """One purchase with its refunds, and a form for the next one, which the fan is told of. Sending that twice refunds once."""
    sale = selectors.get_public_sale(sale_id)
    _sale, _things, record = refunds.find_purchase(sale.seller_id, sale_id, purchase_id)
    (row,) = shown(get_format(sale.format), [record])
    initial = {"number": row.next_refund, "amount": amount_text(row.may_refund.minor, sale.currency)}
    form = RefundForm(sale.currency, request.POST or None, initial=initial)
    form.fields["reason"].required = True
    if request.method == "POST" and form.is_valid() and _refunded(request, form, row):
        messages.success(request, _("Given back, and written down."))
        return redirect("staff_purchase", sale_id, purchase_id)
    context = {**admin.site.each_context(request), "title": sale.title, "sale": sale, "row": row, "form": form}
    return TemplateResponse(request, "staff/purchase.html", context, status=422 if form.errors else 200)


def _refunded(request: HttpRequest, form: RefundForm, row: Any) -> bool:
    said, staff_id, now = form.cleaned_data, staff_of(request), clock.now()
    facts = {"number": said["number"], "amount": said["amount"], "reason": said["reason"], "purchase": row.record.id}
    _write_refund(user_id=row.record.fan_id, staff_id=staff_id, now=now, facts=facts)
    try:
        refunds.refund(
            seller_id=row.sale.seller_id, sale_id=row.sale.id, purchase_id=row.record.id, number=said["number"],
            amount_minor=said["amount"].minor, reason=said["reason"], made_by=staff_id, now=now, is_by_staff=True,
        )  # fmt: skip
    except Conflict as refusal:
        form.add_error(None, refusal.said)
        return False
    return True


@retried_transaction()
def _write_refund(*, user_id: UUID, staff_id: UUID, now: dt.datetime, facts: dict[str, Any]) -> None:
    """Before it is done, because some of it is a format's own transaction: nothing goes back without this row."""
    audit.write("refund_by_staff", user_id=user_id, now=now, by=staff_id, **facts)
