from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import redis

from live import store
from live.tests.conftest import payload

pytestmark = pytest.mark.usefixtures("valkey")


def test_a_higher_version_is_stored(sale_id, publish):
    assert publish(1)
    assert publish(3)

    frame = store.latest(sale_id)
    assert (frame, frame.version) == (payload(3), 3)


@pytest.mark.parametrize("version", [0, 2, 3])
def test_a_version_that_is_not_higher_changes_nothing(sale_id, publish, version):
    publish(3)

    assert not store.put(sale_id, version, b"other")
    assert store.latest(sale_id) == payload(3)


def test_versions_are_compared_as_numbers(sale_id, publish):
    publish(9)

    assert publish(10)
    assert publish(2**53 - 1)
    assert not publish(2**53 - 2)
    assert store.latest(sale_id).version == 2**53 - 1


def test_a_version_too_large_to_compare_is_refused(sale_id):
    with pytest.raises(AssertionError):
        store.put(sale_id, 2**53, b"")


def test_an_unknown_sale_has_no_frame():
    assert store.latest(uuid4()) is None


def test_a_stored_frame_is_kept_for_a_week(sale_id, publish, valkey):
    publish(1)

    assert redis.Redis.from_url(valkey.url).ttl(f"frame:{sale_id}") == 7 * 24 * 3600


def test_racing_publishers_never_take_the_channel_or_the_stored_frame_back(sale_id, publish, valkey):
    versions = random.Random(7).sample(range(1, 401), 400)
    with redis.Redis.from_url(valkey.url).pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(store.CHANNEL)
        channel.get_message(timeout=1)  # the subscription's confirmation

        with ThreadPoolExecutor(8) as threads:
            stored = list(threads.map(publish, versions))

        published = [store._unpack(channel.get_message(timeout=1)["data"])[1].version for _ in range(sum(stored))]
        assert channel.get_message(timeout=0.05) is None
    assert published == sorted(set(published))
    assert published[-1] == store.latest(sale_id).version == 400


def test_put_works_again_after_the_store_was_killed(own_valkey, sale_id, publish):
    publish(1)
    own_valkey.kill()
    with pytest.raises(store.STORE_ERRORS):
        publish(2)

    own_valkey.start()

    assert publish(2)
    assert store.latest(sale_id).version == 2


@pytest.mark.anyio
async def test_the_async_store_reads_many_frames_in_their_order(publish, sale_id):
    publish(5)
    frames = store.AsyncStore()

    assert await frames.latest([uuid4(), sale_id]) == [None, payload(5)]
    await frames.close()


@pytest.mark.anyio
async def test_a_message_that_is_no_frame_is_passed_over(publish, sale_id, valkey):
    frames = store.AsyncStore()
    async with frames.subscribed() as published:
        redis.Redis.from_url(valkey.url).publish(store.CHANNEL, b"nonsense")
        publish(1)

        assert await anext(published) == (sale_id, payload(1))
    await frames.close()


@pytest.mark.anyio
async def test_a_silent_store_is_noticed(valkey, monkeypatch):
    monkeypatch.setattr(store, "PING_AFTER_S", 0.02)
    monkeypatch.setattr(store, "SILENCE_MAX_S", 0.3)
    frames = store.AsyncStore()
    async with frames.subscribed() as published:
        # Paused clients get no answers, not even to a ping, though their connections live.
        redis.Redis.from_url(valkey.url).client_pause(1_000)

        with pytest.raises(redis.TimeoutError, match="gone silent"):
            await asyncio.wait_for(anext(published), 3)
    redis.Redis.from_url(valkey.url).client_unpause()
    await frames.close()


@pytest.mark.anyio
async def test_a_quiet_store_is_not_taken_for_a_dead_one(publish, sale_id, monkeypatch):
    monkeypatch.setattr(store, "PING_AFTER_S", 0.05)
    monkeypatch.setattr(store, "SILENCE_MAX_S", 1.0)
    frames = store.AsyncStore()
    async with frames.subscribed() as published:
        coming = asyncio.ensure_future(anext(published))
        await asyncio.sleep(1.5)
        publish(1)

        assert await coming == (sale_id, payload(1))
    await frames.close()
