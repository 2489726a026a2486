"""Pages that the tests visit: the admin, allauth's, and a list of groups."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def list_groups(request: HttpRequest) -> HttpResponse:
    return HttpResponse(", ".join(Group.objects.order_by("name").values_list("name", flat=True)))


urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("groups/", list_groups),
]
