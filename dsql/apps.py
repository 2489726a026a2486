"""The app: system checks and management commands. The backend itself needs no entry in INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig


class DsqlConfig(AppConfig):
    name = "dsql"
    verbose_name = "Aurora DSQL"

    def ready(self) -> None:
        from dsql import checks  # noqa: F401  (registers the checks)
