from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from unfold.admin import ModelAdmin, TabularInline

__all__ = ["ServiceAdmin", "StaffAdmin", "TabularInline", "for_staff"]


class StaffAdmin(ModelAdmin):  # type: ignore[misc]  # it has no types
    """The base of every page of staff's."""

    warn_unsaved_form = True


class ServiceAdmin(StaffAdmin):
    """For rows that are saved by services: each of these is a transaction of its own, so there is none around the form."""

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return self._changeform_view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]


def for_staff(*permissions: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """A page beside the admin's own, for staff who have all of these permissions. Its address is below /staff/, where a second
    factor is asked for."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @never_cache
        @login_required
        @wraps(view)
        def shown(request: HttpRequest, **arguments: Any) -> HttpResponse:
            if not request.user.is_staff or not request.user.has_perms(permissions):
                raise PermissionDenied
            return view(request, **arguments)

        return shown

    return decorate
