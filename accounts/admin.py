from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from accounts import bans
from accounts.models import Ban, User
from core.admin_reasons import asks_reason
from ledger.admin import ReadOnlyAdmin


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = ("email", "display_name", "is_active", "is_staff", "created_at")
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "display_name")
    readonly_fields = ("id", "created_at", "last_login", "is_active")  # a ban does more than to set this
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
        asks_reason("Turn out", lambda id, **why: bans.ban(user_id=id, **why)),
        asks_reason("Let in again", lambda id, **why: bans.let_in_again(user_id=id, **why)),
    )

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_user")


@admin.register(Ban)
class BanAdmin(ReadOnlyAdmin):
    list_display = ("user", "reason", "staff", "at")
    list_select_related = ("user", "staff")
    search_fields = ("user__email", "reason")
    ordering = ("-at",)
