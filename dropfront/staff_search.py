"""Staff's search: one field over everything that somebody may quote. Each look is by a key or an index, and short."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.models import User, normal_email
from core.admin_base import for_staff
from ledger.models import Transfer
from payments.models import TopUp
from sales.formats import list_formats
from sales.models import Sale
from sellers.models import Seller

M = TypeVar("M", bound=Model)

SHOWN_MAX = 20  # of a group
ASKED_MAX = 200  # characters
SEAL = re.compile(r"[0-9a-f]{8,64}")
AFTER_ALL = "~"  # behind every letter, digit and dash, in the order of bytes that the database sorts by


@dataclass(frozen=True, slots=True)
class Hit:
    title: str
    more: str
    url: str


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    hits: list[Hit]


@require_safe
@for_staff("accounts.view_user", "ledger.view_account", "sales.view_sale")
def search(request: HttpRequest) -> HttpResponse:
    asked = request.GET.get("q", "").replace("\0", "").strip()[:ASKED_MAX]
    context = {
        **admin.site.each_context(request), "title": _("Search"), "asked": asked,
        "groups": [group for group in find(asked) if group.hits] if asked else [],
    }  # fmt: skip
    return TemplateResponse(request, "staff/search.html", context)


def find(asked: str) -> list[Group]:
    """What has this id, address, handle or seal, or begins with these words."""
    id = _id(asked)
    return [
        Group(_("Accounts"), [_of_user(user) for user in _users(asked, id)]),
        Group(_("Shops"), [_of_shop(shop) for shop in _first(_shops(asked, id), "handle")]),
        Group(_("Sales"), [_of_sale(sale) for sale in _sales(asked, id)]),
        Group(_("Purchases"), list(_purchases(id)) if id else []),
        Group(_("Money"), list(_moved(id)) if id else []),
    ]


def _id(asked: str) -> UUID | None:
    try:
        return UUID(asked)
    except ValueError:
        return None


def _first(rows: QuerySet[M], *by: str) -> list[M]:
    return list(rows.order_by(*by)[:SHOWN_MAX])


def _users(asked: str, id: UUID | None) -> list[User]:
    if id:
        return list(User.objects.filter(id=id))
    if "@" not in asked:
        return []
    email = normal_email(asked)
    owners = EmailAddress.objects.filter(email=email).values_list("user_id", flat=True)[:SHOWN_MAX]
    return _first(User.objects.filter(Q(email=email) | Q(id__in=list(owners))), "id")


def _shops(asked: str, id: UUID | None) -> QuerySet[Seller]:
    if id:
        return Seller.objects.filter(id=id)
    begin = slugify(asked)
    return Seller.objects.filter(handle__gte=begin, handle__lt=begin + AFTER_ALL) if begin else Seller.objects.none()


def _sales(asked: str, id: UUID | None) -> list[Sale]:
    sales = Sale.objects.select_related("seller")
    if id:
        return list(sales.filter(id=id))
    seal, begin = asked.lower(), slugify(asked)
    found = _first(sales.filter(slug__gte=begin, slug__lt=begin + AFTER_ALL), "slug", "id") if begin else []
    if SEAL.fullmatch(seal):
        found += _first(sales.filter(terms_sha256__gte=seal, terms_sha256__lt=seal + AFTER_ALL), "terms_sha256", "id")
    return found


def _purchases(id: UUID) -> Iterator[Hit]:
    """By its own id, or by that of a transfer of it."""
    about = [id, *Transfer.objects.filter(id=id).values_list("subject_id", flat=True)]
    for format in list_formats():
        for things in format.things:
            for record in things.by_ids(about):
                sale = getattr(record, things.terms).sale
                url = reverse("staff_purchase", args=[sale.id, record.id])
                yield Hit(f"{things.noun} {record.id}", f"{sale.title} · {sale.seller.name}", url)


def _moved(id: UUID) -> Iterator[Hit]:
    for transfer in Transfer.objects.filter(id=id):
        url = reverse("admin:ledger_transfer_change", args=[id])
        yield Hit(f"{transfer.kind} {transfer.code}", f"{transfer.at:%Y-%m-%d %H:%M} UTC", url)
    for top_up in TopUp.objects.select_related("user").filter(id=id):
        yield Hit(_("Top-up"), top_up.user.email, reverse("admin:payments_topup_change", args=[id]))


def _of_user(user: User) -> Hit:
    return Hit(user.email, user.display_name, reverse("staff_fan", args=[user.id]))


def _of_shop(shop: Seller) -> Hit:
    return Hit(shop.name, f"/s/{shop.handle}/", reverse("admin:sellers_seller_change", args=[shop.id]))


def _of_sale(sale: Sale) -> Hit:
    more = f"{sale.seller.name} · {sale.get_state_display()}"
    return Hit(sale.title, more, reverse("admin:sales_sale_change", args=[sale.id]))
