"""Logging in to DSQL: IAM tokens instead of passwords, and the TLS that a token may travel on."""

from __future__ import annotations

import logging
import os
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg import pq

ADMIN_ROLE = "admin"
PORT = 5432
DATABASE_NAME = "postgres"  # the only database of a cluster
TOKEN_LIFETIME_S = 900
# Tokens are checked at connect only. From the first age on one caller signs while the others go on with the token they
# have; from the second on everybody waits, because a slow connect must not find it expired.
TOKEN_RENEW_AFTER_S = 600
TOKEN_EXPIRES_AFTER_S = 840
# What DSQL says to a token that is too old, or was signed with credentials that have ended.
REFUSED_TOKEN_TEXTS = ("access denied", "Signature expired")
LIBPQ_WITH_DIRECT_TLS = 170000

logger = logging.getLogger("dsql")


class NoToken(psycopg.OperationalError):
    """A token could not be signed, mostly for want of AWS credentials. No endpoint has been asked."""


@dataclass(frozen=True)
class _Token:
    text: str
    signed_at: float

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.signed_at


@dataclass
class TokenCache:
    """Tokens by endpoint, Region and role. One signing at a time: concurrent first signings lose their credentials."""

    _signing: threading.Lock = field(default_factory=threading.Lock)
    _tokens: dict[tuple[str, str, str], _Token] = field(default_factory=dict)
    _clients: dict[str, Any] = field(default_factory=dict)

    def get(self, endpoint: str, region: str, role: str) -> str:
        """A token that is good for at least a minute. Raises NoToken when there is none to be had."""
        key = (endpoint, region, role)
        token = self._tokens.get(key)
        if token and token.age_s < TOKEN_RENEW_AFTER_S:
            return token.text
        is_usable = token is not None and token.age_s < TOKEN_EXPIRES_AFTER_S
        if not self._signing.acquire(blocking=not is_usable):
            assert token is not None
            return token.text  # another caller is signing, and this one need not wait for it
        try:
            token = self._tokens.get(key)
            if token is None or token.age_s >= TOKEN_RENEW_AFTER_S:
                token = self._renew(key, token)
            return token.text
        finally:
            self._signing.release()

    def forget(self, endpoint: str, region: str, role: str, text: str) -> None:
        """Drop a token that was refused; not the newer one that another caller may have put in its place."""
        key = (endpoint, region, role)
        with self._signing:
            token = self._tokens.get(key)
            if token and token.text == text:
                del self._tokens[key]

    def _renew(self, key: tuple[str, str, str], old: _Token | None) -> _Token:
        try:
            token = _Token(self._sign(*key), time.monotonic())
        except NoToken:
            if old is None or old.age_s >= TOKEN_EXPIRES_AFTER_S:
                raise
            logger.warning("No new token for %s; going on with the old one.", key[0], exc_info=True)
            return old
        self._tokens[key] = token
        return token

    def _sign(self, endpoint: str, region: str, role: str) -> str:
        # Slow to import, and only needed with DSQL endpoints.
        from boto3.session import Session
        from botocore.exceptions import BotoCoreError

        try:
            if region not in self._clients:
                # A session of its own: the default one is shared with all code of the process, and is not thread-safe.
                self._clients[region] = Session().client("dsql", region_name=region)
            client = self._clients[region]
            sign = (
                client.generate_db_connect_admin_auth_token
                if role == ADMIN_ROLE
                else client.generate_db_connect_auth_token
            )
            return sign(endpoint, region, TOKEN_LIFETIME_S)
        except BotoCoreError as error:
            raise NoToken(
                f"Cannot sign a token for DSQL endpoint {endpoint!r}: {error}. Credentials come from boto3's usual "
                "chain: a role of the machine or the task, AWS_PROFILE, or AWS_ACCESS_KEY_ID and its kin."
            ) from error


tokens = TokenCache()


def _forget_tokens_in_child() -> None:
    # The lock may have been held when the process was forked, and then nobody would release it.
    tokens.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_tokens_in_child)


def is_dsql_name(host: str) -> bool:
    """Whether `host` is the public or PrivateLink name of a DSQL endpoint: `<cluster>.dsql[-…].<region>.on.aws`."""
    parts = host.split(".")
    return len(parts) == 5 and (parts[1] == "dsql" or parts[1].startswith("dsql-")) and parts[3:] == ["on", "aws"]


def region_of(host: str) -> str:
    """The Region in an endpoint's name."""
    if not is_dsql_name(host):
        raise ImproperlyConfigured(f"Cannot tell the Region of DSQL endpoint {host!r}; set OPTIONS['region'].")
    return host.split(".")[2]


def tls_options() -> dict[str, str]:
    """libpq's options for a connection that carries a token: the certificate and the host's name are verified."""
    options = {"sslmode": "verify-full", "sslrootcert": system_roots()}
    if pq.version() >= LIBPQ_WITH_DIRECT_TLS:
        options["sslnegotiation"] = "direct"  # a round trip less
    return options


def system_roots() -> str:
    """The file of the system's root certificates, or libpq's word "system" where there is none.

    The file comes first because the word means "where this OpenSSL was built to look", which for the wheels of
    psycopg-binary is a folder that no system has.
    """
    return ssl.get_default_verify_paths().cafile or "system"


def with_token(endpoint: str, region: str, role: str, dial: Callable[[str], Any]) -> Any:
    """What `dial(token)` returns. A login refused for its token is tried once more with a fresh one."""
    token = tokens.get(endpoint, region, role)
    try:
        return dial(token)
    except psycopg.OperationalError as error:
        if not any(text in str(error) for text in REFUSED_TOKEN_TEXTS):
            raise
        tokens.forget(endpoint, region, role, token)
    return dial(tokens.get(endpoint, region, role))
