from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from core import clock
from core.admin_reasons import asks_reason
from ledger.admin import ReadOnlyAdmin
from sales import levers, stuck
from sales.models import ProofRun, Sale, SealedTerms, StaffAction, StuckRow


class TermsAdmin(ReadOnlyAdmin):
    """For the rows of a format's terms."""

    list_select_related = ("sale",)
    search_fields = ("sale__id", "sale__title", "sale__seller__handle")
    ordering = ("-sale_id",)


class OfSaleAdmin(ReadOnlyAdmin):
    """For rows of a format that belong to its terms by the foreign key `terms`: known by their sale's title."""

    terms: ClassVar[str]
    also_related: ClassVar[Sequence[str]] = ()
    ordering = ("-id",)

    def __init_subclass__(cls) -> None:
        terms = cls.terms
        title = admin.display(description=terms)(lambda self, row: getattr(row, terms).sale.title)
        setattr(cls, "sale_title", title)  # noqa: B010  # a column for `list_display`
        cls.list_select_related = (f"{terms}__sale", *cls.also_related)
        cls.search_fields = (f"{terms}__sale__id", f"{terms}__sale__title", *cls.search_fields)


@admin.register(Sale)
class SaleAdmin(ReadOnlyAdmin):
    list_display = ("title", "seller", "format", "state", "opens_at", "closes_at", "terms_sha256")
    list_filter = ("state", "seller__is_active", "format", "currency")
    list_select_related = ("seller",)
    search_fields = ("id", "title", "slug", "seller__handle", "terms_sha256")
    ordering = ("-opens_at",)
    actions = (
        asks_reason(_l("Pause"), lambda id, **why: levers.freeze_sale(sale_id=id, **why)),
        asks_reason(_l("Let go on"), lambda id, **why: levers.resume_sale(sale_id=id, **why)),
        asks_reason(_l("Call off with all money back"), lambda id, **why: levers.void_sale(sale_id=id, **why)),
    )

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Stopping a sale is changing it, though no field of it can be edited here."""
        return request.user.has_perm("sales.change_sale")


@admin.register(StaffAction)
class StaffActionAdmin(ReadOnlyAdmin):
    list_display = ("at", "sale", "kind", "reason", "with_shop", "staff")
    list_filter = ("kind",)
    list_select_related = ("sale", "staff")
    search_fields = ("sale__id", "sale__title", "reason")
    ordering = ("-at",)


@admin.register(StuckRow)
class StuckRowAdmin(ReadOnlyAdmin):
    list_display = ("sale", "row_id", "error", "made_at")
    list_select_related = ("sale",)
    search_fields = ("sale__id", "row_id")
    ordering = ("-made_at",)
    actions = ("set_free",)

    @admin.action(description=_l("Try again now"), permissions=["operate"])
    def set_free(self, request: HttpRequest, rows: QuerySet[StuckRow]) -> None:
        freed = stuck.set_free(ids=[row.id for row in rows], now=clock.now())
        messages.success(request, _("{freed} set free.").format(freed=freed))

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sales.change_stuckrow")


@admin.register(SealedTerms)
class SealedTermsAdmin(ReadOnlyAdmin):
    list_display = ("sale", "version", "sha256", "sealed_at")
    list_select_related = ("sale",)
    search_fields = ("sale__id", "sale__title", "sha256")
    ordering = ("-sealed_at",)


@admin.register(ProofRun)
class ProofRunAdmin(ReadOnlyAdmin):
    list_display = ("subject_id", "holds", "ran_at", "took_ms", "asked_at", "tried_at", "error")
    list_filter = ("holds",)
    search_fields = ("subject_id",)
    ordering = ("-ran_at",)
