"""A sale's pictures, as its seller chooses them."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from core.http import user_id
from pictures.models import Placed
from pictures.views import upload_to
from sales import sale_pictures, selectors
from sales.errors import NotEditable
from sales.formats import get_format
from sales.models import Sale, SaleState
from sellers import selectors as sellers


@require_POST
@login_required
def upload(request: HttpRequest, handle: str, sale_id: UUID) -> HttpResponse:
    sale = _draft(request, handle, sale_id)
    return upload_to(
        request, seller_id=sale.seller_id, place=Placed.Place.SALE, owner_id=sale.id, back=_back(sale, handle),
        check=partial(sale_pictures.check_draft, seller_id=sale.seller_id, sale_id=sale.id),
    )  # fmt: skip


@require_POST
@login_required
def take_away(request: HttpRequest, handle: str, sale_id: UUID, picture_id: UUID) -> HttpResponse:
    sale = _draft(request, handle, sale_id)
    sale_pictures.take_away(seller_id=sale.seller_id, sale_id=sale.id, picture_id=picture_id)
    return redirect(_back(sale, handle))


@require_POST
@login_required
def move_first(request: HttpRequest, handle: str, sale_id: UUID, picture_id: UUID) -> HttpResponse:
    sale = _draft(request, handle, sale_id)
    sale_pictures.move_first(seller_id=sale.seller_id, sale_id=sale.id, picture_id=picture_id)
    return redirect(_back(sale, handle))


def _draft(request: HttpRequest, handle: str, sale_id: UUID) -> Sale:
    member = sellers.get_editor(user_id(request), handle)
    sale = selectors.get_sale_for_seller(member.seller_id, sale_id)
    if sale.state != SaleState.DRAFT:
        raise NotEditable(state=sale.state)
    return sale


def _back(sale: Sale, handle: str) -> str:
    return f"{get_format(sale.format).url('console', handle, sale.id)}#pictures"
