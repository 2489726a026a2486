"""What the tests of strict mode share: a connection with two small tables, and a second connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection


@contextmanager
def strict_tables() -> Iterator[Any]:
    """The strict connection, in autocommit, with the tables x_t(id, v) and x_big(id). Drops every table x_...."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE x_t (id int PRIMARY KEY, v text)")
        cursor.execute("CREATE TABLE x_big (id int)")
        cursor.execute("INSERT INTO x_t VALUES (1, 'a')")
    try:
        yield connection.connection
    finally:
        if connection.connection is not None:
            connection.connection.rollback()
            connection.connection.session.configure(connection.settings_dict["OPTIONS"])
        with connection.cursor() as cursor:
            cursor.execute("SELECT relname, relkind FROM pg_class WHERE relkind IN ('r', 'v') AND relname LIKE 'x\\_%'")
            for name, kind in sorted(cursor.fetchall(), key=lambda row: row[1] == "r"):
                cursor.execute(f'DROP {"VIEW" if kind == "v" else "TABLE"} "{name}" CASCADE')


def other_connection() -> Any:
    """Another strict connection, in autocommit."""
    params = connection.get_connection_params()
    return connection._connection_class.connect(**params, autocommit=True)


def answer(raw: Any, sql: str, params: Any = None) -> str:
    """The SQLSTATE of a statement; its tag when it was admitted."""
    try:
        return raw.execute(sql, params).statusmessage
    except psycopg.Error as error:
        return error.sqlstate or repr(error)
