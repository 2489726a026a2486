"""`GET /api/v1/sales/{sale_id}/frame` on the lean layer: what polling viewers read, from this process' memory."""

from __future__ import annotations

from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connection
from django.utils.translation import gettext_noop as N_

from core import clock
from core.errors import NotFound
from core.lean import Answer, Receive, Scope, path_uuid
from live.hub import hub
from sales import frames, selectors


async def frame(scope: Scope, receive: Receive) -> Answer:
    """The sale's newest frame. `X-Server-Time` (milliseconds since the epoch) is for counting down on the server's clock."""
    payload = await hub.latest(path_uuid(scope, "sale_id"))
    if payload is None:
        raise NotFound(N_("This sale does not exist."))
    time_ms = int(clock.now().timestamp() * 1000)
    return 200, payload, [(b"cache-control", b"no-store"), (b"x-server-time", b"%d" % time_ms)]


async def read_frame_for_hub(sale_id: UUID) -> bytes | None:
    """For sales that nobody has sent a frame of lately: the database's own answer."""
    return await sync_to_async(_read, thread_sensitive=False)(sale_id)


def _read(sale_id: UUID) -> bytes | None:
    try:
        if not selectors.published_sales().filter(id=sale_id).exists():
            return None
        return frames.encode(frames.read_frame(sale_id))
    finally:
        connection.close()  # this runs on a shared thread: back to the pool
