"""The ASGI application: hot routes on the lean layer, sockets on Channels, everything else on Django."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dropfront.settings")

from django.core.asgi import get_asgi_application

django_app = get_asgi_application()  # first: it sets Django up, which the imports below need

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from starlette.routing import Router  # noqa: E402

from dropfront import lean_routes, operations  # noqa: E402
from live import publisher  # noqa: E402
from live.hub import hub  # noqa: E402
from live.origin import ExactOrigin  # noqa: E402
from live.routing import websocket_urlpatterns  # noqa: E402
from sales.hot import read_frame_for_hub  # noqa: E402

# Lane threads share the interpreter with the event loop. At the default 5 ms a lane waits that long for its turn after each
# answer of the database; at half a millisecond batches are short and fair.
SWITCH_INTERVAL_S = 0.0005


@asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    hub.fallback_read = read_frame_for_hub
    clock = asyncio.create_task(operations.keep_clock())
    try:
        yield
    finally:
        clock.cancel()
        with suppress(asyncio.CancelledError):
            await clock
        await hub.close()
        publisher.flush(timeout_s=2)


application = Router(
    routes=lean_routes.ROUTES,
    default=ProtocolTypeRouter({"http": django_app, "websocket": ExactOrigin(URLRouter(websocket_urlpatterns))}),
    redirect_slashes=False,
    lifespan=lifespan,
)
