"""Rate limits counted in Valkey, so that they hold over all processes together."""

from __future__ import annotations

import time
from collections import Counter
from hashlib import sha256

import structlog
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest

from core.errors import TooMany

log = structlog.get_logger(__name__)


def check(name: str, who: str, *, allowed: int, window_s: int) -> None:
    """Count one use by `who` in the current window; raises TooMany past `allowed`.

    While Valkey is away each process counts for itself: the limit is looser then, and no outage of its own.
    """
    if count(name, who, window_s=window_s) > allowed:
        raise TooMany(retry_after_s=window_s - int(time.time()) % window_s)


def count(name: str, who: str, *, window_s: int) -> int:
    """Count one use by `who`; how many there were in the current window, with it."""
    key = _key(name, who, window_s)
    try:
        cache.add(key, 0, timeout=window_s * 2)
        return int(cache.incr(key))
    except Exception as error:  # any failure of the cache
        log.warning("rate_limit_counted_alone", name=name, error=str(error))
        if len(_alone) >= ALONE_MAX:
            _alone.clear()
        _alone[key] += 1
        return _alone[key]


def used(name: str, who: str, *, window_s: int) -> int:
    """How often `who` was counted in the current window."""
    key = _key(name, who, window_s)
    return max(int(cache.get(key) or 0), _alone[key])


# What this process counted while it could not reach the others.
_alone: Counter[str] = Counter()
ALONE_MAX = 100_000


def _key(name: str, who: str, window_s: int) -> str:
    # Hashed: an address may have any length, and what Valkey stores needs no names.
    return f"limit:{name}:{sha256(who.encode()).hexdigest()[:32]}:{int(time.time()) // window_s}"


def client_address(request: HttpRequest) -> str:
    """The client's address as our own proxies saw it; what the client wrote in front of that counts for nothing."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    return nearest_client(
        forwarded, str(request.META.get("REMOTE_ADDR", "")), proxies=settings.ALLAUTH_TRUSTED_PROXY_COUNT
    )


def nearest_client(forwarded: str, peer: str, *, proxies: int) -> str:
    """The address that the outermost of our `proxies` saw, out of X-Forwarded-For; the connection's own without any."""
    addresses = [part.strip() for part in forwarded.split(",") if part.strip()]
    return addresses[-proxies] if proxies and len(addresses) >= proxies else peer
