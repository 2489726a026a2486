from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, connections


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
        thread.join(timeout=10)
        assert not thread.is_alive()
