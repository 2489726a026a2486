from __future__ import annotations

from django.contrib import admin

from rallies.models import Outcome, Rally, Settlement
from sales.admin import OfSaleAdmin, TermsAdmin

# Joins and tiers have keys of two columns, which Django's admin cannot show; the seller's pages and the proof show them.


@admin.register(Rally)
class RallyAdmin(TermsAdmin):
    list_display = ("sale", "basis", "minimum", "cap_units", "limit_per_fan", "audience", "late_joins", "fee_bps")
    list_filter = ("basis", "audience", "late_joins")


@admin.register(Outcome)
class OutcomeAdmin(OfSaleAdmin):
    terms = "rally"
    list_display = ("fixed_at", "sale_title", "joiners", "units", "price_minor", "did_run")
    list_filter = ("did_run",)
    ordering = ("-fixed_at",)


@admin.register(Settlement)
class SettlementAdmin(OfSaleAdmin):
    terms = "rally"
    list_display = ("created_at", "sale_title", "number", "charged", "released", "gross_minor", "fee_minor")
    search_fields = ("id",)
