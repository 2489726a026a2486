"""A shop's catalogue, and the first step of a launch: what is sold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import clock
from core.errors import Conflict, Invalid
from core.http import user_id
from core.ids import uuid7
from core.paging import cursor_of
from pictures.models import Placed
from pictures.selectors import all_of
from pictures.views import upload_files, upload_to
from products import selectors, services
from products.forms import NewProductForm, ProductForm
from products.models import Product
from sales.formats import Format, list_formats
from sales.selectors import sales_of_shop
from sellers import selectors as sellers
from sellers.models import MAY_EDIT_SALES, Member


@require_safe
@login_required
def catalogue(request: HttpRequest, handle: str) -> HttpResponse:
    member = sellers.get_membership(user_id(request), handle)
    return _page(request, member, "products/catalogue.html")


@require_safe
@login_required
def launch(request: HttpRequest, handle: str) -> HttpResponse:
    """The first of three steps from nothing to a sale: what it is, new or from the catalogue, and in which format it is sold."""
    member = sellers.get_editor(user_id(request), handle)
    return _page(request, member, "products/launch.html", chosen=_format(request.GET.get("format", "")))


@require_POST
@login_required
def add(request: HttpRequest, handle: str) -> HttpResponse:
    """Something new in the catalogue, with its pictures; with a format, go on to a sale of it."""
    member = sellers.get_editor(user_id(request), handle)
    chosen = _format(request.POST.get("format", ""))
    form = NewProductForm(request.POST)
    if not form.is_valid() or not _said(form, _adding(member, form)):
        template = "products/launch.html" if chosen else "products/catalogue.html"
        return _page(request, member, template, form=form, chosen=chosen)
    product_id = form.cleaned_data["product_id"]
    upload_files(
        request, seller_id=member.seller_id, place=Placed.Place.PRODUCT, owner_id=product_id,
        check=lambda: services.check_own(seller_id=member.seller_id, product_id=product_id),
    )  # fmt: skip
    if chosen:
        return redirect(f"{chosen.url('new', handle)}?product={product_id}")
    return redirect("products:product", handle, product_id)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def product(request: HttpRequest, handle: str, product_id: UUID) -> HttpResponse:
    """One product: what it says, its pictures, and the formats that it can be sold in."""
    member = sellers.get_membership(user_id(request), handle)
    found = selectors.get_product(member.seller_id, product_id)
    form = ProductForm(request.POST or None, initial={"title": found.title, "story": found.story})
    if request.method == "POST":
        sellers.get_editor(user_id(request), handle)
        if form.is_valid() and _said(form, _changing(found, form)):
            messages.success(request, _("Saved. Sales that began from it stay as they are."))
            return redirect("products:product", handle, product_id)
    context = {
        "shop": member.seller, "may_edit": member.role in MAY_EDIT_SALES, "product": found, "form": form,
        "pictures": all_of(found.id, Placed.Place.PRODUCT),
        "sales": sales_of_shop(member.seller_id, selectors.sales_of(found.id)),
    }  # fmt: skip
    return render(request, "products/product.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def put_away(request: HttpRequest, handle: str, product_id: UUID) -> HttpResponse:
    seller_id = sellers.get_editor(user_id(request), handle).seller_id
    services.put_away(seller_id=seller_id, product_id=product_id, now=clock.now())
    messages.success(request, _("It is out of the catalogue."))
    return redirect("products:catalogue", handle)


@require_POST
@login_required
def upload(request: HttpRequest, handle: str, product_id: UUID) -> HttpResponse:
    seller_id = sellers.get_editor(user_id(request), handle).seller_id
    selectors.get_product(seller_id, product_id)
    return upload_to(
        request, seller_id=seller_id, place=Placed.Place.PRODUCT, owner_id=product_id, back=_pictures(handle, product_id),
        check=lambda: services.check_own(seller_id=seller_id, product_id=product_id),
    )  # fmt: skip


@require_POST
@login_required
def take_picture_away(request: HttpRequest, handle: str, product_id: UUID, picture_id: UUID) -> HttpResponse:
    seller_id = sellers.get_editor(user_id(request), handle).seller_id
    services.take_picture_away(seller_id=seller_id, product_id=product_id, picture_id=picture_id)
    return redirect(_pictures(handle, product_id))


@require_POST
@login_required
def move_picture_first(request: HttpRequest, handle: str, product_id: UUID, picture_id: UUID) -> HttpResponse:
    seller_id = sellers.get_editor(user_id(request), handle).seller_id
    services.move_picture_first(seller_id=seller_id, product_id=product_id, picture_id=picture_id)
    return redirect(_pictures(handle, product_id))


def _page(
    request: HttpRequest, member: Member, template: str, *, form: NewProductForm | None = None, chosen: Format | None = None
) -> HttpResponse:  # fmt: skip
    context: dict[str, Any] = {
        "shop": member.seller, "may_edit": member.role in MAY_EDIT_SALES, "chosen": chosen or list_formats()[0],
        "page": selectors.page_of_products(member.seller_id, cursor_of(request)),
        "form": form or NewProductForm(initial={"product_id": uuid7()}),
    }  # fmt: skip
    return render(request, template, context, status=422 if form else 200)


def _format(name: str) -> Format | None:
    return next((format for format in list_formats() if format.name == name), None)


def _adding(member: Member, form: NewProductForm) -> Callable[[], object]:
    return lambda: services.add(seller_id=member.seller_id, now=clock.now(), **form.cleaned_data)


def _changing(product: Product, form: ProductForm) -> Callable[[], object]:
    return lambda: services.change(seller_id=product.seller_id, product_id=product.id, **form.cleaned_data)


def _said(form: ProductForm, act: Callable[[], object]) -> bool:
    """Do it; False when the form shows now why it was refused."""
    try:
        act()
    except (Invalid, Conflict) as refusal:
        field = str(refusal.data.get("field", ""))
        form.add_error(field if field in form.fields else None, refusal.said)
        return False
    return True


def _pictures(handle: str, product_id: UUID) -> str:
    return f"{reverse('products:product', args=[handle, product_id])}#pictures"
