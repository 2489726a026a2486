"""One sale's frames as server-sent events, for viewers whose network lets no socket through."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID

import msgspec

from core.errors import Busy, NotFound, Refusal
from core.lean import Receive, Scope, Send
from live.hub import Viewer, hub
from live.viewers import who_is

HEARTBEAT_S = 15.0  # below the idle time at which proxies cut a quiet connection
RETRY_MS = 2_000
RETRY_JITTER_MS = 3_000  # or all viewers of a restarted process would come back in the same instant

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
    (b"x-content-type-options", b"nosniff"),
]


async def sse_app(scope: Scope, receive: Receive, send: Send, sale_id: UUID) -> None:
    """An ASGI app for one GET: the newest frame at once, then each newer one, until the viewer leaves.

    Answers 404 for an unknown sale (a browser then does not come back) and 503 when there are too many viewers.
    """
    if scope["method"] == "HEAD":
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body"})
        return
    if scope["method"] != "GET":
        await _answer(send, 405, b"", [(b"allow", b"GET, HEAD")])
        return
    try:
        async with hub.watch(sale_id, who_is(scope)) as viewer:
            if await hub.latest(sale_id) is None:
                raise NotFound("This sale does not exist.")
            await _stream(viewer, receive, send)
    except Busy as refusal:
        await _refuse(send, refusal, [(b"retry-after", b"%d" % refusal.retry_after_s)])
    except NotFound as refusal:
        await _refuse(send, refusal, [])
    except TimeoutError:
        pass  # too slow


async def _stream(viewer: Viewer, receive: Receive, send: Send) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_send_events(viewer, send))
            while (await receive())["type"] != "http.disconnect":
                pass  # the request's body, if it has one
            sending.cancel()
    except* OSError:
        pass  # the viewer has gone


async def _send_events(viewer: Viewer, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    retry_ms = RETRY_MS + random.randrange(RETRY_JITTER_MS)
    await _send(send, b"retry: %d\n\n" % retry_ms)
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                frame = await viewer.next_frame()
        except TimeoutError:
            await _send(send, b":\n\n")
        else:
            await _send(send, frame.event)


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _refuse(send: Send, refusal: Refusal, headers: list[tuple[bytes, bytes]]) -> None:
    await _answer(send, refusal.status, msgspec.json.encode(refusal.as_json()), headers)


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
