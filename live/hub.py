"""What one process knows of all sales' frames, and who in it is watching which sale.

One subscription brings every frame to the process; sockets and streams wait here for the newest one they have not seen. A
viewer has no queue: one that is slow misses the frames in between and gets the newest, and one that is stuck is cut.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings

from core.errors import Busy
from live.frame import Frame
from live.store import STORE_ERRORS, AsyncStore
from live.viewers import Who

log = structlog.get_logger(__name__)

VIEWERS_MAX = 10_000  # a process; a socket costs about 50 KB
STRANGERS_PERCENT = 70  # of these; where strangers have taken theirs, fans who are logged in still find room
PER_FAN_MAX = 50
UNWATCHED_MAX = 1_000  # frames kept of sales that nobody in this process watches
# So long a viewer may be busy with one frame. Looked at from here now and then: a timer for each frame and viewer would cost
# a third of all the work of sending.
BUSY_MAX_S = 20.0
BUSY_LOOK_S = 5.0
RECONNECT_FIRST_S = 0.5
RECONNECT_MAX_S = 5.0
# Someone may open sockets for sales that do not exist. The database is asked about so many at once, and no more.
FALLBACKS_MAX = 4
FALLBACK_S = 5.0
REREAD_CHUNK = 500


class _Room:
    """A watched sale."""

    __slots__ = ("frame", "viewers")

    def __init__(self, frame: Frame | None) -> None:
        self.frame = frame
        self.viewers: set[Viewer] = set()


class Viewer:
    """One socket's or stream's view of a sale, watching it while entered as a context.

    If it does not come back for the next frame within BUSY_MAX_S, its connection takes nothing any more: what goes on inside
    the context is then cancelled, and the context raises TimeoutError.
    """

    __slots__ = ("_busy_since", "_hub", "_is_cut", "_room", "_sale_id", "_seen", "_task", "_waiting", "who")

    def __init__(self, hub: Hub, sale_id: UUID, who: Who) -> None:
        self.who = who
        self._hub = hub
        self._sale_id = sale_id
        self._room: _Room | None = None
        self._seen = -1
        self._waiting: asyncio.Future[None] | None = None
        self._busy_since = math.inf  # by the loop's clock; never while it waits for a frame
        self._task: asyncio.Task[Any] | None = None
        self._is_cut = False

    async def __aenter__(self) -> Viewer:
        """Raises Busy when this process has as many viewers as it can bear, or as many of this address or fan."""
        self._room = self._hub._join(self._sale_id, self)
        self._task = asyncio.current_task()
        self._busy_since = asyncio.get_running_loop().time()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._room is not None
        assert self._task is not None
        self._hub._leave(self._sale_id, self._room, self)
        # As asyncio.timeout does it: unless somebody else wanted the task to end as well.
        if self._is_cut and self._task.uncancel() <= 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error

    async def next_frame(self) -> Frame:
        """The sale's newest frame, as soon as it is newer than the one returned last. Versions only grow."""
        room = self._room
        assert room is not None, "a viewer watches only inside its context"
        loop = asyncio.get_running_loop()
        while room.frame is None or room.frame.version <= self._seen:
            self._busy_since = math.inf
            self._waiting = loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
                self._busy_since = loop.time()
        self._busy_since = loop.time()
        self._seen = room.frame.version
        return room.frame

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _cut_if_busy_since(self, time_s: float) -> None:
        if self._busy_since < time_s and not self._is_cut:
            assert self._task is not None
            self._is_cut = True
            self._task.cancel()


class Hub:
    """The process has one, below. It works on one event loop at a time, and starts listening there on first use.

    Without the store viewers keep their sockets; once it is back they get the newest frame and those after it.
    """

    def __init__(self) -> None:
        # Reads a sale's frame from the database when the store has none; None if there is no such sale. The project sets it.
        self.fallback_read: Callable[[UUID], Awaitable[bytes | None]] | None = None
        self.on_begin: Callable[[], None] = lambda: None  # called when it begins to listen
        self._loop: asyncio.AbstractEventLoop | None = None
        self._store: AsyncStore | None = None
        self._listening: asyncio.Task[None] | None = None
        self._cutting: asyncio.Task[None] | None = None
        self._begin()

    def _begin(self) -> None:
        """Know nothing, on no loop."""
        self._rooms: dict[UUID, _Room] = {}
        self._viewers_count = 0
        self._viewers_of: Counter[Who] = Counter()
        # Frames of unwatched sales, the least recently used first. Right only while we are subscribed.
        self._unwatched: OrderedDict[UUID, Frame] = OrderedDict()
        self._is_subscribed = False
        # Reads on their way. Replaced when a subscription begins: a read from before may miss what came in between.
        self._reads: dict[UUID, asyncio.Task[Frame | None]] = {}
        self._refill: asyncio.Task[None] | None = None
        self._fallbacks = asyncio.Semaphore(FALLBACKS_MAX)

    # What viewers use

    def watch(self, sale_id: UUID, who: Who) -> Viewer:
        """A viewer, to be used as `async with hub.watch(sale_id) as viewer`. It reads nothing: `latest` does.

        Watch before the first read: a change between the two is then seen twice, not never.
        """
        return Viewer(self, sale_id, who)

    async def latest(self, sale_id: UUID) -> Frame | None:
        """The sale's newest frame: from memory, else from the store, else by `fallback_read`. None: no such sale.

        Raises Busy if none of them could tell.
        """
        self._ensure_listening()
        known = self._known(sale_id)
        if known is not None and self._is_subscribed:
            return known
        try:
            read = await self._read_once(sale_id)
        except Busy:
            if known is not None:
                return known  # perhaps old by now, but better than nothing
            raise
        known = self._known(sale_id)  # a newer one may have come in meanwhile
        return known if known is not None and (read is None or known.version > read.version) else read

    @property
    def viewers_count(self) -> int:
        return self._viewers_count

    def viewers_by_sale(self) -> dict[UUID, int]:
        """How many watch each sale here. May be called from any thread."""
        for _attempt in range(3):
            try:
                return {sale_id: len(room.viewers) for sale_id, room in self._rooms.items()}
            except RuntimeError:  # it changed meanwhile
                continue
        return {}

    async def close(self) -> None:
        """Stop listening and close the connections. The hub starts anew when it is used again."""
        tasks = [self._listening, self._cutting, self._refill, *self._reads.values()]
        running = [task for task in tasks if task is not None and not task.done()]
        if self._loop is asyncio.get_running_loop():
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        self._loop = self._listening = self._cutting = None
        self._begin()

    # What viewers do to it

    def _join(self, sale_id: UUID, viewer: Viewer) -> _Room:
        self._ensure_listening()
        who = viewer.who
        if who.is_fan:
            most, each = VIEWERS_MAX, PER_FAN_MAX
        else:
            most, each = math.ceil(VIEWERS_MAX * STRANGERS_PERCENT / 100), settings.VIEWERS_PER_ADDRESS_MAX
        if self._viewers_count >= most or self._viewers_of[who] >= each:
            raise Busy
        room = self._rooms.get(sale_id)
        if room is None:
            room = self._rooms[sale_id] = _Room(self._unwatched.pop(sale_id, None))
        room.viewers.add(viewer)
        self._viewers_count += 1
        self._viewers_of[who] += 1
        return room

    def _leave(self, sale_id: UUID, room: _Room, viewer: Viewer) -> None:
        room.viewers.discard(viewer)
        if self._rooms.get(sale_id) is not room:
            return  # the hub was closed meanwhile
        self._viewers_count -= 1
        self._viewers_of[viewer.who] -= 1
        if not self._viewers_of[viewer.who]:
            del self._viewers_of[viewer.who]
        if not room.viewers:
            del self._rooms[sale_id]
            if room.frame is not None and self._is_subscribed:
                self._keep_unwatched(sale_id, room.frame)

    async def _cut_stuck_viewers(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(BUSY_LOOK_S)
            for room in self._rooms.values():
                for viewer in room.viewers:
                    viewer._cut_if_busy_since(loop.time() - BUSY_MAX_S)

    # What it knows

    def _known(self, sale_id: UUID) -> Frame | None:
        room = self._rooms.get(sale_id)
        if room is not None:
            return room.frame
        frame = self._unwatched.get(sale_id)
        if frame is not None:
            self._unwatched.move_to_end(sale_id)
        return frame

    def _learn(self, sale_id: UUID, frame: Frame) -> None:
        """Keep `frame` if it is newer than what we know, and wake who watches the sale."""
        room = self._rooms.get(sale_id)
        if room is None:
            known = self._unwatched.get(sale_id)
            if known is None or frame.version > known.version:
                self._keep_unwatched(sale_id, frame)
        elif room.frame is None or frame.version > room.frame.version:
            room.frame = frame
            for viewer in room.viewers:
                viewer._wake()

    def _keep_unwatched(self, sale_id: UUID, frame: Frame) -> None:
        self._unwatched[sale_id] = frame
        self._unwatched.move_to_end(sale_id)
        if len(self._unwatched) > UNWATCHED_MAX:
            self._unwatched.popitem(last=False)

    # Reading

    async def _read_once(self, sale_id: UUID) -> Frame | None:
        """Read, joining a read of the same sale that is on its way: a thousand arrivals ask the store once."""
        reads = self._reads
        task = reads.get(sale_id)
        if task is None:
            task = reads[sale_id] = asyncio.create_task(self._read(sale_id))
            task.add_done_callback(lambda done: _read_done(reads, sale_id, done))
        return await asyncio.shield(task)

    async def _read(self, sale_id: UUID) -> Frame | None:
        reads = self._reads
        frame = await self._read_store(sale_id) or await self._read_fallback(sale_id)
        if frame is not None and (sale_id in self._rooms or (self._is_subscribed and reads is self._reads)):
            self._learn(sale_id, frame)
        return frame

    async def _read_store(self, sale_id: UUID) -> Frame | None:
        assert self._store is not None
        try:
            return (await self._store.latest([sale_id]))[0]
        except STORE_ERRORS as error:
            log.warning("frame_store_unreachable", error=repr(error))
            if self.fallback_read is None:
                raise Busy from error
            return None

    async def _read_fallback(self, sale_id: UUID) -> Frame | None:
        if self.fallback_read is None:
            return None
        try:
            async with asyncio.timeout(FALLBACK_S), self._fallbacks:
                payload = await self.fallback_read(sale_id)
        except Exception as error:  # it is the project's, and may fail in any way
            log.warning("frame_fallback_failed", sale_id=str(sale_id), error=repr(error))
            raise Busy from error
        return None if payload is None else Frame.of_payload(payload)

    # Listening

    def _ensure_listening(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop and self._listening is not None and not self._listening.done():
            return
        if self._loop is not loop:
            self._begin()  # what another loop left behind cannot be used here
            self._loop = loop
            self._cutting = loop.create_task(self._cut_stuck_viewers())
        self.on_begin()
        self._store = AsyncStore()
        self._listening = loop.create_task(self._listen(self._store))

    async def _listen(self, store: AsyncStore) -> None:
        """Take in frames for ever; after each loss of the subscription, come back at a time of our own."""
        delay_s = RECONNECT_FIRST_S
        try:
            while True:
                try:
                    async with store.subscribed() as published:
                        await self._reread(store)
                        delay_s = RECONNECT_FIRST_S
                        async for sale_id, frame in published:
                            self._learn(sale_id, frame)
                except STORE_ERRORS as error:
                    log.warning("frame_subscription_lost", error=repr(error))
                self._unsubscribed()
                # Jitter, or all processes would come back in the same instant.
                await asyncio.sleep(random.uniform(0, delay_s))
                delay_s = min(delay_s * 2, RECONNECT_MAX_S)
        finally:
            self._unsubscribed()
            await store.close()

    async def _reread(self, store: AsyncStore) -> None:
        """Catch up on the watched sales: what was published while nobody here listened is gone."""
        self._reads = {}
        self._is_subscribed = True
        watched = list(self._rooms)
        missing: list[UUID] = []
        for start in range(0, len(watched), REREAD_CHUNK):
            chunk = watched[start : start + REREAD_CHUNK]
            for sale_id, frame in zip(chunk, await store.latest(chunk), strict=True):
                if frame is not None:
                    self._learn(sale_id, frame)
                else:
                    missing.append(sale_id)
        if missing and self.fallback_read is not None:
            # The store has lost them. Frames are published meanwhile, so nobody waits for the database here.
            self._refill = asyncio.create_task(self._read_all(missing))

    async def _read_all(self, sale_ids: Iterable[UUID]) -> None:
        for sale_id in sale_ids:
            try:
                await self._read_once(sale_id)
            except Busy:
                log.warning("frame_not_reread", sale_id=str(sale_id))

    def _unsubscribed(self) -> None:
        self._is_subscribed = False
        self._unwatched.clear()  # they may go stale unnoticed from now on


def _read_done(reads: dict[UUID, asyncio.Task[Frame | None]], sale_id: UUID, task: asyncio.Task[Frame | None]) -> None:
    del reads[sale_id]
    if not task.cancelled():
        task.exception()  # seen: everybody who waited may have gone


hub = Hub()
