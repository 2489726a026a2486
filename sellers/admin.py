from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from sellers.models import Member, Seller


class MemberInline(admin.TabularInline):
    model = Member
    extra = 0
    raw_id_fields = ("user",)


@admin.register(Seller)
class SellerAdmin(admin.ModelAdmin):
    list_display = ("name", "handle", "fee_bps", "is_active", "created_at")
    search_fields = ("name", "handle")
    readonly_fields = ("id", "created_at")
    inlines = (MemberInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: Seller | None = None) -> tuple[str, ...]:
        # The sealed terms of the shop's sales name it.
        return (*self.readonly_fields, "handle") if obj else self.readonly_fields
