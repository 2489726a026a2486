from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
import redis

from core.errors import Busy
from live import hub as hub_module
from live import store
from live.hub import Hub
from live.tests.conftest import payload
from live.viewers import Who, mark_of, who_is

ME = Who("192.0.2.1", is_fan=False)

pytestmark = pytest.mark.anyio


async def until(is_so: Callable[[], bool], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110 what is waited for has no event
            await asyncio.sleep(0.005)


async def subscribed(hub: Hub) -> None:
    hub._ensure_listening()
    await until(lambda: hub._is_subscribed)


async def in_thread(call: Callable[..., object], *arguments: object) -> None:
    await asyncio.get_running_loop().run_in_executor(None, call, *arguments)


class Database:
    """What `fallback_read` reads: sales' versions, and how often it was asked."""

    def __init__(self) -> None:
        self.versions: dict[UUID, int] = {}
        self.is_up = True
        self.reads = 0

    async def read(self, sale_id: UUID) -> bytes | None:
        self.reads += 1
        await asyncio.sleep(0.01)
        if not self.is_up:
            raise ConnectionError("the database is away")
        version = self.versions.get(sale_id)
        return None if version is None else payload(version)


@pytest.fixture
def database(hub: Hub) -> Database:
    database = Database()
    hub.fallback_read = database.read
    return database


@pytest.fixture
def away(monkeypatch):
    """Makes the hub stay away for a moment after each loss, so that something can be missed for certain."""
    monkeypatch.setattr(hub_module.random, "uniform", lambda _low, _high: 0.2)


# latest


async def test_the_stored_frame_is_found(hub, sale_id, publish):
    publish(3)

    frame = await hub.latest(sale_id)

    assert (frame, frame.version) == (payload(3), 3)


async def test_a_sale_without_a_frame_anywhere_is_unknown(hub, database):
    assert await hub.latest(uuid4()) is None


async def test_a_sale_without_a_stored_frame_is_read_from_the_database(hub, database, sale_id):
    database.versions[sale_id] = 7

    assert (await hub.latest(sale_id)).version == 7


async def test_while_subscribed_memory_answers(hub, database, sale_id, publish):
    await subscribed(hub)
    publish(1)
    await until(lambda: hub._known(sale_id) is not None)
    store._client(store.settings.REDIS_URL).delete(f"frame:{sale_id}")

    assert (await hub.latest(sale_id)).version == 1
    assert database.reads == 0


async def test_a_thousand_arrivals_at_once_ask_the_database_once(hub, database, sale_id):
    database.versions[sale_id] = 1

    frames = await asyncio.gather(*[hub.latest(sale_id) for _ in range(1_000)])

    assert {frame.version for frame in frames} == {1}
    assert database.reads == 1


async def test_one_who_gives_up_waiting_does_not_take_the_others_answer_away(hub, database, sale_id):
    database.versions[sale_id] = 1
    first, second = asyncio.ensure_future(hub.latest(sale_id)), asyncio.ensure_future(hub.latest(sale_id))
    await asyncio.sleep(0)
    first.cancel()

    assert (await second).version == 1


async def test_many_unknown_sales_are_read_a_few_at_a_time(hub):
    running = most = 0

    async def read(sale_id: UUID) -> bytes | None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1
        return None

    hub.fallback_read = read

    await asyncio.gather(*[hub.latest(uuid4()) for _ in range(100)])

    assert most == hub_module.FALLBACKS_MAX


async def test_when_nobody_can_tell_the_answer_is_busy_and_not_unknown(hub, database, own_valkey, sale_id):
    own_valkey.kill()
    database.is_up = False

    with pytest.raises(Busy):
        await hub.latest(sale_id)


async def test_without_a_fallback_a_store_that_is_down_means_busy(hub, own_valkey, sale_id):
    own_valkey.kill()

    with pytest.raises(Busy):
        await hub.latest(sale_id)


async def test_frames_of_unwatched_sales_are_kept_up_to_a_bound(hub, monkeypatch):
    monkeypatch.setattr(hub_module, "UNWATCHED_MAX", 3)
    await subscribed(hub)
    ids = [uuid4() for _ in range(5)]

    for sale_id in ids:
        store.put(sale_id, 1, payload(1))
    await until(lambda: hub._known(ids[-1]) is not None)

    assert list(hub._unwatched) == ids[-3:]


# watching


async def test_a_viewer_gets_the_frame_there_is_and_then_each_newer_one(hub, sale_id, publish):
    publish(1)
    async with hub.watch(sale_id, ME) as viewer:
        await hub.latest(sale_id)
        assert await viewer.next_frame() == payload(1)
        await subscribed(hub)

        publish(2)

        assert await viewer.next_frame() == payload(2)


async def test_a_stalled_viewer_misses_250_frames_and_gets_the_newest(hub, sale_id, publish):
    async with hub.watch(sale_id, ME) as viewer:
        await subscribed(hub)
        publish(1)
        assert (await viewer.next_frame()).version == 1

        for version in range(2, 252):
            publish(version)
        await until(lambda: hub._known(sale_id).version == 251, within_s=30)

        assert (await viewer.next_frame()).version == 251
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await viewer.next_frame()


async def test_all_viewers_are_given_the_same_encoded_frame(hub, sale_id, publish):
    async with hub.watch(sale_id, ME) as one, hub.watch(sale_id, ME) as other:
        await subscribed(hub)
        publish(1)

        first, second = await one.next_frame(), await other.next_frame()

    assert first is second
    assert first.text is second.text
    assert first.event == b'id: 1\ndata: {"version":1}\n\n'


async def test_a_viewer_of_one_sale_hears_nothing_of_another(hub, sale_id, publish):
    async with hub.watch(uuid4(), ME) as viewer:
        await subscribed(hub)
        publish(1)
        await until(lambda: hub._known(sale_id) is not None)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await viewer.next_frame()


async def test_versions_never_go_down_while_two_publishers_race(hub, sale_id, publish):
    seen: list[int] = []

    async def look() -> None:
        async with hub.watch(sale_id, ME) as viewer:
            while not seen or seen[-1] < 400:
                seen.append((await viewer.next_frame()).version)

    await subscribed(hub)
    looking = asyncio.ensure_future(look())
    versions = [random.Random(seed).sample(range(1, 401), 400) for seed in (1, 2)]

    def publish_all(mine: list[int]) -> None:
        for version in mine:
            publish(version)

    await asyncio.gather(*[in_thread(publish_all, mine) for mine in versions])

    await asyncio.wait_for(looking, 5)
    assert seen == sorted(set(seen))


async def test_a_read_that_is_overtaken_by_a_frame_does_not_take_viewers_back(hub, sale_id, publish):
    late = asyncio.Event()

    async def read(_sale_id: UUID) -> bytes:
        await late.wait()
        return payload(1)

    hub.fallback_read = read
    async with hub.watch(sale_id, ME) as viewer:
        await subscribed(hub)
        reading = asyncio.ensure_future(hub.latest(sale_id))
        await asyncio.sleep(0.05)
        publish(2)
        assert (await viewer.next_frame()).version == 2
        late.set()

        assert (await reading).version == 2
        assert (await hub.latest(sale_id)).version == 2


async def test_more_viewers_than_a_process_can_bear_are_turned_away(hub, sale_id, monkeypatch):
    monkeypatch.setattr(hub_module, "VIEWERS_MAX", 1)
    async with hub.watch(sale_id, ME):
        with pytest.raises(Busy):
            async with hub.watch(sale_id, ME):
                pass
        assert hub.viewers_count == 1

    assert hub.viewers_count == 0
    async with hub.watch(sale_id, ME):
        assert hub.viewers_count == 1


async def test_one_address_cannot_shut_the_others_out(hub, sale_id, settings):
    settings.VIEWERS_PER_ADDRESS_MAX = 1
    async with hub.watch(sale_id, ME):
        with pytest.raises(Busy):
            async with hub.watch(sale_id, ME):
                pass
        async with hub.watch(sale_id, Who("192.0.2.2", is_fan=False)):
            assert hub.viewers_count == 2


async def test_where_strangers_have_taken_theirs_fans_find_room(hub, sale_id, monkeypatch):
    monkeypatch.setattr(hub_module, "VIEWERS_MAX", 3)
    monkeypatch.setattr(hub_module, "STRANGERS_PERCENT", 33)
    async with hub.watch(sale_id, ME):
        with pytest.raises(Busy):
            async with hub.watch(sale_id, Who("192.0.2.2", is_fan=False)):
                pass
        async with hub.watch(sale_id, Who("fan", is_fan=True)):
            assert hub.viewers_count == 2


@pytest.mark.parametrize("proxies", [0, 1])
def test_a_viewer_is_a_fan_by_our_mark_and_else_an_address_that_they_cannot_choose(settings, proxies):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    fan_id = UUID(int=7)
    scope = {"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", b"6.6.6.6, 192.0.2.9")]}

    assert who_is(scope | {"query_string": f"viewer={mark_of(fan_id)}".encode()}) == Who(fan_id.hex, is_fan=True)
    for query in (b"", b"viewer=" + fan_id.hex.encode(), b"viewer=%ff"):
        name = "192.0.2.9" if proxies else "10.0.0.1"
        assert who_is(scope | {"query_string": query}) == Who(name, is_fan=False)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(hub_module, "BUSY_MAX_S", 0.1)
    monkeypatch.setattr(hub_module, "BUSY_LOOK_S", 0.05)


async def test_a_viewer_that_is_stuck_with_a_frame_is_cut(hub, impatient, sale_id, publish):
    async def watch() -> None:
        async with hub.watch(sale_id, ME) as viewer:
            await hub.latest(sale_id)
            await viewer.next_frame()
            await asyncio.sleep(10)

    publish(1)
    with pytest.raises(TimeoutError):
        await watch()

    assert hub.viewers_count == 0
    await asyncio.sleep(0)  # the task goes on as if nothing had been cancelled
    assert asyncio.current_task().cancelling() == 0


async def test_a_viewer_that_waits_for_a_frame_is_not_cut(hub, impatient, sale_id, publish):
    publish(1)
    async with hub.watch(sale_id, ME) as viewer:
        await hub.latest(sale_id)
        await viewer.next_frame()

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await viewer.next_frame()
        publish(2)
        assert (await asyncio.wait_for(viewer.next_frame(), 2)).version == 2


async def test_a_task_that_is_cancelled_while_it_watches_ends_as_cancelled(hub, sale_id):
    async def watch() -> None:
        async with hub.watch(sale_id, ME) as viewer:
            await viewer.next_frame()

    watching = asyncio.ensure_future(watch())
    await until(lambda: hub.viewers_count == 1)
    watching.cancel()

    with pytest.raises(asyncio.CancelledError):
        await watching
    assert hub.viewers_count == 0


async def test_a_sale_that_nobody_watches_any_more_stays_known(hub, sale_id, publish):
    async with hub.watch(sale_id, ME) as viewer:
        await subscribed(hub)
        publish(1)
        await viewer.next_frame()

    assert hub._rooms == {}
    assert hub._known(sale_id).version == 1


# the store's failures


async def test_viewers_outlive_the_store_and_catch_up_with_what_they_missed(hub, away, own_valkey, sale_id, publish):
    async with hub.watch(sale_id, ME) as viewer:
        await subscribed(hub)
        publish(1)
        assert (await viewer.next_frame()).version == 1
        waiting = asyncio.ensure_future(viewer.next_frame())

        await in_thread(own_valkey.kill)
        await until(lambda: not hub._is_subscribed)
        await in_thread(own_valkey.start)
        publish(2)

        assert (await asyncio.wait_for(waiting, 10)).version == 2
        await until(lambda: hub._is_subscribed)
        publish(3)
        assert (await asyncio.wait_for(viewer.next_frame(), 5)).version == 3


async def test_a_store_that_comes_back_empty_is_made_up_for_by_the_database(
    hub, database, own_valkey, sale_id, publish
):
    async with hub.watch(sale_id, ME) as viewer:
        await subscribed(hub)
        publish(1)
        await viewer.next_frame()
        database.versions[sale_id] = 2

        await in_thread(own_valkey.kill)
        for file in (own_valkey.folder / "appendonlydir").iterdir():
            file.unlink()
        await in_thread(own_valkey.start)

        assert (await asyncio.wait_for(viewer.next_frame(), 10)).version == 2


@pytest.mark.parametrize("is_watched", [False, True])
async def test_while_the_store_is_down_the_database_answers(hub, database, own_valkey, sale_id, publish, is_watched):
    async with hub.watch(sale_id if is_watched else uuid4(), ME):
        await subscribed(hub)
        publish(1)
        await until(lambda: hub._known(sale_id) is not None)
        database.versions[sale_id] = 2

        await in_thread(own_valkey.kill)
        await until(lambda: not hub._is_subscribed)

        assert (await hub.latest(sale_id)).version == 2  # not the 1 it remembered
        database.versions[sale_id] = 3
        assert (await hub.latest(sale_id)).version == 3


async def test_a_store_that_hangs_is_left_and_found_again(hub, database, own_valkey, sale_id, publish, monkeypatch):
    monkeypatch.setattr(store, "PING_AFTER_S", 0.1)
    monkeypatch.setattr(store, "ANSWER_S", 0.3)
    monkeypatch.setattr(store, "SILENCE_MAX_S", 0.5)
    database.versions[sale_id] = 2
    async with hub.watch(sale_id, ME) as viewer:
        await subscribed(hub)
        publish(1)
        assert (await viewer.next_frame()).version == 1

        own_valkey.process.send_signal(signal.SIGSTOP)  # connections stay, and new ones are even accepted
        try:
            await until(lambda: not hub._is_subscribed)
            assert (await hub.latest(sale_id)).version == 2
        finally:
            own_valkey.process.send_signal(signal.SIGCONT)

        await until(lambda: hub._is_subscribed)
        publish(3)
        assert (await viewer.next_frame()).version == 2
        assert (await asyncio.wait_for(viewer.next_frame(), 5)).version == 3


async def test_while_nobody_can_tell_a_watched_sale_shows_what_was_known(hub, own_valkey, sale_id, publish):
    async with hub.watch(sale_id, ME):
        await subscribed(hub)
        publish(1)
        await until(lambda: hub._known(sale_id) is not None)

        await in_thread(own_valkey.kill)
        await until(lambda: not hub._is_subscribed)

        assert (await hub.latest(sale_id)).version == 1


async def test_what_was_missed_of_a_sale_that_nobody_watches_is_not_answered_from_memory(
    hub, away, sale_id, publish, valkey
):
    await subscribed(hub)
    publish(1)
    await until(lambda: hub._known(sale_id) is not None)

    redis.Redis.from_url(valkey.url).client_kill_filter(_type="pubsub")
    publish(2)
    await until(lambda: not hub._is_subscribed)
    await subscribed(hub)

    assert (await hub.latest(sale_id)).version == 2


@pytest.mark.parametrize("old_read_ends", ["before the new one", "after the new one"])
async def test_a_read_from_before_a_subscription_says_nothing_after_it(
    hub, away, sale_id, publish, valkey, old_read_ends
):
    old_read_may_end = asyncio.Event()
    reads = 0

    async def read(_sale_id: UUID) -> bytes:
        nonlocal reads
        reads += 1
        if reads == 1:
            await old_read_may_end.wait()
            return payload(1)
        return payload(2)

    hub.fallback_read = read
    await subscribed(hub)
    old = asyncio.ensure_future(hub.latest(sale_id))
    await until(lambda: reads == 1)
    redis.Redis.from_url(valkey.url).client_kill_filter(_type="pubsub")
    await until(lambda: not hub._is_subscribed)
    await subscribed(hub)

    if old_read_ends == "before the new one":
        old_read_may_end.set()
        assert (await old).version == 1
    assert (await asyncio.wait_for(hub.latest(sale_id), 2)).version == 2
    old_read_may_end.set()
    await old
    assert (await hub.latest(sale_id)).version == 2


async def test_a_hub_cut_off_again_and_again_keeps_one_subscription(hub, away, sale_id, publish, valkey):
    admin = redis.Redis.from_url(valkey.url)
    async with hub.watch(sale_id, ME) as viewer:
        for version in range(1, 6):
            await subscribed(hub)
            admin.client_kill_filter(_type="pubsub")
            publish(version)
            assert (await asyncio.wait_for(viewer.next_frame(), 5)).version == version

    await subscribed(hub)
    assert admin.pubsub_numsub(store.CHANNEL) == [(b"frames", 1)]


# its life


async def test_close_ends_the_subscription_and_the_hub_can_be_used_again(hub, sale_id, publish, valkey):
    admin = redis.Redis.from_url(valkey.url)
    await subscribed(hub)

    await hub.close()

    await until(lambda: admin.pubsub_numsub(store.CHANNEL) == [(b"frames", 0)])
    publish(1)
    assert (await hub.latest(sale_id)).version == 1
    await hub.close()
    await hub.close()


def test_it_starts_on_whatever_loop_is_running(valkey, sale_id, publish):
    hub = Hub()

    async def look(version: int) -> None:
        async with hub.watch(sale_id, ME) as viewer:
            publish(version)
            await hub.latest(sale_id)
            assert (await viewer.next_frame()).version == version

    asyncio.run(look(1))
    asyncio.run(look(2))  # without a close between them, as in a test-suite
