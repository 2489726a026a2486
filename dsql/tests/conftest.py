from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.db import connection, connections

from dsql.tests.strict import other_connection, strict_tables


@pytest.fixture
def make_tables(transactional_db: None) -> Iterator[Callable[..., None]]:
    """Makes tables for models that no app installs, and drops them afterwards."""
    made: list[Any] = []

    def make(*models: Any) -> None:
        for model in models:
            made.append(model)
            with connection.schema_editor() as editor:
                editor.create_model(model)

    yield make
    with connection.schema_editor() as editor:
        for model in reversed(made):
            editor.execute(f'DROP TABLE IF EXISTS "{model._meta.db_table}" CASCADE', None)


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], Any]], threading.Thread]]:
    """Starts a function in a thread that gives its connections back; joined at the end of the test."""
    threads: list[threading.Thread] = []

    def start(target: Callable[[], Any]) -> threading.Thread:
        def run() -> None:
            try:
                target()
            finally:
                connections.close_all()

        thread = threading.Thread(target=run, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()


@pytest.fixture
def raw(transactional_db: None) -> Iterator[Any]:
    """A strict connection in autocommit, with the tables x_t(id, v) and x_big(id)."""
    with strict_tables() as made:
        yield made


@pytest.fixture
def second(raw: Any) -> Iterator[Any]:
    """Another strict connection, in autocommit."""
    with other_connection() as made:
        yield made


@pytest.fixture
def foreign_keys(request: Any) -> Iterator[str]:
    """Sets OPTIONS["foreign_keys"] to the test's parameter, or to "enforce"."""
    wanted = getattr(request, "param", "enforce")
    connection.settings_dict["OPTIONS"]["foreign_keys"] = wanted
    _forget_features()
    yield wanted
    del connection.settings_dict["OPTIONS"]["foreign_keys"]
    _forget_features()


def _forget_features() -> None:
    for name in ("supports_foreign_keys", "can_introspect_foreign_keys"):
        connection.features.__dict__.pop(name, None)


@pytest.fixture
def slow_builds(request: Any, transactional_db: None) -> Iterator[bool]:
    """Sets OPTIONS["slow_builds"] to the test's parameter, or to True: only waiting for its job completes a build."""
    wanted = getattr(request, "param", True)
    connection.settings_dict["OPTIONS"]["slow_builds"] = wanted
    _reconnect()  # a session reads its options when it begins
    yield wanted
    del connection.settings_dict["OPTIONS"]["slow_builds"]
    _reconnect()


def _reconnect() -> None:
    connection.close()
    connection.close_pool()


@pytest.fixture
def empty_database() -> Iterator[str]:
    """The address of a new database."""
    settings = connection.settings_dict
    name = f"{settings['NAME']}_migrations"
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
        cursor.execute(f"""CREATE DATABASE "{name}" ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0""")
    query = urlencode({"host": settings["HOST"] or "localhost", "port": settings["PORT"] or 5432})
    user, password = quote(settings["USER"] or ""), quote(settings["PASSWORD"] or "")
    yield f"postgresql://{user}:{password}@/{name}?{query}"
    with connection._nodb_cursor() as cursor, cursor.db.statement_deadline(None):  # it waits for a checkpoint
        cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
