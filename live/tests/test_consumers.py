from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator

from live import hub as hub_module
from live.routing import websocket_urlpatterns
from live.tests.test_hub import until

pytestmark = pytest.mark.anyio


def socket_for(sale_id: UUID) -> WebsocketCommunicator:
    return WebsocketCommunicator(URLRouter(websocket_urlpatterns), f"/ws/sales/{sale_id}/")


@asynccontextmanager
async def connected(sale_id: UUID):
    socket = socket_for(sale_id)
    accepted, _ = await socket.connect()
    assert accepted
    yield socket
    await socket.disconnect()


async def close_code(socket: WebsocketCommunicator) -> int:
    message = await socket.receive_output(timeout=30)
    assert message["type"] == "websocket.close", message
    return message["code"]


async def test_the_first_frame_comes_at_once_and_then_each_newer_one(hub, sale_id, publish):
    publish(1)
    async with connected(sale_id) as socket:
        assert await socket.receive_from() == '{"version":1}'
        await until(lambda: hub._is_subscribed)

        publish(2)

        assert await socket.receive_from() == '{"version":2}'
        assert await socket.receive_nothing(0.05)


async def test_a_socket_for_a_sale_that_does_not_exist_is_closed_with_4404(hub, sale_id):
    socket = socket_for(sale_id)
    assert (await socket.connect())[0]

    assert await close_code(socket) == 4404


async def test_when_nobody_can_tell_whether_the_sale_exists_the_viewer_is_to_come_again(hub, own_valkey, sale_id):
    own_valkey.kill()
    socket = socket_for(sale_id)
    assert (await socket.connect())[0]

    assert await close_code(socket) == 1013


async def test_a_full_process_sends_viewers_elsewhere(hub, sale_id, publish, monkeypatch):
    monkeypatch.setattr(hub_module, "VIEWERS_MAX", 1)
    publish(1)
    async with connected(sale_id) as first:
        await first.receive_from()
        second = socket_for(sale_id)
        await second.connect()

        assert await close_code(second) == 1013
        assert await first.receive_nothing(0.05)


async def test_a_few_short_messages_are_ignored(hub, sale_id, publish):
    publish(1)
    async with connected(sale_id) as socket:
        await socket.receive_from()
        await until(lambda: hub._is_subscribed)
        for _ in range(5):
            await socket.send_to(text_data="x" * 1024)

        publish(2)

        assert await socket.receive_from() == '{"version":2}'


async def test_one_message_more_closes_the_socket(hub, sale_id, publish):
    publish(1)
    async with connected(sale_id) as socket:
        await socket.receive_from()
        for _ in range(6):
            await socket.send_to(text_data="x")

        assert await close_code(socket) == 1008
        await socket.send_to(text_data="x")  # what was on its way is ignored
        publish(2)
        assert await socket.receive_nothing(0.05)


@pytest.mark.parametrize("message", [{"text_data": "x" * 1025}, {"text_data": "é" * 513}, {"bytes_data": b"x" * 1025}])
async def test_a_long_message_closes_the_socket(hub, sale_id, publish, message):
    publish(1)
    async with connected(sale_id) as socket:
        await socket.receive_from()
        await socket.send_to(**message)

        assert await close_code(socket) == 1009


async def test_a_viewer_who_leaves_is_forgotten(hub, sale_id, publish):
    publish(1)
    async with connected(sale_id) as socket:
        await socket.receive_from()
        assert hub.viewers_count == 1

    assert hub.viewers_count == 0


class SlowServer:
    """A server whose connection takes nothing while `gate` is closed, as one does whose peer does not read."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.incoming: asyncio.Queue = asyncio.Queue()

    async def send(self, message) -> None:
        await self.gate.wait()
        self.sent.append(message.get("text", message["type"]))

    def serve(self, sale_id: UUID) -> asyncio.Task[None]:
        self.incoming.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": f"/ws/sales/{sale_id}/", "headers": []}
        return asyncio.ensure_future(URLRouter(websocket_urlpatterns)(scope, self.incoming.get, self.send))


async def test_a_stalled_socket_gets_the_newest_of_250_frames(hub, sale_id, publish):
    publish(1)
    server = SlowServer()
    serving = server.serve(sale_id)
    await until(lambda: '{"version":1}' in server.sent)
    await until(lambda: hub._is_subscribed)
    server.gate.clear()

    for version in range(2, 252):
        publish(version)
    await until(lambda: hub._known(sale_id).version == 251)
    server.gate.set()

    await until(lambda: server.sent[-1] == '{"version":251}', within_s=30)
    assert len(server.sent) <= 4  # the accept, the first frame, the one that was stuck, the newest
    server.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})
    await serving


async def test_a_socket_that_takes_nothing_is_cut(hub, sale_id, publish, monkeypatch):
    monkeypatch.setattr(hub_module, "BUSY_MAX_S", 0.1)
    monkeypatch.setattr(hub_module, "BUSY_LOOK_S", 0.05)
    publish(1)
    server = SlowServer()
    serving = server.serve(sale_id)
    await until(lambda: '{"version":1}' in server.sent)
    await until(lambda: hub._is_subscribed)
    server.gate.clear()
    publish(2)

    await asyncio.wait_for(serving, 2)  # ends by itself, without an error

    assert hub.viewers_count == 0


async def test_a_server_that_ends_the_socket_leaves_no_task_behind(hub, sale_id, publish):
    publish(1)
    server = SlowServer()
    serving = server.serve(sale_id)
    await until(lambda: '{"version":1}' in server.sent)

    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving

    assert hub.viewers_count == 0


@pytest.mark.parametrize("path", ["/ws/sales/1/", "/", "/nowhere"])
async def test_a_socket_to_an_address_that_there_is_not_is_closed_quietly(path):
    socket = WebsocketCommunicator(URLRouter(websocket_urlpatterns), path)
    assert await socket.connect() == (False, 1000)
