from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from core.admin_base import ServiceAdmin, TabularInline
from core.admin_reasons import asks_reason
from core.errors import Refusal
from sales import levers
from sellers import services
from sellers.models import Member, Role, Seller


class MemberInline(TabularInline):
    model = Member
    extra = 0
    raw_id_fields = ("user",)


@admin.register(Seller)
class SellerAdmin(ServiceAdmin):
    list_display = ("name", "handle", "fee_bps", "is_active", "created_at")
    search_fields = ("name", "handle")
    readonly_fields = ("id", "created_at", "is_active")  # switching it off does more than to set this
    inlines = (MemberInline,)
    actions = (
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

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sellers.change_seller")

    def get_readonly_fields(self, request: HttpRequest, obj: Seller | None = None) -> tuple[str, ...]:
        # The sealed terms of the shop's sales name it.
        return (*self.readonly_fields, "handle") if obj else self.readonly_fields
