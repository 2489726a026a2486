"""The routes that the lean layer answers, hottest first, and how the OpenAPI document describes them."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.routing import Route

from core.fastpath import FastRoute
from core.lean import Lean, Receive, SaleRoute, Scope, Send, over_asgi, path_uuid
from dropfront import operations
from drops import hot as drops
from live.sse import sse_app
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
    SaleRoute("/api/v1/sales/", "/frame", Lean(sales.frame), method="GET"),
    Route("/live/{sale_id:uuid}/", _App(_sse), methods=["GET"]),
    Route("/healthz", Lean(operations.healthz), methods=["GET"]),
    Route("/readyz", Lean(operations.readyz), methods=["GET"]),
    Route("/metrics", _App(operations.metrics_app), methods=["GET"]),
]


# The same endpoints for `dropfront.server`, which answers them without ASGI.
FAST_ROUTES = [FastRoute("POST", "/api/v1/drops/", "/orders", drops.PLACE_ORDER)]


class RefusalOut(msgspec.Struct):
    code: str
    detail: str
    data: dict[str, Any]


def openapi() -> tuple[dict[str, Any], dict[str, Any]]:
    """(paths, component schemas) of the lean API routes, to be merged into Ninja's document."""
    types = [drops.PlaceOrderIn, drops.OrderOut, RefusalOut]
    (body, order, refusal), components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )

    def answer(description: str, schema: dict[str, Any] = refusal) -> dict[str, Any]:
        return {"description": description, "content": {"application/json": {"schema": schema}}}

    sale_id = {"name": "sale_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
    token = {"name": "X-Buy-Token", "in": "header", "required": True, "schema": {"type": "string"}}
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
        "description": "Made by the client, one per purchase. A repeat with the same key returns the first order.",
    }
    busy = answer("Busy; see Retry-After") | {"headers": {"Retry-After": {"schema": {"type": "integer"}}}}
    paths = {
        "/api/v1/drops/{sale_id}/orders": {
            "post": {
                "operationId": "drops_place_order",
                "summary": "Buy, or hold, units of a drop",
                "tags": ["drops"],
                "parameters": [sale_id, token, key],
                "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
                "responses": {
                    "201": answer("The order", order),
                    "200": answer("The order made by an earlier request with this key", order),
                    "401": answer("bad_token"),
                    "403": answer("not_verified"),
                    "404": answer("not_found"),
                    "409": answer("sold_out, limit_reached, insufficient_funds, not_open or idempotency_conflict"),
                    "413": answer("body_too_large"),
                    "422": answer("invalid or hold_not_offered"),
                    "503": busy,
                },
            }
        },
        "/api/v1/sales/{sale_id}/frame": {
            "get": {
                "operationId": "sales_frame",
                "summary": "The sale's newest frame: its small public state, with a version that only grows",
                "tags": ["sales"],
                "parameters": [sale_id],
                "responses": {"200": answer("The frame", {"type": "object"}), "404": answer("not_found")},
            }
        },
    }
    return paths, components
