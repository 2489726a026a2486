"""The lean layer: ASGI endpoints that answer without Django's request handling, which costs over a millisecond of CPU.

Only for hot routes with their own way to the database. They share refusals, metrics and request ids with the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import structlog

from core.errors import Busy, Invalid, NotFound, Refusal, TooMany
from core.ids import uuid7

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Endpoint = Callable[[Scope, Receive], Awaitable[tuple[int, bytes, Headers]]]
T = TypeVar("T")

log = structlog.get_logger(__name__)

BODY_MAX = 4_096
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
        request_id = uuid7().hex
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
