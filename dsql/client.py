"""`manage.py dbshell`: psql against the nearest endpoint."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.backends.postgresql import client

from dsql.auth import ADMIN_ROLE, DATABASE_NAME, tls_options, tokens
from dsql.endpoints import Endpoint, read_endpoints

REACH_TIMEOUT_S = 2.0


class DatabaseClient(client.DatabaseClient):
    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Iterable[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        """psql's arguments and environment. With DSQL endpoints, the password is a token made now."""
        options = settings_dict.get("OPTIONS") or {}
        endpoints = read_endpoints(options)
        if not endpoints:
            return super().settings_to_cmd_args_env({**settings_dict, "OPTIONS": options}, list(parameters))
        endpoint = _nearest_in_reach(endpoints)
        where: dict[str, Any] = {"HOST": endpoint.host, "PORT": endpoint.port}
        if endpoint.region:
            role = settings_dict.get("USER") or ADMIN_ROLE
            options = {**tls_options(), **options}
            where["USER"] = role
            where["PASSWORD"] = tokens.get(endpoint.host, endpoint.region, role)
            where["NAME"] = DATABASE_NAME
        settings_dict = {**settings_dict, **where, "OPTIONS": options}
        arguments, environment = super().settings_to_cmd_args_env(settings_dict, list(parameters))
        if endpoint.region and (negotiation := options.get("sslnegotiation")):
            # Django does not pass this one on. A psql older than 17 does not know it, and goes the longer way.
            environment = {**(environment or {}), "PGSSLNEGOTIATION": negotiation}
        return arguments, environment


def _nearest_in_reach(endpoints: Sequence[Endpoint]) -> Endpoint:
    for endpoint in endpoints:
        if endpoint.host.startswith("/"):
            return endpoint  # a unix socket is here or nowhere
        try:
            socket.create_connection((endpoint.host, endpoint.port), REACH_TIMEOUT_S).close()
        except OSError:
            continue
        return endpoint
    return endpoints[0]  # psql says what is wrong with it
