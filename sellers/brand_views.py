"""A shop's face: its name, words, colour, logo and cover."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from core.errors import Invalid, NotFound
from core.http import user_id
from pictures.models import Placed
from pictures.selectors import all_of
from pictures.views import upload_to
from sellers import selectors, services
from sellers.forms import BrandForm
from sellers.models import MAY_EDIT_SALES
from sellers.theme import colour_of

PLACES = {"logo": Placed.Place.LOGO, "cover": Placed.Place.COVER}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def brand(request: HttpRequest, handle: str) -> HttpResponse:
    member = selectors.get_membership(user_id(request), handle)
    shop = member.seller
    hue, chroma = colour_of(shop)
    form = BrandForm(
        request.POST or None, initial={"name": shop.name, "about": shop.about, "hue": hue, "chroma": chroma}
    )
    if request.method == "POST":
        selectors.get_editor(user_id(request), handle)
        if form.is_valid():
            try:
                services.set_brand(seller_id=shop.id, **form.cleaned_data)
            except Invalid as refusal:
                form.add_error(refusal.data.get("field"), refusal.said)
            else:
                messages.success(request, _("Saved. The storefront shows it now."))
                return redirect("sellers:brand", handle)
    context = {
        "shop": shop, "form": form, "may_edit": member.role in MAY_EDIT_SALES,
        "logo": next(iter(all_of(shop.id, Placed.Place.LOGO)), None),
        "cover": next(iter(all_of(shop.id, Placed.Place.COVER)), None),
    }  # fmt: skip
    return render(request, "sellers/brand.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def upload(request: HttpRequest, handle: str, place: str) -> HttpResponse:
    """A new logo or cover, in place of the one before."""
    shop = selectors.get_editor(user_id(request), handle).seller
    if place not in PLACES:
        raise NotFound
    return upload_to(
        request, seller_id=shop.id, place=PLACES[place], owner_id=shop.id, back=reverse("sellers:brand", args=[handle])
    )
