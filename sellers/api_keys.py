"""Keys to a shop's part of the API. The key is shown once, when it is made; what is kept is its hash."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja.security import HttpBearer, django_auth

from core import clock, rate_limit
from core.errors import NotAllowed, NotAuthenticated, NotFound
from core.text import clean_line
from core.transactions import retried_transaction
from sellers import events
from sellers.errors import TooManyKeys
from sellers.models import NAME_MAX, ApiKey, KeyScope

PREFIX = "dfk_"
KEYS_MAX = 20  # of a shop that are not revoked
USED_TO = dt.timedelta(
    hours=1
)  # how exactly it is noted when a key was used last: a write for every call would be one too many
SAFE = ("GET", "HEAD")


def make(
    *, key_id: UUID, seller_id: UUID, name: str, scope: KeyScope, expires_at: dt.datetime | None, made_by: UUID,
    now: dt.datetime,
) -> str:  # fmt: skip
    """A new key; "" when this one was made before, for then it was shown. Raises Invalid, TooManyKeys."""
    key = PREFIX + secrets.token_urlsafe(32)
    is_new = _keep(
        key_id=key_id, seller_id=seller_id, name=name, scope=scope, expires_at=expires_at, made_by_id=made_by, now=now,
        sha256=_hash(key),
    )  # fmt: skip
    return key if is_new else ""


@retried_transaction(replayable=True)
def _keep(*, key_id: UUID, seller_id: UUID, name: str, sha256: str, now: dt.datetime, **said: Any) -> bool:
    there = ApiKey.objects.filter(id=key_id).first()
    if there is not None:
        if there.seller_id != seller_id:
            raise NotFound
        return there.sha256 == sha256  # the answer to our COMMIT was lost
    if ApiKey.objects.filter(seller_id=seller_id, revoked_at=None).count() >= KEYS_MAX:
        raise TooManyKeys(most=KEYS_MAX)
    name = clean_line(name, field="name", most=NAME_MAX)
    ApiKey(id=key_id, seller_id=seller_id, name=name, sha256=sha256, made_at=now, **said).save(force_insert=True)
    events.write("key_made", seller_id=seller_id, now=now, name=name, scope=said["scope"])
    return True


@retried_transaction(replayable=True)
def revoke(*, seller_id: UUID, key_id: UUID, now: dt.datetime) -> None:
    """From now on it lets nobody in. A repeat changes nothing. Raises NotFound."""
    key = ApiKey.objects.filter(id=key_id, seller_id=seller_id).first()
    if key is None:
        raise NotFound
    if key.revoked_at is None:
        ApiKey.objects.filter(id=key_id).update(revoked_at=now)
        events.write("key_revoked", seller_id=seller_id, now=now, name=key.name)


def find(key: str, *, now: dt.datetime) -> ApiKey | None:
    """The key as it is kept, if it lets anybody in now: not revoked, not past its time, and its maker is still welcome."""
    if not key.startswith(PREFIX):
        return None
    found = ApiKey.objects.select_related("seller", "made_by").filter(sha256=_hash(key), revoked_at=None).first()
    if found is None or not found.made_by.is_active or (found.expires_at is not None and found.expires_at <= now):
        return None
    return found


@retried_transaction(replayable=True)
def _note_use(*, key_id: UUID, now: dt.datetime) -> None:
    ApiKey.objects.filter(id=key_id).update(used_at=now)


def _hash(key: str) -> str:
    """Of 32 random bytes, so that no salt and no slow hash is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


class ShopKey(HttpBearer):
    """`Authorization: Bearer dfk_…`, where `handle` in the address is the key's own shop.

    What its maker may do there is asked anew each time, as if they were logged in.
    """

    openapi_bearerFormat = "dfk_…"

    def authenticate(self, request: HttpRequest, token: str) -> ApiKey:
        now = clock.now()
        client = rate_limit.client_address(request)
        rate_limit.check("api-key", client, allowed=1_200, window_s=60)
        key = find(token, now=now)
        if key is None:
            rate_limit.check("api-key-wrong", client, allowed=30, window_s=60)
            raise NotAuthenticated(_("This key lets nobody in."))
        match = request.resolver_match
        if match is None or match.kwargs.get("handle") != key.seller.handle:
            raise NotFound  # another shop's sales are missing to it
        if request.method not in SAFE and key.scope != KeyScope.SALES:
            raise NotAllowed(_("This key may look, not change."))
        request.user = key.made_by
        request.shop_key_id = key.id  # type: ignore[attr-defined]
        if key.used_at is None or now - key.used_at >= USED_TO:
            _note_use(key_id=key.id, now=now)
        return key


# For a seller's operations: a key of the shop, or somebody who is logged in.
SELLER_AUTH = [ShopKey(), django_auth]
