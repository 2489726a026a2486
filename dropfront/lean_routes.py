"""The routes that the lean layer answers, hottest first, and how the OpenAPI document describes them."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.routing import Route

from core.fastpath import FastRoute
from core.lean import Lean, Receive, SaleRoute, Scope, Send, over_asgi, path_uuid
from dropfront import operations
from live.sse import sse_app
from sales import hot as sale_hot
from sales.formats import list_formats
from sales.placing import Place


async def _sse(scope: Scope, receive: Receive, send: Send) -> None:
    await sse_app(scope, receive, send, path_uuid(scope, "sale_id"))


class _App:
    """Starlette takes a function for a request handler; an object is left alone as an ASGI app."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


PLACES: list[Place] = [place for format in list_formats() for place in format.places]

ROUTES = [
    *(SaleRoute(place.before, place.after, Lean(over_asgi(place)), method="POST") for place in PLACES),
    SaleRoute("/api/v1/sales/", "/frame", Lean(sale_hot.frame), method="GET"),
    Route("/live/{sale_id:uuid}/", _App(_sse), methods=["GET"]),
    Route("/healthz", Lean(operations.healthz), methods=["GET"]),
    Route("/readyz", Lean(operations.readyz), methods=["GET"]),
    Route("/metrics", _App(operations.metrics_app), methods=["GET"]),
]

# The same endpoints for `dropfront.server`, which answers them without ASGI.
FAST_ROUTES = [FastRoute("POST", place.before, place.after, place) for place in PLACES]


class RefusalOut(msgspec.Struct):
    code: str
    detail: str
    data: dict[str, Any]


_SALE_ID = {"name": "sale_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}


def openapi() -> tuple[dict[str, Any], dict[str, Any]]:
    """(paths, component schemas) of the lean API routes, to be merged into Ninja's document."""
    types = [RefusalOut, *(place.body for place in PLACES), *(place.outcome for place in PLACES)]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema = dict(zip(types, schemas, strict=True))
    paths = {place.path: {"post": _described(place, schema)} for place in PLACES}
    paths["/api/v1/sales/{sale_id}/frame"] = {
        "get": {
            "operationId": "sales_frame",
            "summary": "The sale's newest frame: its small public state, with a version that only grows",
            "tags": ["sales"],
            "parameters": [_SALE_ID],
            "responses": {
                "200": _answer("The frame", {"type": "object"}),
            },
        }
    }
    return paths, components


def _described(place: Place, schema: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    token = {"name": "X-Buy-Token", "in": "header", "required": True, "schema": {"type": "string"}}
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
        "description": f"Made by the client, one per purchase. A repeat with the same key returns the first {place.thing}.",
    }
    refused = {"401": "bad_token", **place.refused}
    return {
        "operationId": place.operation_id,
        "summary": place.summary,
        "tags": [place.tag],
        "parameters": [_SALE_ID, token, key],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema[place.body]}}},
        "responses": {
            "201": _answer(f"The {place.thing}", schema[place.outcome]),
            "200": _answer(f"The {place.thing} made by an earlier request", schema[place.outcome]),
            **{status: refused_with(codes) for status, codes in refused.items()},
        },
    }


def refused_with(description: str) -> dict[str, Any]:
    """A refusal as the document describes it."""
    return _answer(description, {"$ref": "#/components/schemas/RefusalOut"})


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
