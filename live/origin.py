"""Only pages of this very site may open sockets: the Origin's scheme, host and port must be the request's own.

Browsers send cookies with a socket from any page, and same-origin rules do not stop it; the Origin header is the only defence.
Comparing hosts alone, against a list, would let in plain http, other ports and, with a wildcard, every other subdomain.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from core.lean import Receive, Scope, Send

log = structlog.get_logger(__name__)

_DEFAULT_PORTS = {"http": "80", "https": "443"}
# What Django allows under DEBUG when ALLOWED_HOSTS is empty.
_DEBUG_HOSTS = [".localhost", "127.0.0.1", "[::1]"]


class Origin(NamedTuple):
    scheme: str
    host: str
    port: str


class ExactOrigin:
    """ASGI middleware: answers 403 to a socket's handshake from another origin, and lets everything else through."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and not is_from_here(scope):
            log.info("socket_origin_refused", origin=_headers(scope, b"origin"), host=_headers(scope, b"host"))
            await receive()  # websocket.connect
            await send({"type": "websocket.close"})  # before accepting, so that the server answers 403
            return
        await self.app(scope, receive, send)


def is_from_here(scope: Scope) -> bool:
    """Whether the handshake's Origin is this site's own, and the site is one that we serve."""
    theirs, ours = _sent_origin(scope), _own_origin(scope)
    return theirs is not None and theirs == ours and validate_host(theirs.host, _allowed_hosts())


def _sent_origin(scope: Scope) -> Origin | None:
    values = _headers(scope, b"origin")
    if len(values) != 1:  # missing, or one of them smuggled in
        return None
    scheme, separator, address = values[0].partition("://")
    return _origin(scheme.lower(), address) if separator else None  # "null" has none


def _own_origin(scope: Scope) -> Origin | None:
    values = _headers(scope, b"host")
    return _origin(_own_scheme(scope), values[0]) if len(values) == 1 else None


def _origin(scheme: str, address: str) -> Origin | None:
    host, port = split_domain_port(address)  # "" for anything but a host and a port, as a path or a user
    if scheme not in _DEFAULT_PORTS or not host:
        return None
    return Origin(scheme, host, port or _DEFAULT_PORTS[scheme])


def _own_scheme(scope: Scope) -> str:
    """The scheme that the browser used: a proxy's word, if we trust one, else the connection's own."""
    if settings.SECURE_PROXY_SSL_HEADER:
        name, secure_value = settings.SECURE_PROXY_SSL_HEADER
        values = _headers(scope, name.removeprefix("HTTP_").replace("_", "-").lower().encode())
        if values:  # read as Django reads it, so that pages and sockets agree
            return "https" if values[0].split(",")[0].strip() == secure_value else "http"
    return "https" if scope.get("scheme") in ("wss", "https") else "http"


def _allowed_hosts() -> list[str]:
    if settings.DEBUG and not settings.ALLOWED_HOSTS:
        return _DEBUG_HOSTS
    return list(settings.ALLOWED_HOSTS)


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
