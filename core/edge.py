"""What reaches us over HTTP before any of it is believed: how much, for how long, and which ways out of HTTP there are.

uvicorn's protocol has no bounds for heads, bodies and slow senders, and keeps a connection whose message it has lost count of: what
follows an upgrade that nobody offered would be read as the next request. Behind a proxy that shares its connections this would be
somebody else's. So whatever is refused here ends its connection.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, ClassVar

import msgspec
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 1_000_000
HEAD_S = 10.0
BODY_S = 30.0
RETRY_AFTER_S = 5
# What answers whoever asks for the process and not for the site: probes know it by its address.
NAMELESS = (b"/healthz", b"/readyz", b"/metrics")

log = structlog.get_logger(__name__)


class Refused(Exception):
    """The connection is answered and closed: stop reading it."""


class GuardedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with bounds. The class attributes are set before the server starts."""

    head_s: ClassVar[float] = HEAD_S
    body_s: ClassVar[float] = BODY_S
    connections_max: ClassVar[int] = 20_000
    # Of one address; None behind a proxy, where all come from its address.
    connections_per_address_max: ClassVar[int | None] = None
    allows_host: ClassVar[Any] = staticmethod(lambda host: True)  # a function of the header's bytes
    https_only: ClassVar[bool] = False  # what changes something must have come to our proxy by https
    # (beginning of the path, bytes) where more than BODY_BYTES_MAX may come.
    larger_bodies: ClassVar[list[tuple[bytes, int]]] = []

    _by_address: ClassVar[Counter[str]] = Counter()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._is_refused = False
        self._head_bytes = 0
        self._body_bytes = 0
        self._body_max = BODY_BYTES_MAX
        self._address = self.client[0] if self.client else ""
        self._by_address[self._address] += 1
        # By when what is coming in must be here; None while nothing is. It is not moved by bytes that trickle in.
        self._deadline_s: float | None = self.loop.time() + self.head_s
        self._is_in_head = True
        self._timer = self.loop.call_later(self.head_s, self._look_at_time)
        if len(self.connections) > self.connections_max or self._is_crowded():
            self._refuse(503, "busy", "Too many connections are open. Please try again in a moment.")

    def connection_lost(self, exc: Exception | None) -> None:
        self._let_go()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._let_go()  # the socket's own protocol takes over
        super().handle_websocket_upgrade()

    def _let_go(self) -> None:
        self._timer.cancel()
        self._by_address[self._address] -= 1
        if self._by_address[self._address] <= 0:
            del self._by_address[self._address]

    def _is_crowded(self) -> bool:
        most = self.connections_per_address_max
        return most is not None and self._by_address[self._address] > most

    def _look_at_time(self) -> None:
        if self.transport.is_closing():
            return
        left_s = self.head_s if self._deadline_s is None else self._deadline_s - self.loop.time()
        if left_s > 0:
            self._timer = self.loop.call_later(left_s, self._look_at_time)
        elif self._is_in_head and not self._head_bytes:
            self.transport.close()  # a connection that never asked for anything
        else:
            self._refuse(408, "too_slow", "Your request took too long to arrive.")

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._is_refused or self.transport.is_closing():
            return
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes > HEAD_BYTES_MAX and not self._is_refused:
            self._refuse(431, "head_too_large", "The request's head is too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        self._deadline_s = self.loop.time() + self.head_s

    def on_headers_complete(self) -> None:
        self._check_head()
        self._is_in_head = False
        self._head_bytes = self._body_bytes = 0
        self._deadline_s = self.loop.time() + self.body_s
        self.begin()

    # What becomes of a request, a part of its body and its end, once they are as they should be.

    def begin(self) -> None:
        super().on_headers_complete()

    def take(self, body: bytes) -> None:
        super().on_body(body)

    def end(self) -> None:
        super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._body_max:
            self._stop(413, "body_too_large", "The request's body is too large.")
        self.take(body)

    def on_message_complete(self) -> None:
        self._is_in_head = True  # of the next one, when it comes
        self._deadline_s = None
        self.end()

    def _check_head(self) -> None:
        if self.transport.is_closing():
            raise Refused  # what stands behind a request that ended the connection is not carried out
        hosts, length, has_encoding, size, came_by = 0, 0, False, 0, b""
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
                host = value
            elif name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                has_encoding = True
            elif name == b"x-forwarded-proto":
                came_by = value
        if self._head_bytes > HEAD_BYTES_MAX:  # or what is behind the head in its packet
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEAD_BYTES_MAX:
            self._stop(431, "head_too_large", "The request's head is too large.")
        if self.parser.should_upgrade() and not self._is_handshake(length, has_encoding):
            self._stop(
                400, "upgrade_not_offered", "The only upgrade here is to a WebSocket, by GET and without a body."
            )
        if self.https_only and came_by != b"https" and self.parser.get_method() not in (b"GET", b"HEAD"):
            self._stop(400, "https_only", "This site takes orders over https only.")
        is_named = hosts == 1 and (self.allows_host(host) or self.url.startswith(NAMELESS))
        if not is_named and not (hosts == 0 and self.parser.get_http_version() == "1.0"):
            self._stop(400, "bad_host", "The request's Host is not this site.")
        self._body_max = next((most for path, most in self.larger_bodies if self.url.startswith(path)), BODY_BYTES_MAX)
        if length > self._body_max:
            self._stop(413, "body_too_large", "The request's body is too large.")

    def _is_handshake(self, length: int, has_encoding: bool) -> bool:
        is_get = self.parser.get_method() == b"GET" and self.parser.get_http_version() == "1.1"
        return is_get and not length and not has_encoding and self._get_upgrade() == b"websocket"

    # Refusing

    def _stop(self, status: int, code: str, detail: str) -> None:
        self._refuse(status, code, detail)
        raise Refused

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "bad_request", "This is not an HTTP request that we understand.")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer, unless an answer is on its way already, and close."""
        if self._is_refused:
            return
        self._is_refused = True
        cycle: Any = self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering:  # whoever works on it learns that nobody waits
            cycle.disconnected = True
            cycle.message_event.set()
        if not (is_answering and getattr(cycle, "response_started", False)):
            self.transport.write(_answer(status, code, detail))
        self.transport.close()
        log.info("request_refused", status=status, code=code, client=self._address)


def _answer(status: int, code: str, detail: str) -> bytes:
    body = msgspec.json.encode({"code": code, "detail": detail, "data": {}})
    again = b"retry-after: %d\r\n" % RETRY_AFTER_S if status == 503 else b""
    return b"".join(
        (
            STATUS_LINE[status], b"content-type: application/json\r\nx-content-type-options: nosniff\r\n", again,
            b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body), body,
        )
    )  # fmt: skip
