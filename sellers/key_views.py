"""A shop's API keys, and the log of what was done in it."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import clock, rate_limit
from core.errors import Conflict, Invalid, NotAllowed
from core.http import user_id
from core.ids import uuid7
from core.paging import cursor_of
from sellers import api_keys, selectors
from sellers.events import EVENTS
from sellers.forms import ApiKeyForm
from sellers.models import MAY_EDIT_SALES, MAY_MANAGE_MEMBERS, KeyScope, Member


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def keys(request: HttpRequest, handle: str) -> HttpResponse:
    """The keys, and for owners a form for a new one, which is shown in the answer and never again."""
    own = selectors.get_membership(user_id(request), handle)
    form = ApiKeyForm(request.POST or None, initial={"key_id": uuid7()})
    fresh = ""
    if request.method == "POST":
        _owner(request, handle)
        if form.is_valid():
            fresh = _made(own, form)
            if fresh:
                form = ApiKeyForm(initial={"key_id": uuid7()})
    context = {
        "shop": own.seller, "own": own, "form": form, "fresh": fresh, "now": clock.now(),
        "may_manage": own.role in MAY_MANAGE_MEMBERS, "keys": selectors.list_keys(own.seller_id),
    }  # fmt: skip
    return render(request, "sellers/keys.html", context, status=422 if form.errors else 200)


def _made(own: Member, form: ApiKeyForm) -> str:
    """The key; "" when the form says now why there is none."""
    rate_limit.check("api-keys-made", str(own.user_id), allowed=30, window_s=3_600)
    said, now = form.cleaned_data, clock.now()
    days = int(said["days"] or 0)
    try:
        key = api_keys.make(
            key_id=said["key_id"], seller_id=own.seller_id, name=said["name"], scope=KeyScope(said["scope"]),
            expires_at=now + dt.timedelta(days=days) if days else None, made_by=own.user_id, now=now,
        )  # fmt: skip
    except (Invalid, Conflict) as refusal:
        form.add_error(refusal.data.get("field"), refusal.said)
        return ""
    if not key:
        form.add_error(None, _("This key was made already, and shown once. Make another one if you have not kept it."))
    return key


@require_POST
@login_required
def revoke(request: HttpRequest, handle: str, key_id: UUID) -> HttpResponse:
    own = _owner(request, handle)
    api_keys.revoke(seller_id=own.seller_id, key_id=key_id, now=clock.now())
    messages.success(request, _("The key is revoked."))
    return redirect("sellers:keys", handle)


@require_safe
@login_required
def log(request: HttpRequest, handle: str) -> HttpResponse:
    """What was done in the shop, by whom, the newest first."""
    own = selectors.get_membership(user_id(request), handle)
    event = request.GET.get("event", "")
    event = event if event in EVENTS else ""
    context = {
        "shop": own.seller, "event": event, "events": EVENTS,
        "page": selectors.page_of_events(own.seller_id, cursor_of(request), event=event),
    }  # fmt: skip
    return render(request, "sellers/log.html", context)


@require_safe
@login_required
def followers(request: HttpRequest, handle: str) -> HttpResponse:
    """How many follow the shop, and how that came."""
    own = selectors.get_membership(user_id(request), handle)
    growth = selectors.growth(own.seller_id, clock.now())
    return render(
        request,
        "sellers/followers.html",
        {"shop": own.seller, "growth": growth, "may_edit": own.role in MAY_EDIT_SALES},
    )


def _owner(request: HttpRequest, handle: str) -> Member:
    member = selectors.get_editor(user_id(request), handle)
    if member.role not in MAY_MANAGE_MEMBERS:
        raise NotAllowed(_("Only an owner makes and revokes keys."))
    return member
