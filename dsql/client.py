"""`manage.py dbshell`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.backends.postgresql import client

from dsql.auth import dial_options


class DatabaseClient(client.DatabaseClient):
    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Iterable[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        """psql against the nearest endpoint, with a fresh token when there are endpoints."""
        options = settings_dict.get("OPTIONS") or {}
        if not options.get("endpoints"):
            return super().settings_to_cmd_args_env(settings_dict, list(parameters))
        dial = dial_options(options["endpoints"][0], options.get("region"), settings_dict["USER"])
        settings_dict = {
            **settings_dict,
            "HOST": dial["host"],
            "PORT": dial["port"],
            "PASSWORD": dial["password"],
            "OPTIONS": {"sslmode": dial["sslmode"], "sslrootcert": dial["sslrootcert"]},
        }
        return super().settings_to_cmd_args_env(settings_dict, list(parameters))
