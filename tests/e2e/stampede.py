"""Fans who all want one unit at once, and who do not take silence for an answer."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from tests.e2e.audit import ACCEPTED, Log
from tests.e2e.shop import HANGS_AFTER_S

CONNECTIONS = 64
ANSWER_WITHIN_S = 5.0
PAUSE_S = 0.05  # before the next attempt, half to one and a half of it
GIVE_UP_AFTER_S = HANGS_AFTER_S  # on the fans' side only: what is unresolved then, the audit reports

Fan = dict[str, str]
Blow = Callable[[], Awaitable[None]]


def run_to_the_end(story: Coroutine[Any, Any, None]) -> None:
    """`asyncio.run` on a thread of its own: Playwright, used by tests that ran before, keeps a loop on this one."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, story).result()


class Stampede:
    """Buys one unit for each fan of a drop, over keep-alive connections, and writes everything to `log`."""

    def __init__(self, port: int, sale_id: str, log: Log) -> None:
        self.port = port
        self.path = f"/api/v1/drops/{sale_id}/orders"
        self.log = log
        self.slowest_s = 0.0  # from a fan's first attempt to the final answer
        self.repeats = 0  # answers "you have this order already": an earlier answer was lost after its COMMIT
        self.give_up_at = 0.0

    async def run(self, fans: Sequence[Fan], *, blow: Blow | None = None, after: int = 0) -> None:
        """Until each fan has a final answer or has given up. In between, once `after` fans have one, `blow` is called.

        Connections are new each time, so that they spread over all processes that serve now.
        """
        self.give_up_at = time.monotonic() + GIVE_UP_AFTER_S
        waiting = iter(fans)
        answered = asyncio.Semaphore(0)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(CONNECTIONS, len(fans))):
                group.create_task(self._serve_fans(waiting, answered))
            if blow is not None:
                for _ in range(after):
                    await answered.acquire()
                await blow()

    async def _serve_fans(self, fans: Iterator[Fan], answered: asyncio.Semaphore) -> None:
        connection = Connection(self.port)
        try:
            for fan in fans:
                if await self._buy(connection, fan):
                    answered.release()
        finally:
            connection.close()

    async def _buy(self, connection: Connection, fan: Fan) -> bool:
        """Ask, with the same key, until there is a final answer. False when none came in time."""
        key = str(uuid.uuid4())
        self.log.intent(key, fan["fan_id"])
        began_at = time.monotonic()
        while time.monotonic() < self.give_up_at:
            self.log.attempt(key)
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    status, body = await connection.post(
                        self.path, {"X-Buy-Token": fan["buy_token"], "Idempotency-Key": key}, b'{"quantity": 1}'
                    )
            except (OSError, EOFError, TimeoutError) as error:
                connection.close()
                self.log.lost(key, type(error).__name__)
            else:
                self.log.answer(key, status, body)
                self.repeats += status == HTTPStatus.OK
                if is_final(status):
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began_at)
                    return True
            await asyncio.sleep(PAUSE_S * random.uniform(0.5, 1.5))
        return False


def is_final(status: int) -> bool:
    """Being busy and failing are no answer about the order; everything else is."""
    return status in ACCEPTED or 400 <= status < 500


class Connection:
    """One HTTP/1.1 keep-alive connection, opened at the first request and again after `close`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and JSON. Raises OSError or EOFError when the connection is refused or breaks."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("\r\ncontent-length:")[2].partition("\r\n")[0])
        return int(head[9:12]), json.loads(await reader.readexactly(length))

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
