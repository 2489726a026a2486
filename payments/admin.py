from __future__ import annotations

from django.contrib import admin

from ledger.admin import ReadOnlyAdmin
from payments.models import TopUp


@admin.register(TopUp)
class TopUpAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "user",
        "amount_minor",
        "currency",
        "state",
        "provider",
        "provider_ref",
        "completed_at",
    )
    list_filter = ("state", "provider", "currency")
    list_select_related = ("user",)
    search_fields = ("id", "user__email", "provider_ref")
    ordering = ("-id",)
