from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from core.admin_base import ServiceAdmin, TabularInline
from core.admin_reasons import asks_reason
from core.errors import Refusal
from sales import levers
from sellers import approval, services
from sellers.models import Member, Role, Seller

OWNERS_READ_IT = _("The shop's owners read it, by mail too.")


class WaitsFilter(admin.SimpleListFilter):
    title = _("approval")
    parameter_name = "waits"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("asks", _("Waits for an answer")), ("refused", _("Was told no")), ("no", _("May publish"))]

    def queryset(self, request: HttpRequest, rows: QuerySet[Seller]) -> QuerySet[Seller]:
        conditions: dict[str, dict[str, Any]] = {
            "asks": {"waits_since__isnull": False, "refused_because": None},
            "refused": {"refused_because__isnull": False},
            "no": {"waits_since": None},
        }
        return rows.filter(**conditions.get(self.value() or "", {}))


class MemberInline(TabularInline):
    model = Member
    extra = 0
    raw_id_fields = ("user",)


@admin.register(Seller)
class SellerAdmin(ServiceAdmin):
    list_display = ("name", "handle", "fee_bps", "is_active", "waits_since", "created_at")
    list_filter = (WaitsFilter, "is_active")
    search_fields = ("name", "handle")
    readonly_fields = (
        "id",
        "created_at",
        "is_active",
        "waits_since",
        "refused_because",
    )  # switching it off does more than to set this
    inlines = (MemberInline,)
    actions = (
        asks_reason(_("Approve"), lambda id, **why: approval.approve(seller_id=id, **why), read_by=OWNERS_READ_IT),
        asks_reason(_("Refuse"), lambda id, **why: approval.refuse(seller_id=id, **why), read_by=OWNERS_READ_IT),
        asks_reason(
            _("Switch off, and pause all its sales"), lambda id, **why: levers.switch_shop_off(seller_id=id, **why)
        ),
        asks_reason(_("Switch on again"), lambda id, **why: levers.switch_shop_on(seller_id=id, **why)),
    )

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Members by the services, which keep a shop from losing its last owner."""
        if formset.model is not Member:
            super().save_formset(request, form, formset, change)
            return
        formset.save(commit=False)
        seller_id = form.instance.id
        formset.new_objects = [row for row in formset.new_objects if self._did(request, seller_id, row, row.role)]
        changed = [
            (row, names) for row, names in formset.changed_objects if self._did(request, seller_id, row, row.role)
        ]
        formset.changed_objects = changed
        formset.deleted_objects = [row for row in formset.deleted_objects if self._did(request, seller_id, row, None)]

    def _did(self, request: HttpRequest, seller_id: UUID, row: Member, role: str | None) -> bool:
        try:
            if role is None:
                services.remove_member(seller_id=seller_id, user_id=row.user_id)
            else:
                services.set_member(seller_id=seller_id, user_id=row.user_id, role=Role(role))
        except Refusal as refusal:
            messages.error(request, f"{row.user}: {refusal.said}")
            return False
        return True

    def has_delete_permission(self, request: HttpRequest, obj: Seller | None = None) -> bool:
        """Its sales, money and log would lose their shop. One that must go is switched off."""
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sellers.change_seller")

    def get_readonly_fields(self, request: HttpRequest, obj: Seller | None = None) -> tuple[str, ...]:
        # The sealed terms of the shop's sales name it.
        return (*self.readonly_fields, "handle") if obj else self.readonly_fields
