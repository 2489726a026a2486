from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from core import clock
from core.models import DueWork


@admin.register(DueWork)
class DueWorkAdmin(admin.ModelAdmin):
    list_display = ("kind", "subject_id", "due_at", "attempts", "done_at", "parked_at", "last_error")
    list_filter = ("kind", ("parked_at", admin.EmptyFieldListFilter), ("done_at", admin.EmptyFieldListFilter))
    search_fields = ("subject_id",)
    ordering = ("-due_at",)
    actions = ("set_free",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: DueWork | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DueWork | None = None) -> bool:
        return False

    @admin.action(description="Set parked work free, to be tried again now", permissions=["view"])
    def set_free(self, request: HttpRequest, rows: QuerySet[DueWork]) -> None:
        now = clock.now()
        freed = rows.filter(parked_at__isnull=False).update(parked_at=None, attempts=0, due_at=now, leased_until=now)
        messages.success(request, f"{freed} set free.")
