from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from core import clock
from core.errors import Invalid, NotAllowed
from core.http import user_id
from core.ids import uuid7
from sellers import approval, selectors, services
from sellers.errors import HandleTaken, TooManyShops
from sellers.forms import OpenShopForm
from sellers.models import MAY_MANAGE_MEMBERS


@require_http_methods(["GET", "POST"])  # the login page comes back by GET
@login_required
def ask_again(request: HttpRequest, handle: str) -> HttpResponse:
    """Have staff look at a shop anew that they told no."""
    if request.method == "POST":
        member = selectors.get_editor(user_id(request), handle)
        if member.role not in MAY_MANAGE_MEMBERS:
            raise NotAllowed(_("Only an owner asks staff again."))
        approval.ask_again(seller_id=member.seller_id, now=clock.now())
        messages.success(request, _("Staff look at the shop again."))
    return redirect("sales:console", handle)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def shops(request: HttpRequest) -> HttpResponse:
    """The user's shops, and a form to open one."""
    if request.method == "POST":
        form = OpenShopForm(request.POST)
        if form.is_valid():
            try:
                shop = services.open_shop(owner_id=user_id(request), **form.cleaned_data)
            except (HandleTaken, TooManyShops, Invalid) as refusal:
                field = "handle" if isinstance(refusal, HandleTaken) else refusal.data.get("field")
                form.add_error(field, refusal.said)
            else:
                said = (
                    _("{name} can draft; it publishes once staff have looked at it.")
                    if shop.waits_since
                    else _("{name} is open. Draft its first drop.")
                )
                messages.success(request, said.format(name=shop.name))
                return redirect("sales:console", shop.handle)
    else:
        form = OpenShopForm(initial={"seller_id": uuid7()})
    context = {"memberships": selectors.list_memberships(user_id(request)), "form": form}
    return render(request, "sellers/shops.html", context, status=422 if form.errors else 200)
