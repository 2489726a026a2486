from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from core.admin_base import StaffAdmin
from ledger.models import Account, Checkpoint, Transfer


class ReadOnlyAdmin(StaffAdmin):
    """For rows that only services write: staff may look, and nothing else."""

    list_per_page = 50
    # Counting a large table for "n results of m" reads all of it.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ("kind", "owner_id", "currency", "available_minor", "held_minor", "created_at")
    list_filter = ("kind", "currency")
    search_fields = ("id", "owner_id")


@admin.register(Transfer)
class TransferAdmin(ReadOnlyAdmin):
    list_display = ("at", "kind", "code", "amount_minor", "held_minor", "currency", "subject_id")
    list_filter = ("kind", "code", "currency")
    search_fields = ("id", "journal_id", "subject_id", "debit_account__id", "credit_account__id")
    ordering = ("-id",)


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    list_display = ("account", "until", "available_minor", "held_minor")
    search_fields = ("account__id",)
    ordering = ("-until",)
