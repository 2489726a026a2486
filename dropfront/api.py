"""The JSON API: every app's router, refusals mapped once, and one OpenAPI document that also describes the hot routes."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema

from core.errors import Busy, Invalid, NotAuthenticated, Refusal
from core.http import refusal_as_json, said_of
from core.lean import BodyTooLarge
from dropfront import lean_routes
from dsql.transactions import is_out_of_reach
from ledger.api import router as ledger
from payments.api import router as payments
from sales.api import router as sales
from sales.api import shop_router
from sales.formats import list_formats

# Status → why any operation may be refused with it, and those that change something, and those for whoever is logged in.
REFUSED = {
    "404": "Nothing here, or not yours",
    "422": "Something in the request cannot be; `data.mistakes` says where",
    "429": "Too many requests; see Retry-After",
    "503": "Busy; see Retry-After",
}
CHANGES_REFUSED = {
    "403": "Not allowed, or without a CSRF token",
    "409": "Not as things stand",
    "413": "The body is too large",
}
SESSION_REFUSED = {"401": "Not logged in", "403": "Not allowed"}


class Api(NinjaAPI):
    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        schema = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        paths, components = lean_routes.openapi()
        schema["paths"] |= paths
        schema["components"]["schemas"] |= components
        for methods in schema["paths"].values():
            for method, operation in methods.items():
                refused = REFUSED | (SESSION_REFUSED if operation.get("security") else {})
                refused |= CHANGES_REFUSED if method != "get" else {}
                described = {status: lean_routes.refused_with(why) for status, why in refused.items()}
                # Ninja's statuses are numbers, and what an operation says itself counts.
                operation["responses"] = described | {
                    str(status): as_is for status, as_is in operation["responses"].items()
                }
        return schema


api = Api(
    title="Dropfront",
    version="1",
    urls_namespace="api",
    docs_url=None,  # the page that ninja would show loads its scripts from elsewhere; tools read openapi.json
    description="Amounts are whole minor units. Refusals carry `code` for programs, `detail` for people, `data` for the facts.",
)
api.add_router("/sales", sales)
api.add_router("/sellers", shop_router)
for _format in list_formats():
    if _api := _format.module("api"):
        api.add_router("", _api.router)
api.add_router("/wallet", ledger)
api.add_router("/top-ups", payments)


@api.exception_handler(Refusal)
def on_refusal(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    return refusal_as_json(refusal)


@api.exception_handler(AuthenticationError)
def on_not_authenticated(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return refusal_as_json(NotAuthenticated())


@api.exception_handler(ValidationError)
def on_invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    mistakes = [{"at": [str(part) for part in mistake["loc"]], "problem": mistake["msg"]} for mistake in error.errors]
    return refusal_as_json(Invalid(mistakes=mistakes))


@api.exception_handler(HttpError)
def on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Ninja's own: a body that cannot be read, a missing CSRF token."""
    return refusal_as_json(Invalid(str(error)) if error.status_code == 400 else said_of(error.status_code))


@api.exception_handler(RequestDataTooBig)
def on_too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return refusal_as_json(BodyTooLarge())


@api.exception_handler(DatabaseError)
@api.exception_handler(InterfaceError)
def on_database_error(request: HttpRequest, error: Exception) -> HttpResponse:
    """A database out of reach is Busy, and nobody's fault; anything else is ours, and a 500."""
    if is_out_of_reach(error):
        return refusal_as_json(Busy())
    raise error
