"""Each sale's newest frame in Valkey or Redis, and the channel that tells every web process of it.

A frame is stored and published in one step and only if its version is higher than the stored one, so publishers may race:
neither the stored frame nor the channel ever goes back. One channel serves all sales, so a process subscribes once.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any
from uuid import UUID

import redis
import redis.asyncio as redis_asyncio
import structlog
from django.conf import settings
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from live.frame import Frame

log = structlog.get_logger(__name__)

CHANNEL = "frames"
KEEP_S = 7 * 24 * 3600  # a sale that is quiet for longer is read from the database
# Valkey's scripts, like JavaScript, count in doubles: above this, two versions could look the same.
VERSION_MAX = 2**53 - 1

CONNECT_S = 1.0
ANSWER_S = 2.0
CONNECTIONS_MAX = 16
# A dead path looks like a quiet channel. After so long without a word we ask, and after so long without an answer we leave.
PING_AFTER_S = 5.0
SILENCE_MAX_S = 12.0

# How a store that is down shows: its own errors, and the socket's.
STORE_ERRORS = (redis.RedisError, OSError)

_HEADER = struct.Struct(">16sQ")  # the sale's id and the version, before the frame's JSON

_PUT_IF_NEWER = """
local stored = redis.call('HGET', KEYS[1], 'version')
if stored and tonumber(stored) >= tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'message', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[2])
return 1
"""


def put(sale_id: UUID, version: int, payload: bytes) -> bool:
    """Store and publish a frame. False, with nothing done, if the stored one is as new; so a repeat does no harm.

    Raises one of STORE_ERRORS.
    """
    assert 0 <= version <= VERSION_MAX, version
    message = _HEADER.pack(sale_id.bytes, version) + payload
    return bool(_put_script(settings.REDIS_URL)(keys=[_key(sale_id)], args=[version, message, KEEP_S, CHANNEL]))


def latest(sale_id: UUID) -> Frame | None:
    """The sale's stored frame. Raises one of STORE_ERRORS."""
    message: Any = _client(settings.REDIS_URL).hget(_key(sale_id), "message")
    return None if message is None else _unpack(message)[1]


class AsyncStore:
    """The store for one event loop. Every method raises one of STORE_ERRORS when the store is down."""

    def __init__(self) -> None:
        # Never more connections than this, whatever is asked for at once: the others wait for one to be free.
        pool = redis_asyncio.BlockingConnectionPool.from_url(
            settings.REDIS_URL,
            max_connections=CONNECTIONS_MAX,
            timeout=ANSWER_S,
            protocol=2,
            socket_connect_timeout=CONNECT_S,
            # No socket_timeout: the client would use asyncio.wait_for, which before Python 3.12 can lose a cancellation, and
            # with it the end of the process. We keep time ourselves.
            socket_timeout=None,
            # No quiet reconnecting below a subscription: whoever listens must learn that it has missed frames.
            retry=AsyncRetry(NoBackoff(), 0),
        )
        self._client: Any = redis_asyncio.Redis.from_pool(pool)

    async def latest(self, sale_ids: Sequence[UUID]) -> list[Frame | None]:
        """The stored frames, in the order of `sale_ids`, in one round trip."""
        async with asyncio.timeout(ANSWER_S), self._client.pipeline(transaction=False) as pipeline:
            for sale_id in sale_ids:
                pipeline.hget(_key(sale_id), "message")
            messages = await pipeline.execute()
        return [None if message is None else _unpack(message)[1] for message in messages]

    @asynccontextmanager
    async def subscribed(self) -> AsyncIterator[AsyncIterator[tuple[UUID, Frame]]]:
        """Every frame published after entering. The iterator ends only by raising."""
        async with self._client.pubsub() as pubsub:
            async with asyncio.timeout(ANSWER_S):
                await pubsub.subscribe(CHANNEL)
                await pubsub.get_message(timeout=None)  # the confirmation
            yield _published(pubsub)

    async def close(self) -> None:
        await self._client.aclose()


async def _published(pubsub: PubSub) -> AsyncIterator[tuple[UUID, Frame]]:
    heard_at = time.monotonic()
    while True:
        # The client's own time limit covers the reading, but not a reconnection that it may start from there.
        async with asyncio.timeout(PING_AFTER_S + ANSWER_S):
            message: Any = await pubsub.get_message(timeout=PING_AFTER_S)
        if message is None:
            if time.monotonic() - heard_at > SILENCE_MAX_S:
                raise redis.TimeoutError("the store has gone silent")
            async with asyncio.timeout(ANSWER_S):
                await pubsub.ping()
            continue
        heard_at = time.monotonic()
        if message["type"] == "message":
            try:
                yield _unpack(message["data"])
            except struct.error:
                log.warning("frame_not_understood", size_bytes=len(message["data"]))


def _unpack(message: bytes) -> tuple[UUID, Frame]:
    sale_bytes, version = _HEADER.unpack_from(message)
    return UUID(bytes=sale_bytes), Frame(version, message[_HEADER.size :])


def _key(sale_id: UUID) -> str:
    return f"frame:{sale_id}"


def client() -> redis.Redis:
    """For what else is kept beside the frames. Every call raises one of STORE_ERRORS when the store is down."""
    return _client(settings.REDIS_URL)


# Keyed by the address, so that a test may point to a server of its own.
@lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        protocol=2,
        socket_connect_timeout=CONNECT_S,
        socket_timeout=ANSWER_S,
        # Once, at once: a connection kept from before the server's restart fails on first use.
        retry=Retry(NoBackoff(), 1),
    )


@lru_cache(maxsize=4)
def _put_script(url: str) -> Any:
    return _client(url).register_script(_PUT_IF_NEWER)


def _forget_clients() -> None:
    # A forked child must not talk on its parent's sockets, nor wait for a lock that a thread of the parent held.
    _client.cache_clear()
    _put_script.cache_clear()


os.register_at_fork(after_in_child=_forget_clients)
