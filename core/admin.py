from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from core import clock, due_work
from core.admin_base import StaffAdmin
from core.models import DueWork

LATE = dt.timedelta(minutes=1)


class StateFilter(admin.SimpleListFilter):
    title = _l("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("parked", _("Parked")),
            ("late", _("Late by over a minute")),
            ("open", _("To be done")),
            ("done", _("Done")),
        ]

    def queryset(self, request: HttpRequest, rows: QuerySet[DueWork]) -> QuerySet[DueWork]:
        is_open: dict[str, Any] = {"done_at": None, "parked_at": None}
        conditions: dict[str, dict[str, Any]] = {
            "parked": {"parked_at__isnull": False},
            "late": {**is_open, "due_at__lt": clock.now() - LATE},
            "open": is_open,
            "done": {"done_at__isnull": False},
        }
        return rows.filter(**conditions.get(self.value() or "", {}))


@admin.register(DueWork)
class DueWorkAdmin(StaffAdmin):
    list_display = ("kind", "subject_id", "last_error", "attempts", "due_at", "leased_until", "parked_at", "done_at")
    list_filter = (StateFilter, "kind")
    search_fields = ("subject_id",)
    ordering = ("-due_at",)
    actions = ("set_free",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: DueWork | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DueWork | None = None) -> bool:
        return False

    @admin.action(description=_l("Set parked work free, to be tried again now"), permissions=["operate"])
    def set_free(self, request: HttpRequest, rows: QuerySet[DueWork]) -> None:
        freed = due_work.set_free([row.id for row in rows], now=clock.now())
        messages.success(request, _("{freed} set free.").format(freed=freed))

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """No field of it can be edited here, but to have it done is more than to look."""
        return request.user.has_perm("core.change_duework")
