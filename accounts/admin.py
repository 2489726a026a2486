from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts import bans
from accounts.models import Ban, User
from core.admin_reasons import STAFF_READ_IT, asks_reason
from ledger.admin import ReadOnlyAdmin

POWERS = ("is_staff", "is_superuser", "groups")


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = ("email", "display_name", "is_active", "is_staff", "created_at")
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "display_name")
    readonly_fields = (
        "id",
        "created_at",
        "last_login",
        "is_active",
    )  # a ban does more than to set this
    fields = (
        "id",
        "email",
        "display_name",
        "is_active",
        "is_staff",
        "is_superuser",
        "groups",
        "created_at",
        "last_login",
    )
    filter_horizontal = ("groups",)
    actions = (
        asks_reason("Turn out", lambda id, **why: bans.ban(user_id=id, **why), read_by=STAFF_READ_IT),
        asks_reason("Let in again", lambda id, **why: bans.let_in_again(user_id=id, **why), read_by=STAFF_READ_IT),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        # Whoever could set these could give themselves every permission there is.
        return self.readonly_fields if request.user.is_superuser else [*self.readonly_fields, *POWERS]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """An address is what an account is logged in by, so staff's own are the superusers' to change."""
        is_theirs = obj is None or not obj.is_staff or request.user.is_superuser
        return is_theirs and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Their purchases, money and shops would lose their name. Who must go is turned out."""
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_user")


@admin.register(Ban)
class BanAdmin(ReadOnlyAdmin):
    list_display = ("user", "reason", "staff", "at")
    list_select_related = ("user", "staff")
    search_fields = ("user__email", "reason")
    ordering = ("-at",)
