"""Where the product meets HTTP: request ids, and refusals mapped to answers once."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from core import clock, metrics
from core.errors import Busy, Failed, Invalid, NotAllowed, NotAuthenticated, NotFound, Refusal, TooMany, WrongMethod
from core.ids import uuid7
from core.rate_limit import client_address
from dsql.transactions import is_out_of_reach

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}", re.ASCII)


class RequestIdMiddleware:
    """Gives every request an id, in the logs and in the answer. A well-formed one from a proxy is kept."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Only of our own proxy: a client could make its lines in the log look like somebody else's.
        given = request.headers.get("X-Request-Id", "") if settings.ALLAUTH_TRUSTED_PROXY_COUNT else ""
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid7())
        request.began_at = clock.now()  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(request_id=request_id, client=client_address(request)):
            response = self.get_response(request)
        response["X-Request-Id"] = request_id
        if settings.SESSION_COOKIE_NAME in request.COOKIES:
            # A page made for one person must not be kept by a cache for another.
            response.setdefault("Cache-Control", "private, no-store")
        return response


class HeadMiddleware:
    """HEAD works wherever GET does: views and the API's routes see a GET, whose body the server then leaves away."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method != "HEAD":
            return self.get_response(request)
        request.method = "GET"
        try:
            return self.get_response(request)
        finally:
            request.method = "HEAD"


class ApiMiddleware:
    """Under /api/ every refusal has the API's shape, also those of Django itself: an address or a method that there is not, a
    missing CSRF token, a host that is not ours."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_ours = response.headers.get("Content-Type", "").startswith("application/json")
        if not request.path.startswith("/api/") or response.status_code < 400 or is_ours:
            return response
        answer = JsonResponse(said_of(response.status_code).as_json(), status=response.status_code)
        for name in ("Allow", "Retry-After"):
            if name in response:
                answer[name] = response[name]
        return answer


class RefusalMiddleware:
    """A refusal that a view lets pass becomes a page with its sentence and status; a database out of reach is Busy."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if is_out_of_reach(error):
            metrics.REFUSALS.labels(Busy.code).inc()
            # A template that asks the database for nothing, not even who is logged in.
            return with_retry_after(HttpResponse(render_to_string("503.html"), status=Busy.status), Busy())
        if not isinstance(error, Refusal):
            return None
        metrics.REFUSALS.labels(error.code).inc()
        if isinstance(error, NotAuthenticated):
            from django.contrib.auth.views import redirect_to_login

            return redirect_to_login(request.get_full_path())
        response = render(request, "refusal.html", {"refusal": error}, status=error.status)
        return with_retry_after(response, error)


def began_at(request: HttpRequest) -> dt.datetime:
    """When the request came in, before anything was read for it."""
    return request.began_at  # type: ignore[attr-defined, no-any-return]


def user_id(request: HttpRequest) -> UUID:
    """The id of who is logged in. Raises NotAuthenticated: a face that forgets to ask for a login still lets nobody in."""
    if not request.user.is_authenticated:
        raise NotAuthenticated
    return request.user.id


def refusal_as_json(refusal: Refusal) -> HttpResponse:
    metrics.REFUSALS.labels(refusal.code).inc()
    return with_retry_after(JsonResponse(refusal.as_json(), status=refusal.status), refusal)


def said_of(status: int) -> Refusal:
    """The refusal for an answer that has nothing but its status."""
    match status:
        case 403:
            return NotAllowed("This needs the CSRF token of your session, in the header X-CSRFToken.")
        case 404:
            return NotFound()
        case 405:
            return WrongMethod()
        case 503:
            return Busy()
        case _ if status < 500:
            return Invalid()
    return Failed()


def with_retry_after(response: HttpResponse, refusal: Refusal) -> HttpResponse:
    if isinstance(refusal, Busy | TooMany):
        response["Retry-After"] = str(refusal.retry_after_s)
    return response


class StaffPolicyMiddleware:
    """Staff's pages are let do what their scripts need, and no other page is."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path.startswith("/staff/"):
            response._csp_replace = settings.STAFF_CONTENT_SECURITY_POLICY  # type: ignore[attr-defined]  # what csp reads
        return response


def page_context(request: HttpRequest) -> dict[str, Any]:
    """What every page knows: the time, from the one clock, the site's own address, and whom to write to."""
    return {
        "now": clock.now(),
        "origin": f"{request.scheme}://{request.get_host()}",
        "support_email": settings.SUPPORT_EMAIL,
    }
