from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from core.errors import Invalid
from core.http import user_id
from core.ids import uuid7
from sellers import selectors, services
from sellers.errors import HandleTaken, TooManyShops
from sellers.forms import OpenShopForm


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
                messages.success(request, _("{name} is open. Draft its first drop.").format(name=shop.name))
                return redirect("sales:console", shop.handle)
    else:
        form = OpenShopForm(initial={"seller_id": uuid7()})
    context = {"memberships": selectors.list_memberships(user_id(request)), "form": form}
    return render(request, "sellers/shops.html", context, status=422 if form.errors else 200)
