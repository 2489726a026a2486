from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from core.admin_reasons import asks_reason
from sales import levers
from sellers.models import Member, Seller


class MemberInline(admin.TabularInline):
    model = Member
    extra = 0
    raw_id_fields = ("user",)


@admin.register(Seller)
class SellerAdmin(admin.ModelAdmin):
    list_display = ("name", "handle", "fee_bps", "is_active", "created_at")
    search_fields = ("name", "handle")
    readonly_fields = ("id", "created_at", "is_active")  # switching it off does more than to set this
    inlines = (MemberInline,)
    actions = (
        asks_reason(
            "Switch off, and pause all its sales", lambda id, **why: levers.switch_shop_off(seller_id=id, **why)
        ),
        asks_reason("Switch on again", lambda id, **why: levers.switch_shop_on(seller_id=id, **why)),
    )

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sellers.change_seller")

    def get_readonly_fields(self, request: HttpRequest, obj: Seller | None = None) -> tuple[str, ...]:
        # The sealed terms of the shop's sales name it.
        return (*self.readonly_fields, "handle") if obj else self.readonly_fields
