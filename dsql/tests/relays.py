"""Relays before the test server, and wrappers that go through them. Imported by the tests of connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from django.db import connection, connections

from dsql.base import DatabaseWrapper
from dsql.relay import Relay

ALIAS = "relayed"
HANGS_AFTER_S = 60.0  # how quick anything is depends on the machine; this only ends a test that would wait for ever


@pytest.fixture
def server(django_db_blocker: Any) -> Iterator[str]:
    """Where the test server listens, as a relay's target. No database of its own is made: none of it is written to."""
    settings = connection.settings_dict
    host, port = settings["HOST"], settings["PORT"] or 5432
    with django_db_blocker.unblock():
        yield f"unix:{host}/.s.PGSQL.{port}" if host.startswith("/") else f"{host or '127.0.0.1'}:{port}"


@pytest.fixture
def make_relay(server: str) -> Iterator[Callable[..., Relay]]:
    made: list[Relay] = []

    def make(**options: Any) -> Relay:
        made.append(Relay(server, **options).start())
        return made[-1]

    yield make
    for relay in made:
        relay.close()


@pytest.fixture
def make_wrapper(server: str) -> Iterator[Callable[..., DatabaseWrapper]]:
    """A wrapper for the alias "relayed", with these OPTIONS and these settings (in capitals)."""

    def make(**options: Any) -> DatabaseWrapper:
        settings = deepcopy(connection.settings_dict)
        settings.update({name: options.pop(name) for name in list(options) if name.isupper()})
        settings["OPTIONS"] = options
        wrapper = DatabaseWrapper(settings, ALIAS)
        connections.settings[ALIAS] = settings
        connections[ALIAS] = wrapper
        return wrapper

    yield make
    if ALIAS in connections.settings:
        wrapper = connections[ALIAS]
        wrapper.close()
        wrapper.close_pool()
        del connections[ALIAS]
        del connections.settings[ALIAS]


def value_of(wrapper: Any, sql: str) -> Any:
    with wrapper.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def eventually(is_so: Callable[[], Any]) -> None:
    give_up_at = time.monotonic() + HANGS_AFTER_S
    while not is_so():
        assert time.monotonic() < give_up_at, "it did not happen in time"
        time.sleep(0.01)
