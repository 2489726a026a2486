"""Rows changed behind the product's back, for as long as somebody looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import transaction


class _Undone(Exception):
    pass


@contextmanager
def tamper(*statements: str) -> Iterator[None]:
    """Inside, reads of this thread see the rows as `statements` left them. Afterwards nothing has happened.

    Strict mode would refuse a dropped constraint in a transaction, so the statements run as a stranger's would: on the plain
    driver.
    """
    try:
        with transaction.atomic():
            connection = transaction.get_connection()
            connection.ensure_connection()
            for statement in statements:
                psycopg.ClientCursor(connection.connection).execute(statement)
            yield
            raise _Undone
    except _Undone:
        pass
