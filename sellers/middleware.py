from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect

_SHOP = re.compile(r"(/(?:s|sell)/)([A-Za-z0-9-]*[A-Z][A-Za-z0-9-]*)(/.*)")


class HandleMiddleware:
    """Shops' handles are in small letters; whoever typed one otherwise is led there."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_missing = response.status_code == 404 and request.method in ("GET", "HEAD")
        if is_missing and (typed := _SHOP.fullmatch(request.get_full_path())):
            return HttpResponsePermanentRedirect(f"{typed[1]}{typed[2].lower()}{typed[3]}")
        return response
