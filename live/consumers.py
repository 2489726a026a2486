"""The socket that shows one sale live. It only tells: nothing a viewer sends over it has any effect."""

from __future__ import annotations

import asyncio

from channels.generic.websocket import AsyncWebsocketConsumer

from core.errors import Busy
from core.lean import Receive, Scope, Send
from live.hub import hub
from live.viewers import who_is

CLOSE_S = 5.0  # so long a slow connection may take to be told why it is closed
# We expect nothing from viewers; a few short messages may come from a browser extension or a curious one.
MESSAGE_BYTES_MAX = 1024
MESSAGES_MAX = 5

# Close codes: RFC 6455 and IANA's registry of them; from 4000 on they are ours.
POLICY_VIOLATION = 1008
MESSAGE_TOO_BIG = 1009
TRY_AGAIN_LATER = 1013
UNKNOWN_SALE = 4404


class SaleConsumer(AsyncWebsocketConsumer):
    """Sends the sale's newest frame at once, and then each newer one, as the connection can take them."""

    # Frames come from the process' hub. A channel layer would only add a waiting task to each socket.
    channel_layer_alias = "none"

    _tasks: asyncio.TaskGroup
    _showing: asyncio.Task[None] | None = None
    _messages_count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            # A group, so that a frame that cannot be sent ends the whole socket: asked to close properly, the server would
            # first wait for the peer to read what it does not read.
            async with asyncio.TaskGroup() as self._tasks:
                await super().__call__(scope, receive, send)
                self._stop_showing()
        except* OSError:
            pass  # the viewer has gone, or was too slow (a TimeoutError is one)

    async def connect(self) -> None:
        await self.accept()  # also before a refusal: a browser sees a close code only after accepting
        self._showing = self._tasks.create_task(self._show())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._showing is None:
            return  # we have closed; this was on its way
        self._messages_count += 1
        data = bytes_data if text_data is None else text_data.encode()
        if len(data or b"") > MESSAGE_BYTES_MAX:
            await self._refuse(MESSAGE_TOO_BIG)
        elif self._messages_count > MESSAGES_MAX:
            await self._refuse(POLICY_VIOLATION)

    async def disconnect(self, code: int) -> None:
        self._stop_showing()

    async def _show(self) -> None:
        sale_id = self.scope["url_route"]["kwargs"]["sale_id"]
        try:
            async with hub.watch(sale_id, who_is(self.scope)) as viewer:
                if await hub.latest(sale_id) is None:
                    return await self._close(UNKNOWN_SALE)
                while True:
                    frame = await viewer.next_frame()
                    await self.send(text_data=frame.text)
        except Busy:
            await self._close(TRY_AGAIN_LATER)

    async def _refuse(self, code: int) -> None:
        self._stop_showing()  # first: a frame must not follow the close
        await self._close(code)

    async def _close(self, code: int) -> None:
        self._showing = None
        async with asyncio.timeout(CLOSE_S):
            await self.close(code)

    def _stop_showing(self) -> None:
        if self._showing is not None:
            self._showing.cancel()
            self._showing = None
