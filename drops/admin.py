from __future__ import annotations

from django.contrib import admin

from drops.models import Drop, Order, Settlement
from ledger.admin import ReadOnlyAdmin


@admin.register(Drop)
class DropAdmin(ReadOnlyAdmin):
    list_display = ("sale", "price_minor", "units_total", "limit_per_fan", "hold_s", "cancel_s", "fee_bps")
    list_select_related = ("sale",)
    search_fields = ("sale__id", "sale__title", "sale__seller__handle")
    ordering = ("-sale_id",)


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = ("placed_at", "drop_title", "fan", "quantity", "unit_price_minor", "currency", "state", "is_hold")
    list_filter = ("state", "is_hold", "currency")
    list_select_related = ("drop__sale", "fan")
    search_fields = ("id", "drop__sale__id", "drop__sale__title", "fan__email", "transfer_id", "idempotency_key")
    ordering = ("-id",)

    @admin.display(description="drop")
    def drop_title(self, order: Order) -> str:
        return order.drop.sale.title


@admin.register(Settlement)
class SettlementAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "drop_title", "number", "orders", "gross_minor", "fee_minor")
    list_select_related = ("drop__sale",)
    search_fields = ("id", "drop__sale__id", "drop__sale__title")
    ordering = ("-id",)

    @admin.display(description="drop")
    def drop_title(self, settlement: Settlement) -> str:
        return settlement.drop.sale.title
