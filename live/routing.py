from __future__ import annotations

from typing import Any

from django.urls import path, re_path

from core.lean import Receive, Scope, Send
from live.consumers import SaleConsumer


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """A socket to an address that there is not: closed before it is accepted, so that the server answers 403."""
    await receive()  # websocket.connect
    await send({"type": "websocket.close"})


websocket_urlpatterns: list[Any] = [
    path("ws/sales/<uuid:sale_id>/", SaleConsumer.as_asgi()),
    re_path("", nowhere),  # type: ignore[arg-type]  # an ASGI application, as Channels has them
]
