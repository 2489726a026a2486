"""Who a viewer is, as far as the bounds on viewers need to know: an address, or a fan whom a page of ours gave a mark."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs
from uuid import UUID

from django.conf import settings
from django.core import signing

from core.lean import Scope, header
from core.rate_limit import nearest_client

SALT = "live.viewer"
VALID_S = 12 * 3_600


class Who(NamedTuple):
    """`name` is what is counted: an address, or a fan."""

    name: str
    is_fan: bool


def mark_of(user_id: UUID) -> str:
    """What a room gives its fan's page, to open sockets and streams with. It lets nobody do anything else."""
    return signing.dumps(user_id.hex, salt=SALT)


def who_is(scope: Scope) -> Who:
    for mark in parse_qs(scope.get("query_string", b"").decode("ascii", "replace")).get("viewer", [])[:1]:
        try:
            return Who(signing.loads(mark, salt=SALT, max_age=VALID_S), is_fan=True)
        except signing.BadSignature:
            break  # an old page, or a made-up one: a viewer like others
    client = scope.get("client") or ("", 0)
    forwarded = header(scope["headers"], b"x-forwarded-for")
    return Who(nearest_client(forwarded, client[0], proxies=settings.ALLAUTH_TRUSTED_PROXY_COUNT), is_fan=False)
