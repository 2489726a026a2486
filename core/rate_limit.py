"""Rate limits counted in Valkey, so that they hold over all processes together."""

from __future__ import annotations

import time

import structlog
from django.core.cache import cache
from django.http import HttpRequest

from core.errors import TooMany

log = structlog.get_logger(__name__)


def check(name: str, who: str, *, allowed: int, window_s: int) -> None:
    """Count one use by `who` in the current window; raises TooMany past `allowed`.

    Lets everybody through while Valkey is down: a limit protects against load, and must not become an outage of its own.
    """
    window = int(time.time()) // window_s
    key = f"limit:{name}:{who}:{window}"
    try:
        cache.add(key, 0, timeout=window_s * 2)
        used = cache.incr(key)
    except Exception as error:  # any failure of the cache: see above
        log.warning("rate_limit_not_counted", name=name, error=str(error))
        return
    if used > allowed:
        raise TooMany(retry_after_s=window_s - int(time.time()) % window_s)


def client_address(request: HttpRequest) -> str:
    """The client's address as our own proxies saw it; what the client wrote in front of that counts for nothing."""
    from django.conf import settings

    proxies = settings.ALLAUTH_TRUSTED_PROXY_COUNT
    forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    if proxies and len(forwarded) >= proxies:
        return forwarded[-proxies]
    return str(request.META.get("REMOTE_ADDR", ""))
