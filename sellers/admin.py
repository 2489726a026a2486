from __future__ import annotations

from django.contrib import admin

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
