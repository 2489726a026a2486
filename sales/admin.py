from __future__ import annotations

from django.contrib import admin

from ledger.admin import ReadOnlyAdmin
from sales.models import ProofRun, Sale, SealedTerms


@admin.register(Sale)
class SaleAdmin(ReadOnlyAdmin):
    list_display = ("title", "seller", "format", "state", "opens_at", "closes_at", "terms_sha256")
    list_filter = ("state", "format", "currency")
    list_select_related = ("seller",)
    search_fields = ("id", "title", "slug", "seller__handle", "terms_sha256")
    ordering = ("-opens_at",)


@admin.register(SealedTerms)
class SealedTermsAdmin(ReadOnlyAdmin):
    list_display = ("sale", "version", "sha256", "sealed_at")
    list_select_related = ("sale",)
    search_fields = ("sale__id", "sale__title", "sha256")
    ordering = ("-sealed_at",)


@admin.register(ProofRun)
class ProofRunAdmin(ReadOnlyAdmin):
    list_display = ("subject_id", "holds", "ran_at", "took_ms", "asked_at", "tried_at", "error")
    list_filter = ("holds",)
    search_fields = ("subject_id",)
    ordering = ("-ran_at",)
