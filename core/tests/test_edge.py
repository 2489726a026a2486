"""What must not get past the edge, by raw sockets: smuggled requests, endless heads and bodies, slow senders."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from core.edge import BODY_BYTES_MAX, HEAD_BYTES_MAX, GuardedHttpProtocol
from core.fastpath import FastHttpProtocol

ROOT = Path(__file__).parents[2]
INNER = b"GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the path that was asked for, once it has read the body."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    while (await receive()).get("more_body"):
        pass
    body = scope["path"].encode() + b"\r\n"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """One server for all, whose limits for slow senders are a second."""
    config = uvicorn.Config(application, http=FastHttpProtocol, loop="uvloop", log_level="critical", access_log=False)
    server = uvicorn.Server(config)
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listener:
        patch.setattr(GuardedHttpProtocol, "head_s", 1.0)
        patch.setattr(GuardedHttpProtocol, "body_s", 1.0)
        patch.setattr(GuardedHttpProtocol, "allows_host", staticmethod(lambda host: host == b"x"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


class Peer:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)

    def send(self, *parts: bytes) -> None:
        """Each part in a packet of its own, as far as a socket lets one say that."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            try:
                self.socket.sendall(part)
            except OSError:
                return  # it has closed
            time.sleep(0.02)

    def everything(self) -> bytes:
        """All that comes until the server closes."""
        found = b""
        while True:
            try:
                part = self.socket.recv(65536)
            except ConnectionError:
                self.socket.close()
                return found
            if not part:
                self.socket.close()
                return found
            found += part


def statuses(answer: bytes) -> list[int]:
    return [int(line.split(b" ")[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def head(method: str, *lines: str, path: str = "/outer") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


LENGTH = f"Content-Length: {len(INNER)}"
SMUGGLED = {
    "h2c": head("POST", "Connection: Upgrade", "Upgrade: h2c", LENGTH),
    "an unknown upgrade": head("POST", "Connection: Upgrade", "Upgrade: foo", LENGTH),
    "chunked": head("POST", "Connection: Upgrade", "Upgrade: h2c", "Transfer-Encoding: chunked"),
    "websocket by POST": head("POST", "Connection: Upgrade", "Upgrade: websocket", LENGTH),
    "websocket with a body": head("GET", "Connection: Upgrade", "Upgrade: websocket", LENGTH),
    "websocket among others": head("GET", "Connection: Upgrade", "Upgrade: websocket, h2c"),
    "upgrade without a body": head("GET", "Connection: Upgrade", "Upgrade: h2c"),
    "CONNECT": head("CONNECT", path="x:80"),
    "both lengths": head("POST", LENGTH, "Transfer-Encoding: chunked"),
    "two lengths": head("POST", LENGTH, "Content-Length: 0"),
    "an encoding that hides": head("POST", "Transfer-Encoding: xchunked", LENGTH),
    "a length that is none": head("POST", "Content-Length: +5"),
    "two hosts": head("GET", "Host: x"),
    "another host": b"GET /outer HTTP/1.1\r\nHost: evil\r\n\r\n",
    "no host": b"GET /outer HTTP/1.1\r\n\r\n",
    "a head that is folded": head("GET", "A: b", " c"),
}


@pytest.mark.parametrize("name", SMUGGLED)
@pytest.mark.parametrize("together", [True, False], ids=["in one packet", "in two"])
def test_what_is_refused_ends_its_connection_and_smuggles_nothing(port: int, name: str, together: bool) -> None:
    peer = Peer(port)
    peer.send(*([SMUGGLED[name] + INNER] if together else [SMUGGLED[name], INNER]))

    answer = peer.everything()

    assert statuses(answer) == [400]
    assert b"/inner" not in answer
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["code"] in ("upgrade_not_offered", "bad_host", "bad_request")


def test_a_site_behind_https_takes_no_order_that_came_without_it(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedHttpProtocol, "https_only", True)

    def ask(method: str, *lines: str) -> list[int]:
        peer = Peer(port)
        peer.send(head(method, "Content-Length: 0", "Connection: close", *lines))
        return statuses(peer.everything())

    assert ask("POST") == ask("POST", "X-Forwarded-Proto: http") == [400]
    assert ask("POST", "X-Forwarded-Proto: https") == ask("GET") == [200]


def test_a_proper_handshake_is_let_through(port: int) -> None:
    peer = Peer(port)
    peer.send(
        head(
            "GET", "Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
    )  # fmt: skip
    assert peer.socket.recv(65536).startswith(b"HTTP/1.1 101 ")


def test_an_address_is_only_counted_while_it_is_connected(port: int) -> None:
    peer = Peer(port)
    peer.send(head("GET"))
    assert statuses(peer.socket.recv(65536)) == [200]
    peer.socket.close()
    deadline = time.monotonic() + 20
    while GuardedHttpProtocol._by_address and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not GuardedHttpProtocol._by_address


def test_usual_requests_are_answered_in_their_order(port: int) -> None:
    peer = Peer(port)
    peer.send(
        head("POST", "Content-Length: 5", path="/one") + b"hello" + head("GET", path="/two"),
        head("POST", "Transfer-Encoding: chunked", "Connection: close", path="/three"), b"3\r\nabc\r\n", b"0\r\n\r\n",
    )  # fmt: skip
    answer = peer.everything()
    assert statuses(answer) == [200, 200, 200]
    assert answer.index(b"/one") < answer.index(b"/two") < answer.index(b"/three")


FLOODS = {
    "a header's value": (431, [head("GET")[:-2] + b"A: ", *[b"a" * 16_384] * 40]),
    "a header's name": (431, [head("GET")[:-2], *[b"a" * 16_384] * 40]),
    "many lines": (431, [head("GET")[:-2], *[b"A: b\r\n" * 2_000] * 60]),
    "an address": (431, [b"GET /", *[b"a" * 16_384] * 40]),
    "a whole head in one packet": (431, [head("GET", "A: " + "a" * (HEAD_BYTES_MAX + 10))]),
    "a length": (413, [head("POST", f"Content-Length: {BODY_BYTES_MAX + 1}")]),
    "a body in chunks": (
        413,
        [head("POST", "Transfer-Encoding: chunked"), *[b"8000\r\n" + b"a" * 0x8000 + b"\r\n"] * 40],
    ),
}


@pytest.mark.parametrize("name", FLOODS)
def test_what_is_too_large_is_refused_before_it_is_all_here(port: int, name: str) -> None:
    status, parts = FLOODS[name]
    peer = Peer(port)
    answers: list[bytes] = []
    reader = threading.Thread(target=lambda: answers.append(peer.everything()))
    reader.start()
    for part in parts:
        try:
            peer.socket.sendall(part)
        except OSError:
            break
    reader.join(timeout=20)

    assert statuses(answers[0]) in ([status], [])  # a sender that goes on may lose the answer
    ahead = Peer(port)
    ahead.send(head("GET"))
    assert statuses(ahead.socket.recv(65536)) == [200]


def test_as_large_as_may_be_is_answered(port: int) -> None:
    peer = Peer(port)
    peer.socket.sendall(
        head("POST", "A: " + "a" * 60_000, f"Content-Length: {BODY_BYTES_MAX}", "Connection: close")
        + b"a" * BODY_BYTES_MAX
    )
    assert statuses(peer.everything()) == [200]


def test_nothing_behind_a_refused_body_is_carried_out(port: int) -> None:
    peer = Peer(port)
    peer.send(head("POST", f"Content-Length: {BODY_BYTES_MAX + 1}") + INNER)
    answer = peer.everything()
    assert statuses(answer) == [413]
    assert b"/inner" not in answer


SLOW = {
    "nothing": (b"", []),
    "half a head": (b"GET / HTTP/1.1\r\nHo", [408]),
    "a head without its body": (head("POST", "Content-Length: 5"), [408]),
    "half a body": (head("POST", "Content-Length: 5") + b"ab", [408]),
}


@pytest.mark.parametrize("name", SLOW)
def test_who_is_too_slow_is_let_go_however_they_trickle(port: int, name: str) -> None:
    sent, expected = SLOW[name]
    peer = Peer(port)
    if sent:
        peer.send(sent)
    is_over = threading.Event()

    def trickle() -> None:
        while sent.startswith(b"GET") and not is_over.wait(0.2):
            peer.send(b"x")

    thread = threading.Thread(target=trickle)
    thread.start()
    answer = peer.everything()
    is_over.set()
    thread.join()

    assert statuses(answer) == expected


def test_who_opens_too_many_is_told_to_come_back(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedHttpProtocol, "connections_per_address_max", 2)
    peers = [Peer(port) for _ in range(2)]
    for peer in peers:
        peer.send(head("GET"))
        assert statuses(peer.socket.recv(65536)) == [200]
    one_more = Peer(port)
    answer = one_more.everything()
    assert statuses(answer) == [503]
    assert b"retry-after: " in answer


# Behind the proxy as it is deployed: it shares its connections to us among its clients


CADDY = shutil.which("caddy")


@pytest.fixture(scope="module")
def proxy(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Caddy with the Caddyfile that is deployed, in front of the one server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        outside = free.getsockname()[1]
    home = str(tmp_path_factory.mktemp("caddy"))
    # "x" is the one host that the server answers to.
    more = {
        "SITE_ADDRESS": f"http://x:{outside}",
        "WEB_HOST": "localhost",
        "WEB_PORT": str(port),
        "HOME": home,
        "XDG_DATA_HOME": home,
    }
    command = [str(CADDY), "run", "--config", str(ROOT / "deploy/Caddyfile"), "--adapter", "caddyfile"]
    with subprocess.Popen(
        command, env=os.environ | more, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as caddy:
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    if statuses(asked(outside, head("GET", "Connection: close", path="/up"))) == [200]:
                        break
                time.sleep(0.1)
            yield outside
        finally:
            caddy.terminate()


def asked(port: int, *parts: bytes) -> bytes:
    peer = Peer(port)
    peer.send(*parts)
    return peer.everything()


@pytest.mark.skipif(CADDY is None, reason="the proxy is not installed on this machine; CI installs it")
def test_behind_the_proxy_nobody_gets_the_answer_to_anothers_request(proxy: int) -> None:
    wrong: list[bytes] = []
    is_over = threading.Event()

    def visit() -> None:
        while not is_over.is_set():
            answer = asked(proxy, head("GET", "Connection: close", path="/mine"))
            if b"/mine" not in answer:
                wrong.append(answer)

    visitor = threading.Thread(target=visit)
    visitor.start()
    for _ in range(4):
        for name in SMUGGLED:
            peer = Peer(proxy)
            peer.socket.settimeout(2)
            peer.send(SMUGGLED[name], INNER)
            with contextlib.suppress(OSError):
                peer.everything()
            peer.socket.close()
    is_over.set()
    visitor.join()

    assert wrong == []
