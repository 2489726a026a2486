"""Connections to DSQL endpoints: IAM tokens instead of passwords, and the next endpoint when one is down."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import psycopg
from django.core.exceptions import ImproperlyConfigured

ADMIN_ROLE = "admin"
PORT = 5432
DATABASE_NAME = "postgres"  # the only database of a cluster
TOKEN_LIFETIME_S = 900
TOKEN_RENEW_AFTER_S = 600  # a token is checked at connect only, but a slow connect must not find it expired
CONNECT_TIMEOUT_S = 5
# Without this a path that drops packets is noticed only after minutes.
TCP_USER_TIMEOUT_MS = 5000


@dataclass
class _TokenCache:
    """Tokens by endpoint and role. One signing at a time: concurrent first signings lose their credentials."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    tokens: dict[tuple[str, str, str], tuple[float, str]] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)

    def get(self, endpoint: str, region: str, role: str) -> str:
        key = (endpoint, region, role)
        with self.lock:
            made_at, token = self.tokens.get(key, (0.0, ""))
            if not token or time.monotonic() - made_at > TOKEN_RENEW_AFTER_S:
                token = self._sign(endpoint, region, role)
                self.tokens[key] = (time.monotonic(), token)
            return token

    def _sign(self, endpoint: str, region: str, role: str) -> str:
        if region not in self.clients:
            import boto3  # slow to import, and only needed with endpoints

            self.clients[region] = boto3.client("dsql", region_name=region)
        client = self.clients[region]
        sign = (
            client.generate_db_connect_admin_auth_token if role == ADMIN_ROLE else client.generate_db_connect_auth_token
        )
        return sign(endpoint, region, TOKEN_LIFETIME_S)


_tokens = _TokenCache()


def region_of(endpoint: str) -> str:
    """The Region in an endpoint's name: `<cluster>.dsql.<region>.on.aws`."""
    parts = endpoint.split(".")
    if len(parts) != 5 or parts[1] != "dsql" or parts[3:] != ["on", "aws"]:
        raise ImproperlyConfigured(f"Cannot tell the Region of DSQL endpoint {endpoint!r}; set OPTIONS['region'].")
    return parts[2]


def dial_options(endpoint: str, region: str | None, role: str) -> dict[str, Any]:
    """The libpq options for one endpoint, with a valid token as the password."""
    return {
        "host": endpoint,
        "port": PORT,
        "user": role,
        "password": _tokens.get(endpoint, region or region_of(endpoint), role),
        "sslmode": "verify-full",
        "sslrootcert": "system",
        "sslnegotiation": "direct",
        "connect_timeout": CONNECT_TIMEOUT_S,
        "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
    }


class EndpointConnection(psycopg.Connection[Any]):
    """A connection to the first endpoint that answers.

    It takes `endpoints` and `region` beside the usual arguments, so that a pool can open it too. Tokens are per
    endpoint, which is why libpq's own list of hosts cannot be used.
    """

    @classmethod
    def connect(  # type: ignore[override]
        cls,
        conninfo: str = "",
        *,
        endpoints: Sequence[str] = (),
        region: str | None = None,
        user: str = ADMIN_ROLE,
        **kwargs: Any,
    ) -> Self:
        error: psycopg.OperationalError | None = None
        for endpoint in endpoints:
            # `region` names the Region of a single endpoint whose name does not tell it.
            options = dial_options(endpoint, region if len(endpoints) == 1 else None, user)
            try:
                return super().connect(conninfo, **{**kwargs, **options})
            except psycopg.OperationalError as failure:
                error = failure
        raise error or ImproperlyConfigured("OPTIONS['endpoints'] is empty.")
