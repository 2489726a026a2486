"""The short way and the ASGI way answer the same requests alike, over real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import uvicorn

from core import lean
from core.errors import Busy, Conflict
from core.fastpath import FastHttpProtocol, FastRoute
from core.lean import BODY_MAX, Answer, Headers, Lean, SaleRoute, header, over_asgi


class SoldOut(Conflict):
    code = "sold_out"


@dataclass
class Asked:
    """A command: the body as it came."""

    said: dict[str, Any]
    received_at: datetime = field(default_factory=lambda: datetime(2030, 5, 17, 18, 30, 1, 250_000, UTC))


class Echo:
    """An endpoint that is its own lane: the body says what to answer."""

    def read(self, sale_id: UUID, headers: Headers, body: bytes) -> tuple[Any, Asked]:
        asked = json.loads(body or b"{}")
        if asked.get("refuse") == "early":
            raise SoldOut(units_left=0)
        return self, Asked(asked | {"sale": str(sale_id), "agent": header(headers, b"user-agent")})

    def submit(self, command: Asked, tell: Any, loop: asyncio.AbstractEventLoop) -> None:
        if command.said.get("refuse") == "busy":
            raise Busy
        outcome = SoldOut(units_left=0) if command.said.get("refuse") == "late" else command.said
        threading.Timer(command.said.get("after_s", 0), lambda: loop.call_soon_threadsafe(tell, outcome)).start()

    async def ask(self, command: Asked) -> Any:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self.submit(command, future.set_result, loop)
        outcome = await future
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def write(self, lane: Any, command: Asked, outcome: Any) -> Answer:
        if command.said.get("break"):
            raise RuntimeError("broken on purpose")
        return 201, json.dumps(outcome).encode(), []


ECHO = Echo()
SALE = UUID("0190a6f0-0000-7000-8000-000000000001")


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    route = SaleRoute("/x/", "/orders", Lean(over_asgi(ECHO)), method="POST")
    _match, child = route.matches(scope)
    await route.handle(scope | child, receive, send)


@pytest.fixture(params=["fast", "asgi"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(way: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[uvicorn.Server, int]]:
    routes = [FastRoute("POST", "/x/", "/orders", ECHO)] if way == "fast" else []
    monkeypatch.setattr(FastHttpProtocol, "routes", routes)
    config = uvicorn.Config(application, http=FastHttpProtocol, loop="uvloop", log_level="critical", access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield server, listener.getsockname()[1]
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


@pytest.fixture
def port(server: tuple[uvicorn.Server, int]) -> int:
    return server[1]


def post(body: bytes, *, more: str = "", target: str = f"/x/{SALE}/orders") -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nUser-Agent: t\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


class Peer:
    """A raw client connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], Any]:
        status = int(self.file.readline().split()[1])
        headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self.file.read(int(headers["content-length"]))
        return status, headers, json.loads(body)

    def is_closed(self) -> bool:
        return self.file.read(1) == b""

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def peer(port: int) -> Iterator[Peer]:
    peer = Peer(port)
    yield peer
    peer.close()


def test_an_answer_comes_with_its_headers_and_the_connection_stays(peer: Peer) -> None:
    for number in range(3):
        peer.send(post(b'{"number": %d}' % number))
        status, headers, body = peer.answer()
        assert (status, body) == (201, {"number": number, "sale": str(SALE), "agent": "t"})
        assert headers["content-type"] == "application/json"
        assert headers["x-content-type-options"] == "nosniff"
        assert {"date", "x-request-id"} <= set(headers)


@pytest.mark.parametrize(("refuse", "status"), [("early", 409), ("late", 409), ("busy", 503)])
def test_a_refusal_reads_the_same_wherever_it_is_made(peer: Peer, refuse: str, status: int) -> None:
    peer.send(post(json.dumps({"refuse": refuse}).encode()))

    found, headers, body = peer.answer()

    assert found == status
    assert body["code"] == ("busy" if refuse == "busy" else "sold_out")
    assert ("retry-after" in headers) == (refuse == "busy")
    # What came to a command says when it was received.
    assert headers.get("x-received-at") == (None if refuse == "early" else "2030-05-17T18:30:01.250+00:00")


@pytest.mark.parametrize(
    ("refuse", "counted"), [("early", []), ("late", [(SALE, "sold_out")]), ("busy", [(SALE, "busy")])]
)
def test_what_a_lane_refused_is_told_to_who_counts(
    peer: Peer, refuse: str, counted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what never came to a lane: whoever makes up sales would have a count for each."""
    told: list[Any] = []
    monkeypatch.setattr(lean, "on_refused", lambda sale_id, code: told.append((sale_id, code)))
    peer.send(post(json.dumps({"refuse": refuse}).encode()))

    peer.answer()

    assert told == counted


def test_a_fault_of_ours_is_a_500_without_particulars(peer: Peer) -> None:
    peer.send(post(b'{"break": true}'))

    status, _headers, body = peer.answer()

    assert (status, body["code"]) == (500, "error")
    assert "purpose" not in str(body)


def test_a_body_in_many_pieces_is_read_whole(peer: Peer) -> None:
    for byte in post(b'{"number": 7}'):
        peer.send(bytes([byte]))
        time.sleep(0.001)

    assert peer.answer()[2]["number"] == 7


def test_a_body_over_the_limit_is_refused(peer: Peer) -> None:
    peer.send(post(b" " * (BODY_MAX + 1)))

    assert peer.answer()[0] == 413


def test_pipelined_requests_are_answered_in_their_order(peer: Peer) -> None:
    peer.send(post(b'{"number": 1, "after_s": 0.2}') + post(b'{"number": 2}') + post(b'{"number": 3}'))

    assert [peer.answer()[2]["number"] for _ in range(3)] == [1, 2, 3]


def test_a_client_that_asks_to_close_is_answered_and_closed(peer: Peer) -> None:
    peer.send(post(b"{}", more="Connection: close\r\n"))

    assert peer.answer()[0] == 201
    assert peer.is_closed()


def test_a_client_that_waits_for_100_continue_gets_it(peer: Peer) -> None:
    head, body = post(b'{"number": 9}', more="Expect: 100-continue\r\n").split(b"\r\n\r\n")
    peer.send(head + b"\r\n\r\n")
    assert peer.file.readline() == b"HTTP/1.1 100 Continue\r\n"
    peer.file.readline()
    peer.send(body)

    assert peer.answer()[2]["number"] == 9


def test_a_client_that_leaves_harms_nobody(port: int) -> None:
    gone = Peer(port)
    gone.send(post(b'{"after_s": 0.1}'))
    gone.close()
    time.sleep(0.2)

    peer = Peer(port)
    peer.send(post(b'{"number": 1}'))
    assert peer.answer()[0] == 201
    peer.close()


def test_a_shutdown_lets_a_request_under_way_finish(server: tuple[uvicorn.Server, int]) -> None:
    peer = Peer(server[1])
    peer.send(post(b'{"number": 4, "after_s": 0.5}'))
    time.sleep(0.1)
    server[0].should_exit = True

    status, headers, body = peer.answer()

    assert (status, body["number"]) == (201, 4)
    assert headers["connection"] == "close"
    assert peer.is_closed()
    peer.close()


@pytest.mark.parametrize("target", ["/x/not-a-uuid-not-a-uuid-not-a-uuid-0000/orders", f"/x/{SALE}/orderz"])
def test_a_url_that_is_not_the_routes_is_left_to_the_application(target: str) -> None:
    assert FastRoute("POST", "/x/", "/orders", ECHO).sale_id(b"POST", target.encode()) is None


def test_another_method_is_left_to_the_application(peer: Peer) -> None:
    peer.send(post(b"{}").replace(b"POST", b"GET", 1))

    assert peer.file.readline().split()[1] == b"405"
