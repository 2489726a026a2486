from __future__ import annotations

from django.contrib import admin

from drops.models import Drop, Order, Settlement
from sales.admin import OfSaleAdmin, TermsAdmin


@admin.register(Drop)
class DropAdmin(TermsAdmin):
    list_display = ("sale", "price_minor", "units_total", "limit_per_fan", "hold_s", "cancel_s", "fee_bps")


@admin.register(Order)
class OrderAdmin(OfSaleAdmin):
    terms = "drop"
    list_display = ("placed_at", "sale_title", "fan", "quantity", "unit_price_minor", "currency", "state", "is_hold")
    list_filter = ("state", "is_hold", "currency")
    also_related = ("fan",)
    search_fields = ("id", "fan__email", "transfer_id", "idempotency_key")


@admin.register(Settlement)
class SettlementAdmin(OfSaleAdmin):
    terms = "drop"
    list_display = ("created_at", "sale_title", "number", "orders", "gross_minor", "fee_minor")
    search_fields = ("id",)
