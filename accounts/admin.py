from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts import audit, bans, closing, services
from accounts.models import Ban, SecurityEvent, User, normal_email
from core import clock
from core.admin_base import ServiceAdmin, TabularInline
from core.admin_reasons import STAFF_READ_IT, asks_reason
from core.http import user_id
from ledger.admin import ReadOnlyAdmin

POWERS = ("is_staff", "is_superuser", "groups")


def _close(id: UUID, *, staff_id: UUID, reason: str, now: dt.datetime) -> None:
    bans.check_may(id, staff_id)
    closing.close_account(user_id=id, by=staff_id, reason=reason, now=now)


class AddressInline(TabularInline):
    """What allauth knows: to look at. A change goes through the account's own address, above."""

    model = EmailAddress
    fields = readonly_fields = ("email", "verified", "primary")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(ServiceAdmin):
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
    inlines = (AddressInline,)
    actions = (
        asks_reason(_("Turn out"), lambda id, **why: bans.ban(user_id=id, **why), read_by=STAFF_READ_IT),
        asks_reason(_("Let in again"), lambda id, **why: bans.let_in_again(user_id=id, **why), read_by=STAFF_READ_IT),
        asks_reason(_("Close the account"), _close, read_by=STAFF_READ_IT),
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

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """An address is changed by the service, which ends sessions and tells both addresses; a new account gets a way in."""
        wanted = obj.email
        if change:
            obj.email = form.initial["email"]
        super().save_model(request, obj, form, change)
        if not change:
            obj.set_unusable_password()
            obj.save(update_fields=["password"])
            EmailAddress.objects.create(user=obj, email=obj.email, verified=False, primary=True)
            services.invite(request, obj)
        elif normal_email(wanted) != obj.email:
            before, after = services.change_email(user_id=obj.id, email=wanted, now=clock.now(), by=user_id(request))
            services.tell_of_new_email(request, user_id=obj.id, before=before, after=after)
        if powers := [name for name in POWERS if name in form.changed_data]:
            facts = {name: form.cleaned_data[name] for name in powers if name != "groups"}
            audit.note("powers_changed", user_id=obj.id, by_staff=user_id(request), changed=", ".join(powers), **facts)


@admin.register(SecurityEvent)
class SecurityEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "event", "user", "by", "client", "facts")
    list_filter = ("event",)
    list_select_related = ("user", "by")
    search_fields = ("user__email", "client")
    ordering = ("-id",)


@admin.register(Ban)
class BanAdmin(ReadOnlyAdmin):
    list_display = ("user", "reason", "staff", "at")
    list_select_related = ("user", "staff")
    search_fields = ("user__email", "reason")
    ordering = ("-at",)
