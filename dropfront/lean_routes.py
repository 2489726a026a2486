"""The routes that the lean layer answers, hottest first, and how the OpenAPI document describes them."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from starlette.routing import Route

from core.fastpath import FastRoute
from core.lean import Lean, Receive, SaleRoute, Scope, Send, over_asgi, path_uuid
from dropfront import operations
from drops import hot as drops
from live.sse import sse_app
from rallies import hot as rallies
from sales import hot as sales


async def _sse(scope: Scope, receive: Receive, send: Send) -> None:
    await sse_app(scope, receive, send, path_uuid(scope, "sale_id"))


class _App:
    """Starlette takes a function for a request handler; an object is left alone as an ASGI app."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


ROUTES = [
    SaleRoute("/api/v1/drops/", "/orders", Lean(over_asgi(drops.PLACE_ORDER)), method="POST"),
    SaleRoute("/api/v1/rallies/", "/joins", Lean(over_asgi(rallies.JOIN)), method="POST"),
    SaleRoute("/api/v1/sales/", "/frame", Lean(sales.frame), method="GET"),
    Route("/live/{sale_id:uuid}/", _App(_sse), methods=["GET"]),
    Route("/healthz", Lean(operations.healthz), methods=["GET"]),
    Route("/readyz", Lean(operations.readyz), methods=["GET"]),
    Route("/metrics", _App(operations.metrics_app), methods=["GET"]),
]


# The same endpoints for `dropfront.server`, which answers them without ASGI.
FAST_ROUTES = [
    FastRoute("POST", "/api/v1/drops/", "/orders", drops.PLACE_ORDER),
    FastRoute("POST", "/api/v1/rallies/", "/joins", rallies.JOIN),
]


class RefusalOut(msgspec.Struct):
    code: str
    detail: str
    data: dict[str, Any]


class Purchase(NamedTuple):
    """A hot route in the words of the OpenAPI document. `refused` names the codes behind a status."""

    path: str
    operation_id: str
    summary: str
    tag: str
    body: type
    outcome: type
    thing: str  # what a success makes
    refused: dict[str, str]


PURCHASES = [
    Purchase(
        "/api/v1/drops/{sale_id}/orders", "drops_place_order", "Buy, or hold, units of a drop", "drops",
        drops.PlaceOrderIn, drops.OrderOut, "order",
        {
            "403": "not_verified",
            "409": "sold_out, limit_reached, insufficient_funds, not_open or idempotency_conflict",
            "422": "invalid or hold_not_offered",
        },
    ),
    Purchase(
        "/api/v1/rallies/{sale_id}/joins", "rallies_join", "Join a rally", "rallies",
        rallies.JoinIn, rallies.JoinOut, "join",
        {
            "403": "not_verified, invite_needed or removed",
            "409": "full, already_joined, insufficient_funds, not_open or idempotency_conflict",
            "422": "invalid, too_many_units or price_never_reached",
        },
    ),
]  # fmt: skip

_SALE_ID = {"name": "sale_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}


def openapi() -> tuple[dict[str, Any], dict[str, Any]]:
    """(paths, component schemas) of the lean API routes, to be merged into Ninja's document."""
    types = [RefusalOut, *(purchase.body for purchase in PURCHASES), *(purchase.outcome for purchase in PURCHASES)]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema = dict(zip(types, schemas, strict=True))
    paths = {purchase.path: {"post": _described(purchase, schema)} for purchase in PURCHASES}
    paths["/api/v1/sales/{sale_id}/frame"] = {
        "get": {
            "operationId": "sales_frame",
            "summary": "The sale's newest frame: its small public state, with a version that only grows",
            "tags": ["sales"],
            "parameters": [_SALE_ID],
            "responses": {
                "200": _answer("The frame", {"type": "object"}),
                "404": _answer("not_found", schema[RefusalOut]),
            },
        }
    }
    return paths, components


def _described(purchase: Purchase, schema: dict[type, dict[str, Any]]) -> dict[str, Any]:
    token = {"name": "X-Buy-Token", "in": "header", "required": True, "schema": {"type": "string"}}
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
        "description": f"Made by the client, one per purchase. A repeat with the same key returns the first {purchase.thing}.",
    }
    refused = {"401": "bad_token", "404": "not_found", "413": "body_too_large", **purchase.refused}
    busy = _answer("Busy; see Retry-After", schema[RefusalOut])
    return {
        "operationId": purchase.operation_id,
        "summary": purchase.summary,
        "tags": [purchase.tag],
        "parameters": [_SALE_ID, token, key],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema[purchase.body]}}},
        "responses": {
            "201": _answer(f"The {purchase.thing}", schema[purchase.outcome]),
            "200": _answer(f"The {purchase.thing} made by an earlier request", schema[purchase.outcome]),
            **{status: _answer(codes, schema[RefusalOut]) for status, codes in refused.items()},
            "503": busy | {"headers": {"Retry-After": {"schema": {"type": "integer"}}}},
        },
    }


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
