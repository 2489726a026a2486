"""The lean layer: ASGI endpoints that answer without Django's request handling, which costs over a millisecond of CPU.

Only for hot routes with their own way to the database. They share refusals, metrics and request ids with the rest.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import structlog
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Match

from core.errors import Busy, Invalid, NotFound, Refusal, TooMany

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Endpoint = Callable[[Scope, Receive], Awaitable[tuple[int, bytes, Headers]]]
T = TypeVar("T")

log = structlog.get_logger(__name__)

BODY_MAX = 4_096
_UUID_LENGTH = 36
# Request ids: this process' random name and a number. A hot request answers faster than a UUID is worth.
_PROCESS = os.urandom(6).hex()
_numbers = count(1)
_JSON: Headers = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]


class BodyTooLarge(Refusal):
    status = 413
    code = "body_too_large"
    detail = "The request's body is too large."


class Lean:
    """An ASGI app around one endpoint, which gives (status, JSON bytes, extra headers) or raises a Refusal."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = f"{_PROCESS}-{next(_numbers):x}"
        try:
            status, body, headers = await self.endpoint(scope, receive)
        except Refusal as refusal:
            status, body, headers = _refused(refusal)
        except Exception:  # the last stop: the caller gets a 500 without particulars, the log gets everything
            log.exception("lean_endpoint_failed", path=scope["path"], request_id=request_id)
            status, body, headers = 500, b'{"code":"error","detail":"Something went wrong on our side."}', []
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    *_JSON,
                    *headers,
                    (b"content-length", b"%d" % len(body)),
                    (b"x-request-id", request_id.encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})


def _refused(refusal: Refusal) -> tuple[int, bytes, Headers]:
    headers: Headers = []
    if isinstance(refusal, Busy | TooMany):
        headers.append((b"retry-after", b"%d" % refusal.retry_after_s))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"X-Buy-Token"))
    return refusal.status, msgspec.json.encode(refusal.as_json()), headers


def header(scope: Scope, name: bytes) -> str:
    """A request header's text, or "" when it is missing or not ASCII."""
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("ascii", "replace")
    return ""


async def read_json(receive: Receive, decoder: msgspec.json.Decoder[T]) -> T:
    """The request's body. Raises Invalid with the place of the mistake, or BodyTooLarge."""
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            raise BodyTooLarge
    if len(body) > BODY_MAX:
        raise BodyTooLarge
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:  # ValidationError is one
        raise Invalid(f"The request's body is not right: {error}") from None
    except (UnicodeDecodeError, RecursionError):
        raise Invalid("The request's body is not JSON.") from None


class SaleRoute(BaseRoute):
    """`{before}{sale_id}{after}`, matched without a regular expression: for the routes that a stampede comes through."""

    def __init__(self, before: str, after: str, app: Lean, *, method: str) -> None:
        self.before = before
        self.after = after
        self.app = app
        self.method = method
        self.path = f"{before}{{sale_id}}{after}"
        self.methods = {method}
        self._length = len(before) + _UUID_LENGTH + len(after)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = scope["path"]
        if scope["type"] != "http" or len(path) != self._length:
            return Match.NONE, {}
        if not (path.startswith(self.before) and path.endswith(self.after)):
            return Match.NONE, {}
        try:
            sale_id = UUID(path[len(self.before) : len(self.before) + _UUID_LENGTH])
        except ValueError:
            return Match.NONE, {}
        return (Match.FULL if scope["method"] == self.method else Match.PARTIAL), {"path_params": {"sale_id": sale_id}}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == self.method:
            await self.app(scope, receive, send)
        else:
            await PlainTextResponse("Method Not Allowed", 405, {"Allow": self.method})(scope, receive, send)


def path_uuid(scope: Scope, name: str) -> UUID:
    value = scope["path_params"][name]
    if isinstance(value, UUID):
        return value
    raise NotFound


def uuid_header(scope: Scope, name: bytes) -> UUID:
    """A header that must be a UUID in its usual form. Python's parser alone would also take braces and odd dashes."""
    text = header(scope, name)
    try:
        value = UUID(text)
    except ValueError:
        value = None
    if value is None or str(value) != text.lower():
        raise Invalid(f"The header {name.decode().title()} must be a UUID.", header=name.decode())
    return value
