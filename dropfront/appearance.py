"""Light or dark, by hand: a choice of the browser's, kept in a cookie that the page is rendered by, so that nothing flickers."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

COOKIE = "theme"
THEMES = ("light", "dark")
_KEPT_S = 365 * 86_400


def theme_of(request: HttpRequest) -> str:
    """ "light", "dark", or nothing: then it is as the device says."""
    theme = request.COOKIES.get(COOKIE, "")
    return theme if theme in THEMES else ""


@require_POST
def choose_theme(request: HttpRequest) -> HttpResponse:
    """The footer's buttons. Back to the page they were pressed on."""
    back = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        back, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    answer = redirect(back if is_ours else "/")
    theme = request.POST.get("theme", "")
    if theme in THEMES:
        answer.set_cookie(
            COOKIE, theme, max_age=_KEPT_S, secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Lax"
        )
    else:
        answer.delete_cookie(COOKIE, samesite="Lax")
    return answer


def appearance(request: HttpRequest) -> dict[str, str]:
    """For every page's template."""
    return {"theme": theme_of(request)}
