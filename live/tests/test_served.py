"""Sockets and event streams through a real server."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from live import hub as hub_module
from live import sse, store
from live.hub import hub
from live.tests.served import application, served


def until(is_so: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def address(valkey) -> Iterator[str]:
    with served(application()) as address:
        yield address


def open_socket(address: str, sale_id: UUID, **options) -> ClientConnection:
    return connect(f"ws://{address}/ws/sales/{sale_id}/", origin=options.pop("origin", f"http://{address}"), **options)


# sockets


def test_a_socket_shows_frames(address, sale_id, publish):
    publish(1)
    with open_socket(address, sale_id) as viewer:
        assert viewer.recv(timeout=30) == '{"version":1}'
        until(lambda: hub._is_subscribed)
        publish(2)
        assert viewer.recv(timeout=30) == '{"version":2}'

    until(lambda: hub.viewers_count == 0)


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://{}", "http://127.0.0.1:1"])
def test_a_page_of_another_origin_gets_403(address, sale_id, publish, origin):
    publish(1)

    with pytest.raises(InvalidStatus) as refused:
        open_socket(address, sale_id, origin=origin and origin.format(address))

    assert refused.value.response.status_code == 403


def test_an_unknown_sale_is_told_by_a_close_code_that_browsers_see(address, sale_id):
    with open_socket(address, sale_id) as viewer, pytest.raises(ConnectionClosed) as closed:
        viewer.recv(timeout=30)

    assert closed.value.rcvd.code == 4404


@pytest.mark.parametrize(("messages", "code"), [(["x" * 1025], 1009), (["x"] * 6, 1008), ([os.urandom(2000)], 1009)])
def test_a_talkative_viewer_is_closed(address, sale_id, publish, messages, code):
    publish(1)
    with open_socket(address, sale_id) as viewer:
        viewer.recv(timeout=30)
        for message in messages:
            viewer.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            viewer.recv(timeout=30)

    assert closed.value.rcvd.code == code
    until(lambda: hub.viewers_count == 0)


def test_a_viewer_that_does_not_read_holds_up_nobody_and_then_gets_the_newest(address, sale_id):
    filling = b"x" * 100_000  # large frames, so that the kernel's buffers are full soon

    def publish(version: int) -> None:
        store.put(sale_id, version, b'{"version":%d,"filling":"%s"}' % (version, filling))

    publish(1)
    with stalled_viewer(address, sale_id) as stalled, open_socket(address, sale_id, max_queue=None) as other:
        other.recv(timeout=30)
        until(lambda: hub._is_subscribed)
        for version in range(2, 252):
            publish(version)
        until(lambda: hub._known(sale_id).version == 251)

        while b'"version":251,' not in other.recv(timeout=30, decode=False):
            pass
        received = read_until(stalled, b'"version":251,')

    frames_sent = received.count(b'{"version":')
    assert frames_sent < 100  # what the kernel's buffers took, then the newest


def stalled_viewer(address: str, sale_id: UUID) -> socket.socket:
    host, _, port = address.partition(":")
    viewer = socket.socket()
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    viewer.connect((host, int(port)))
    viewer.sendall(
        f"GET /ws/sales/{sale_id}/ HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    until(lambda: hub.viewers_count > 0)
    return viewer


def read_until(viewer: socket.socket, wanted: bytes) -> bytes:
    viewer.settimeout(5)
    received = b""
    while wanted not in received:
        part = viewer.recv(65_536)
        assert part, "the server closed the socket"
        received += part
    return received


# event streams


def test_a_stream_shows_frames_with_their_versions_as_ids(address, sale_id, publish):
    publish(1)
    with httpx.stream("GET", f"http://{address}/live/{sale_id}/", timeout=30) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"
        lines = response.iter_lines()
        name, _, milliseconds = next(lines).partition(": ")
        assert name == "retry"
        assert 2_000 <= int(milliseconds) < 5_000
        assert [next(lines) for _ in range(4)] == ["", "id: 1", 'data: {"version":1}', ""]
        until(lambda: hub._is_subscribed)
        publish(2)
        assert [next(lines) for _ in range(3)] == ["id: 2", 'data: {"version":2}', ""]

    until(lambda: hub.viewers_count == 0)  # it ends when the viewer leaves


def test_a_quiet_stream_has_a_heartbeat(address, sale_id, publish, monkeypatch):
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.05)
    publish(1)
    with httpx.stream("GET", f"http://{address}/live/{sale_id}/", timeout=30) as response:
        lines = response.iter_lines()
        assert [next(lines) for _ in range(9)][5:] == [":", "", ":", ""]


def test_a_stream_that_takes_nothing_is_cut(address, sale_id, monkeypatch):
    monkeypatch.setattr(hub_module, "BUSY_MAX_S", 0.3)
    monkeypatch.setattr(hub_module, "BUSY_LOOK_S", 0.05)
    host, _, port = address.partition(":")
    store.put(sale_id, 1, b'{"version":1}')
    with socket.create_connection((host, int(port))) as viewer:
        viewer.sendall(f"GET /live/{sale_id}/ HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        until(lambda: hub.viewers_count == 1 and hub._is_subscribed)
        for version in range(2, 30):  # more than the kernel takes for a peer that does not read
            store.put(sale_id, version, b'{"version":%d,"filling":"%s"}' % (version, b"x" * 1_000_000))
            time.sleep(0.02)

        until(lambda: hub.viewers_count == 0)


def test_a_stream_of_an_unknown_sale_is_404(address):
    answer = httpx.get(f"http://{address}/live/{uuid4()}/")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_full_process_answers_503(address, sale_id, publish, monkeypatch):
    monkeypatch.setattr(hub_module, "VIEWERS_MAX", 0)
    publish(1)

    answer = httpx.get(f"http://{address}/live/{sale_id}/")

    assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (503, "1", "busy")


def test_a_stream_takes_only_get(address, sale_id):
    answer = httpx.post(f"http://{address}/live/{sale_id}/")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_streams_and_sockets_live_through_the_stores_restart(own_valkey, sale_id, publish):
    publish(1)
    with (
        served(application()) as address,
        open_socket(address, sale_id) as viewer,
        httpx.stream("GET", f"http://{address}/live/{sale_id}/", timeout=30) as response,
    ):
        lines = response.iter_lines()
        assert viewer.recv(timeout=30) == '{"version":1}'
        until(lambda: hub._is_subscribed)
        own_valkey.kill()
        until(lambda: not hub._is_subscribed)
        own_valkey.start()
        publish(2)

        assert viewer.recv(timeout=30) == '{"version":2}'
        while next(lines) != 'data: {"version":2}':
            pass
