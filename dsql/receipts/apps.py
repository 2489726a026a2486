"""The app. Its label is not "receipts", which shops like to have for themselves."""

from __future__ import annotations

from django.apps import AppConfig


class ReceiptsConfig(AppConfig):
    name = "dsql.receipts"
    label = "dsql_receipts"
    verbose_name = "Aurora DSQL receipts"
