"""The lean layer: ASGI endpoints that answer without Django's request handling, which costs over a millisecond of CPU.

Only for hot routes with their own way to the database. They share refusals, metrics and request ids with the rest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from itertools import count
from typing import Annotated, Any, Protocol, TypeVar
from uuid import UUID

import msgspec
import structlog
from django.utils.translation import gettext_noop as N_
from starlette.routing import BaseRoute, Match

from core.errors import Busy, Failed, Invalid, NotFound, Refusal, TooMany, WrongMethod
from core.lanes import Lane
from dsql.transactions import is_out_of_reach

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Answer = tuple[int, bytes, Headers]  # status, JSON, headers beside the usual ones
Endpoint = Callable[[Scope, Receive], Awaitable[Answer]]
T = TypeVar("T")

# Text in a hot body: the database cannot store the NUL character.
Text = Annotated[str, msgspec.Meta(pattern="^[^\\x00]*$")]

log = structlog.get_logger(__name__)

BODY_MAX = 4_096
_UUID_LENGTH = 36
_UUID_TEXT = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
# Request ids: this process' random name and a number. A hot request answers faster than a UUID is worth.
_PROCESS = os.urandom(6).hex().encode()
_numbers = count(1)
_JSON: Headers = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]


def _nobody_counts(sale_id: UUID, code: str) -> None: ...


# Told of each hot write that was refused by its sale's lane, with the sale and the refusal's code. `live.tallies` counts them.
on_refused: Callable[[UUID, str], None] = _nobody_counts


class BodyTooLarge(Refusal):
    status = 413
    code = "body_too_large"
    detail = N_("The request's body is too large.")


class Received(Protocol):
    """What every hot write's command says: when this process had it. A fan who is refused is told."""

    @property
    def received_at(self) -> datetime: ...


class LaneEndpoint(Protocol):
    """A hot write: what came in becomes a command for a lane, and the command's outcome becomes the answer."""

    def read(self, sale_id: UUID, headers: Headers, body: bytes) -> tuple[Lane[Any, Any], Received]:
        """The lane and the command. Raises a Refusal."""

    def write(self, lane: Lane[Any, Any], command: Any, outcome: Any) -> Answer: ...


def over_asgi(endpoint: LaneEndpoint) -> Endpoint:
    """A lane endpoint for any ASGI server. `core.fastpath` answers the same endpoint without ASGI."""

    async def ask(scope: Scope, receive: Receive) -> Answer:
        body = await read_body(receive)
        sale_id = path_uuid(scope, "sale_id")
        lane, command = endpoint.read(sale_id, scope["headers"], body)
        try:
            return endpoint.write(lane, command, await lane.ask(command))
        except Refusal as refusal:
            on_refused(sale_id, refusal.code)
            return _refused(refusal, command)

    return ask


class Lean:
    """An ASGI app around one endpoint, which gives (status, JSON bytes, extra headers) or raises a Refusal."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = new_request_id()
        try:
            answer = await self.endpoint(scope, receive)
        except Exception as error:  # the last stop, see `answer_to`
            answer = answer_to(error, request_id)
        status, body, headers = answer
        head = all_headers(headers, body, request_id)
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})


def new_request_id() -> bytes:
    return b"%b-%x" % (_PROCESS, next(_numbers))


def all_headers(more: Headers, body: bytes, request_id: bytes) -> Headers:
    return [*_JSON, *more, (b"content-length", b"%d" % len(body)), (b"x-request-id", request_id)]


def answer_to(error: BaseException, request_id: bytes, command: Received | None = None) -> Answer:
    """A refusal says what it says. Of anything else the caller gets a 500 without particulars, the log everything.

    `command` is what was refused, if it came to one: the caller is told when it was received.
    """
    if isinstance(error, Refusal):
        return _refused(error, command)
    if is_out_of_reach(error):
        return _refused(Busy())
    log.error("lean_endpoint_failed", request_id=request_id.decode(), exc_info=error)
    return _refused(Failed())


def _refused(refusal: Refusal, command: Received | None = None) -> Answer:
    headers: Headers = []
    if command is not None:
        headers.append((b"x-received-at", command.received_at.isoformat(timespec="milliseconds").encode()))
    if isinstance(refusal, Busy | TooMany):
        headers.append((b"retry-after", b"%d" % refusal.retry_after_s))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"X-Buy-Token"))
    return refusal.status, msgspec.json.encode(refusal.as_json()), headers


def header(headers: Headers, name: bytes) -> str:
    """A request header's text, or "" when it is missing. Bytes that are not ASCII become question marks."""
    for key, value in headers:
        if key == name:
            return value.decode("ascii", "replace")
    return ""


async def read_body(receive: Receive) -> bytes:
    """The request's whole body. Raises BodyTooLarge."""
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            raise BodyTooLarge
    if len(body) > BODY_MAX:
        raise BodyTooLarge
    return bytes(body)


def parse_json(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Raises Invalid with the place of the mistake."""
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:  # ValidationError is one
        raise Invalid(f"The request's body is not right: {error}") from None
    except (UnicodeDecodeError, RecursionError):
        raise Invalid("The request's body is not JSON.") from None


class SalePath:
    """`{before}{sale_id}{after}`, read by its length and ends."""

    def __init__(self, before: str, after: str) -> None:
        self._before = before
        self._after = after
        self._uuid = slice(len(before), len(before) + _UUID_LENGTH)
        self.length = len(before) + _UUID_LENGTH + len(after)

    def sale_id(self, path: str) -> UUID | None:
        """The sale in a path of this form; None if it is not one."""
        if len(path) != self.length or not (path.startswith(self._before) and path.endswith(self._after)):
            return None
        try:
            return UUID(path[self._uuid])
        except ValueError:
            return None


class SaleRoute(BaseRoute):
    """`{before}{sale_id}{after}`, matched without a regular expression: for the routes that a stampede comes through."""

    def __init__(self, before: str, after: str, app: Lean, *, method: str) -> None:
        self.app = app
        self.method = method
        self.path = f"{before}{{sale_id}}{after}"
        self.methods = {"GET", "HEAD"} if method == "GET" else {method}
        self._path = SalePath(before, after)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        sale_id = self._path.sale_id(scope["path"]) if scope["type"] == "http" else None
        if sale_id is None:
            return Match.NONE, {}
        return (Match.FULL if scope["method"] in self.methods else Match.PARTIAL), {"path_params": {"sale_id": sale_id}}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app if scope["method"] in self.methods else Lean(self._wrong_method)
        await app(scope, receive, send)

    async def _wrong_method(self, scope: Scope, receive: Receive) -> Answer:
        status, body, headers = _refused(WrongMethod())
        return status, body, [*headers, (b"allow", ", ".join(sorted(self.methods)).encode())]


def path_uuid(scope: Scope, name: str) -> UUID:
    value = scope["path_params"][name]
    if isinstance(value, UUID):
        return value
    raise NotFound


def uuid_header(headers: Headers, name: bytes) -> UUID:
    """A header that must be a UUID in its usual form. Python's parser alone would also take braces and odd dashes."""
    text = header(headers, name)
    if not _UUID_TEXT.fullmatch(text):
        raise Invalid(f"The header {name.decode().title()} must be a UUID.", header=name.decode())
    return UUID(text)
