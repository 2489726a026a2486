from __future__ import annotations

import os
import threading
import time
from uuid import uuid4

import pytest
import redis
from django.db import connection, connections

from core import metrics
from live import publisher, store
from live.tests.conftest import payload

pytestmark = pytest.mark.usefixtures("valkey")


class Sale:
    """Committed state that grows, and how often it was read."""

    def __init__(self) -> None:
        self.version = 0
        self.reads_at: list[float] = []
        self.gate = threading.Event()  # closed, a read waits
        self.gate.set()
        self.reading = threading.Event()

    def read(self) -> tuple[int, bytes]:
        self.reads_at.append(time.monotonic())
        version = self.version
        self.reading.set()
        self.gate.wait(5)
        return version, payload(version)


@pytest.fixture
def sale():
    return Sale()


def lost() -> float:
    return metrics.FRAMES_LOST._value.get()


def frames_delayed() -> float:
    return sum(sample.value for sample in metrics.FRAME_DELAY.collect()[0].samples if sample.name.endswith("_count"))


def test_a_frame_is_read_stored_and_published(sale_id, sale, valkey):
    sale.version = 4
    delayed = frames_delayed()
    with redis.Redis.from_url(valkey.url).pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(store.CHANNEL)
        channel.get_message(timeout=1)

        publisher.send_soon(sale_id, sale.read)

        assert publisher.flush(timeout_s=5)
        assert store._unpack(channel.get_message(timeout=1)["data"]) == (sale_id, payload(4))
    assert store.latest(sale_id).version == 4
    assert frames_delayed() == delayed + 1


def test_calls_made_while_a_frame_is_on_its_way_become_one_more(sale_id, sale):
    sale.gate.clear()
    publisher.send_soon(sale_id, sale.read)
    assert sale.reading.wait(5)

    for version in range(1, 101):
        sale.version = version
        publisher.send_soon(sale_id, sale.read)
    sale.gate.set()

    assert publisher.flush(timeout_s=5)
    assert len(sale.reads_at) == 2
    assert store.latest(sale_id).version == 100


def test_a_stream_of_calls_is_held_to_the_cap_and_ends_with_the_last_state(sale_id, sale):
    began_at = time.monotonic()
    while time.monotonic() < began_at + 0.5:
        sale.version += 1
        publisher.send_soon(sale_id, sale.read)
        time.sleep(0.001)

    assert publisher.flush(timeout_s=5)
    gaps = [later - earlier for earlier, later in zip(sale.reads_at, sale.reads_at[1:], strict=False)]
    assert min(gaps) >= publisher.INTERVAL_S - 0.001
    assert len(sale.reads_at) > 5
    assert store.latest(sale_id).version == sale.version


def test_sales_do_not_wait_for_each_others_cap(sale):
    ids = [uuid4() for _ in range(20)]
    for sale_id in ids:
        publisher.send_soon(sale_id, sale.read)

    assert publisher.flush(timeout_s=5)
    assert sale.reads_at[-1] - sale.reads_at[0] < 20 * publisher.INTERVAL_S / 2


def test_the_last_state_gets_out_once_the_store_is_back(sale_id, sale, own_valkey):
    own_valkey.kill()
    lost_before = lost()
    sale.version = 1
    publisher.send_soon(sale_id, sale.read)
    assert not publisher.flush(timeout_s=0.3)
    assert lost() > lost_before
    sale.version = 2

    own_valkey.start()

    assert publisher.flush(timeout_s=5)
    assert store.latest(sale_id).version == 2


def test_a_failing_read_is_tried_again_and_does_not_hold_up_other_sales(sale_id, sale):
    failures = 3

    def read() -> tuple[int, bytes]:
        nonlocal failures
        if failures:
            failures -= 1
            raise ValueError("the database is away")
        return sale.read()

    lost_before = lost()
    other_id = uuid4()
    publisher.send_soon(sale_id, read)
    publisher.send_soon(other_id, sale.read)

    assert publisher.flush(timeout_s=5)
    assert lost() == lost_before + 3
    assert store.latest(sale_id) == payload(0)
    assert store.latest(other_id) == payload(0)


def test_a_read_that_always_fails_is_given_up(sale_id, sale, monkeypatch):
    monkeypatch.setattr(publisher, "ATTEMPTS_MAX", 3)
    monkeypatch.setattr(publisher, "BACKOFF_FIRST_S", 0.001)
    attempts = []

    def read() -> tuple[int, bytes]:
        attempts.append(1)
        raise ValueError("there is no such sale")

    publisher.send_soon(sale_id, read)

    assert publisher.flush(timeout_s=5)
    assert len(attempts) == 3
    publisher.send_soon(sale_id, sale.read)  # and a later call starts afresh
    assert publisher.flush(timeout_s=5)
    assert store.latest(sale_id) == payload(0)


def test_a_call_made_during_the_last_attempt_is_owed_another(sale_id, sale, monkeypatch):
    monkeypatch.setattr(publisher, "ATTEMPTS_MAX", 1)
    sale.gate.clear()

    def read() -> tuple[int, bytes]:
        sale.read()
        raise ValueError("the database is away")

    publisher.send_soon(sale_id, read)
    assert sale.reading.wait(5)
    publisher.send_soon(sale_id, sale.read)
    sale.gate.set()

    assert publisher.flush(timeout_s=5)
    assert store.latest(sale_id) == payload(0)


def test_a_process_that_cannot_have_another_thread_goes_on_without(sale_id, sale, monkeypatch):
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    fresh = publisher.Publisher()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        fresh.send_soon(sale_id, sale.read)

    assert not fresh.flush(timeout_s=0)
    fresh.send_soon(sale_id, sale.read)
    assert fresh.flush(timeout_s=5)
    assert store.latest(sale_id) == payload(0)


@pytest.mark.django_db(transaction=True)
def test_an_idle_publisher_holds_no_database_connection(sale_id):
    wrappers = []

    def read() -> tuple[int, bytes]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        wrappers.append(connections["default"])  # the publisher thread's own
        assert wrappers[0].connection is not None
        return 1, payload(1)

    publisher.send_soon(sale_id, read)

    assert publisher.flush(timeout_s=5)
    assert store.latest(sale_id) == payload(1)
    assert wrappers[0].connection is None


def test_a_forked_child_publishes_with_a_thread_of_its_own(sale_id, sale):
    publisher.send_soon(sale_id, sale.read)
    assert publisher.flush(timeout_s=5)
    sale.version = 1

    child = os.fork()
    if child == 0:
        publisher.send_soon(sale_id, sale.read)
        os._exit(0 if publisher.flush(timeout_s=5) else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.latest(sale_id).version == 1
    sale.version = 2  # and the parent's still works
    publisher.send_soon(sale_id, sale.read)
    assert publisher.flush(timeout_s=5)
    assert store.latest(sale_id).version == 2


def test_a_child_forked_in_the_middle_of_a_frame_leaves_that_to_its_parent(sale_id, sale):
    sale.gate.clear()
    publisher.send_soon(sale_id, sale.read)
    assert sale.reading.wait(5)

    child = os.fork()
    if child == 0:
        fresh = Sale()
        fresh.version = 1
        other_id = uuid4()
        publisher.send_soon(other_id, fresh.read)
        os._exit(0 if publisher.flush(timeout_s=5) and store.latest(other_id) == payload(1) else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.latest(sale_id) is None
    sale.gate.set()
    assert publisher.flush(timeout_s=5)
    assert store.latest(sale_id) == payload(0)
