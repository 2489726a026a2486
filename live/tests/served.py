"""The live endpoints on a real uvicorn, as the project mounts them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from channels.routing import URLRouter
from starlette.routing import Route, Router

from live.hub import hub
from live.origin import ExactOrigin
from live.routing import websocket_urlpatterns
from live.sse import sse_app


class EventStream:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await sse_app(scope, receive, send, scope["path_params"]["sale_id"])


@asynccontextmanager
async def lifespan(_app: object):
    yield
    await hub.close()


def application(*routes: Route) -> Router:
    return Router(
        routes=[Route("/live/{sale_id:uuid}/", EventStream(), methods=["GET", "POST"]), *routes],
        default=ExactOrigin(URLRouter(websocket_urlpatterns)),
        lifespan=lifespan,
    )


@contextmanager
def served(app: Any, port: int = 0) -> Iterator[str]:
    """The address, as host:port, of a server in a thread of this process, which has its own event loop."""
    config = uvicorn.Config(
        app, loop="asyncio", http="httptools", log_level="critical", timeout_graceful_shutdown=1, lifespan="on"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()
