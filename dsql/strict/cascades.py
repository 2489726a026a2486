"""Whether writing a row may write others: what the row count of a statement does not tell."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import psycopg

_CASCADES_SQL = """
    SELECT coalesce(bool_or(confdeltype IN ('c', 'n', 'd')), false), coalesce(bool_or(confupdtype IN ('c', 'n', 'd')), false)
    FROM pg_constraint WHERE contype = 'f'
"""


class _Cascades(NamedTuple):
    of_deletes: bool
    of_updates: bool


_found: dict[tuple[Any, ...], _Cascades] = {}
_lock = threading.Lock()


def may_follow(connection: Any, kind: str) -> bool:
    """Whether a writing statement of this `kind` may cascade: any foreign key of the database could make it.

    The catalog is asked once a process, and again after DDL in this process; DDL of others goes unnoticed.
    """
    cascades = _found.get(connection.database_key)
    if cascades is None:
        row = psycopg.ClientCursor(connection).execute(_CASCADES_SQL).fetchone()
        assert row is not None
        cascades = _Cascades(*row)
        with _lock:
            _found[connection.database_key] = cascades
    if kind == "delete_stmt":
        return cascades.of_deletes
    if kind in ("update_stmt", "insert_stmt"):
        return cascades.of_updates
    return cascades.of_deletes or cascades.of_updates


def forget() -> None:
    """Foreign keys may have changed: ask the catalog again."""
    with _lock:
        _found.clear()
