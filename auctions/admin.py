from __future__ import annotations

from django.contrib import admin

from auctions.models import Claim, Dutch, DutchSettlement, English, Win
from sales.admin import OfSaleAdmin, TermsAdmin


@admin.register(English)
class EnglishAdmin(TermsAdmin):
    exclude = ("reserve_minor", "reserve_salt")  # nobody's to read before the lot is over
    list_display = ("sale", "start_minor", "steps", "buy_now_minor", "window_s", "overtime_s", "premium_bps", "fee_bps")


@admin.register(Win)
class WinAdmin(OfSaleAdmin):
    terms = "sale"
    list_display = ("won_at", "sale_title", "fan", "price_minor", "premium_minor", "fee_minor", "state")
    list_filter = ("state",)
    also_related = ("fan",)
    search_fields = ("id", "fan__email", "transfer_id")


@admin.register(Dutch)
class DutchAdmin(TermsAdmin):
    list_display = (
        "sale",
        "start_minor",
        "floor_minor",
        "step_minor",
        "interval_s",
        "units_total",
        "pays",
        "premium_bps",
        "fee_bps",
    )


@admin.register(Claim)
class ClaimAdmin(OfSaleAdmin):
    terms = "sale"
    list_display = ("claimed_at", "sale_title", "fan", "quantity", "unit_price_minor", "unit_paid_minor", "state")
    list_filter = ("state",)
    also_related = ("fan",)
    search_fields = ("id", "fan__email", "transfer_id", "idempotency_key")


@admin.register(DutchSettlement)
class DutchSettlementAdmin(OfSaleAdmin):
    terms = "sale"
    list_display = ("created_at", "sale_title", "number", "claims", "gross_minor", "fee_minor", "premium_minor")
    search_fields = ("id",)
