"""The short way for hot requests in our own web processes: from uvicorn's HTTP parser to the lane and back.

ASGI costs a task, a dozen objects and several turns of the event loop per request, more than the whole purchase needs in
Python. Here a request for a fast route goes to its lane as soon as it is parsed, and its answer is one write. Everything out of
the ordinary (pipelining, `Expect`, an upgrade, HTTP/1.0, "Connection: close") takes uvicorn's usual way to the ASGI application,
which answers the same endpoint the same way.
"""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from core import lean
from core.edge import GuardedHttpProtocol
from core.errors import Refusal
from core.lean import BODY_MAX, BodyTooLarge, Headers, LaneEndpoint, SalePath, all_headers, answer_to, new_request_id


class FastRoute:
    """`{method} {before}{sale_id}{after}`, answered by a lane endpoint."""

    def __init__(self, method: str, before: str, after: str, endpoint: LaneEndpoint) -> None:
        self.endpoint = endpoint
        self._method = method.encode()
        self._path = SalePath(before, after)

    def sale_id(self, method: bytes, url: bytes) -> UUID | None:
        """The sale in a URL of this route; None if it is not one."""
        if len(url) != self._path.length or method != self._method:
            return None
        return self._path.sale_id(url.decode("latin-1"))


class _Nobody:
    """uvicorn wakes the reader of a request's body; a fast request has none."""

    def set(self) -> None: ...


class FastCycle:
    """One fast request and its answer, with the attributes by which uvicorn's protocol follows a request."""

    message_event: ClassVar[_Nobody] = _Nobody()

    def __init__(self, protocol: FastHttpProtocol, route: FastRoute, sale_id: UUID, headers: Headers) -> None:
        self.protocol = protocol
        self.route = route
        self.sale_id = sale_id
        self.headers = headers
        self.keep_alive = True
        self.disconnected = False
        self.more_body = True
        self.response_complete = False
        self.body = b""
        self.lane: Any = None
        self.command: Any = None

    def on_body(self, part: bytes) -> None:
        self.body += part
        if len(self.body) > BODY_MAX:
            self.keep_alive = False  # what else is coming is not worth reading
            self.finish(BodyTooLarge())

    def start(self) -> None:
        """The request is here as a whole: hand its command to the lane."""
        self.more_body = False
        try:
            self.lane, self.command = self.route.endpoint.read(self.sale_id, self.headers, self.body)
            self.lane.submit(self.command, self.finish, self.protocol.loop)
        except Exception as error:  # refusals, and what `answer_to` turns into a 500
            self.finish(error)

    def finish(self, outcome: Any) -> None:
        """Write the answer for the lane's outcome, or for an error. Called on the event loop."""
        self.response_complete = True
        protocol = self.protocol
        if self.disconnected or protocol.transport.is_closing():
            return  # nobody is there any more; a repeat of the key will find the order
        request_id = new_request_id()
        try:
            if isinstance(outcome, BaseException):
                raise outcome
            status, body, more = self.route.endpoint.write(self.lane, self.command, outcome)
        except Exception as error:  # see `start`
            if self.command is not None and isinstance(error, Refusal):
                lean.on_refused(self.sale_id, error.code)
            status, body, more = answer_to(error, request_id, self.command)
        protocol.write_answer(status, all_headers(more, body, request_id), body, keep_alive=self.keep_alive)


class FastHttpProtocol(GuardedHttpProtocol):
    """uvicorn's HTTP protocol, guarded, with the short way built in. `routes` is set before the server starts."""

    routes: ClassVar[list[FastRoute]] = []

    def begin(self) -> None:
        cycle = self._fast_cycle()
        if cycle is None:
            super().begin()
        else:
            self.cycle = cycle  # type: ignore[assignment]

    def _fast_cycle(self) -> FastCycle | None:
        if self.cycle is not None and not self.cycle.response_complete:
            return None  # pipelined: answers must keep the requests' order
        method = self.parser.get_method()
        for route in self.routes:
            sale_id = route.sale_id(method, self.url)
            if sale_id is not None:
                break
        else:
            return None
        is_plain = self.parser.get_http_version() == "1.1" and self.parser.should_keep_alive()
        if not is_plain or self.expect_100_continue or self.parser.should_upgrade():
            return None
        return FastCycle(self, route, sale_id, self.headers)

    def take(self, body: bytes) -> None:
        if isinstance(self.cycle, FastCycle):
            if not self.cycle.response_complete:
                self.cycle.on_body(body)
        else:
            super().take(body)

    def end(self) -> None:
        if isinstance(self.cycle, FastCycle):
            if not self.cycle.response_complete:
                self.cycle.start()
        else:
            super().end()

    def write_answer(self, status: int, headers: Headers, body: bytes, *, keep_alive: bool) -> None:
        lines = [b"%b: %b\r\n" % line for line in (*self.server_state.default_headers, *headers)]
        end = b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join((STATUS_LINE[status], *lines, end, body)))
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()
