from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin, TabularInline

__all__ = ["ServiceAdmin", "StaffAdmin", "TabularInline"]


class StaffAdmin(ModelAdmin):  # type: ignore[misc]  # it has no types
    """The base of every page of staff's."""

    warn_unsaved_form = True


class ServiceAdmin(StaffAdmin):
    """For rows that are saved by services: each of these is a transaction of its own, so there is none around the form."""

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return self._changeform_view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]
