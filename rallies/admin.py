from __future__ import annotations

from django.contrib import admin

from ledger.admin import ReadOnlyAdmin
from rallies.models import Outcome, Rally, Settlement


class _OfRally(ReadOnlyAdmin):
    """Rows that belong to a rally are known by its title."""

    list_select_related = ("rally__sale",)

    @admin.display(description="rally")
    def rally_title(self, row: Outcome | Settlement) -> str:
        return row.rally.sale.title


@admin.register(Rally)
class RallyAdmin(ReadOnlyAdmin):
    list_display = ("sale", "basis", "minimum", "cap_units", "limit_per_fan", "audience", "late_joins", "fee_bps")
    list_select_related = ("sale",)
    list_filter = ("basis", "audience", "late_joins")
    search_fields = ("sale__id", "sale__title", "sale__seller__handle")
    ordering = ("-sale_id",)


# Joins and tiers have keys of two columns, which Django's admin cannot show; the seller's pages and the proof show them.


@admin.register(Outcome)
class OutcomeAdmin(_OfRally):
    list_display = ("fixed_at", "rally_title", "joiners", "units", "price_minor", "did_run")
    list_filter = ("did_run",)
    search_fields = ("rally__sale__id", "rally__sale__title")
    ordering = ("-fixed_at",)


@admin.register(Settlement)
class SettlementAdmin(_OfRally):
    list_display = ("created_at", "rally_title", "number", "charged", "released", "gross_minor", "fee_minor")
    search_fields = ("id", "rally__sale__id", "rally__sale__title")
    ordering = ("-id",)
