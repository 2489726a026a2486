"""The ASGI application: hot routes on the lean layer, sockets on Channels, everything else on Django."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dropfront.settings")

from django.core.asgi import get_asgi_application

django_app = get_asgi_application()  # first: it sets Django up, which the imports below need

from asgiref.sync import sync_to_async  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from starlette.routing import Router  # noqa: E402

from dropfront import lean_routes, operations  # noqa: E402
from live import publisher  # noqa: E402
from live.hub import hub  # noqa: E402
from live.origin import ExactOrigin  # noqa: E402
from live.routing import websocket_urlpatterns  # noqa: E402
from sales.hot import read_frame_for_hub  # noqa: E402

# Lane threads share the interpreter with the event loop, and each change between them costs both. The loop lets go whenever it
# waits for the network, so it need not be interrupted often: measured against half a millisecond, a third more purchases.
SWITCH_INTERVAL_S = 0.02
# Most objects of a request die young. Collecting less often, and never what was made at start, shortens the slowest answers.
GC_THRESHOLDS = (20_000, 20, 100)


@asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    await sync_to_async(operations.refuse_demo_data)()
    hub.fallback_read = read_frame_for_hub
    kept = [asyncio.create_task(operations.keep_clock()), asyncio.create_task(operations.keep_permits())]
    try:
        yield
    finally:
        for task in kept:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await hub.close()
        publisher.flush(timeout_s=2)


application = Router(
    routes=lean_routes.ROUTES,
    default=ProtocolTypeRouter({"http": django_app, "websocket": ExactOrigin(URLRouter(websocket_urlpatterns))}),
    redirect_slashes=False,
    lifespan=lifespan,
)
