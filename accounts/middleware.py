from __future__ import annotations

from collections.abc import Callable

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

STAFF_PAGES = "/staff/"


class SecondFactorMiddleware:
    """Staff see and change what is everybody's, so a password alone does not let them in. Whoever has no second factor yet is led
    to where one is set up; a login with one asks for it (allauth)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_asked_for = settings.STAFF_NEED_SECOND_FACTOR and request.path.startswith(STAFF_PAGES)
        if is_asked_for and request.user.is_authenticated and not is_mfa_enabled(request.user):
            messages.warning(request, _("Staff log in with a second factor. Please set one up first."))
            return redirect("mfa_index")
        return self.get_response(request)
