"""One question put to every endpoint of a database at the same moment."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections

from dsql.endpoints import route_to

TOGETHER_WITHIN_S = 2.0


@dataclass(frozen=True)
class Reading:
    """What one endpoint answered, or why it did not. `asked_at` is when the question was sent."""

    endpoint: str
    answer: int | None
    asked_at: dt.datetime
    took_ms: float
    error: str | None = None


def read_at_each_endpoint(sql: str, params: Mapping[str, Any], *, using: str = DEFAULT_DB_ALIAS) -> list[Reading]:
    """Run a query that gives one number through each endpoint, on connections made for it; nearest first.

    All questions are sent together, once every connection is there. Empty when the database has no list of endpoints.
    """
    wrapper: Any = connections[using]
    endpoints = wrapper.route.endpoints if wrapper.route else ()
    together = threading.Barrier(max(len(endpoints), 1))
    found: dict[Any, Reading] = {}

    def read(endpoint: Any) -> None:
        asked_at, began_at = dt.datetime.now(dt.UTC), time.perf_counter()
        try:
            login = {**wrapper.get_connection_params(), "route": route_to((endpoint,))}
            with wrapper._connection_class.connect(**login, autocommit=True) as connection:
                wait_for(together)
                asked_at, began_at = dt.datetime.now(dt.UTC), time.perf_counter()
                row = connection.execute(sql, dict(params)).fetchone()
            answer, error = (None if row is None or row[0] is None else int(row[0])), None
        except psycopg.Error as failure:
            together.abort()  # the others need not wait for this one
            answer, error = None, str(failure).partition("\n")[0]
        found[endpoint] = Reading(endpoint.name, answer, asked_at, (time.perf_counter() - began_at) * 1000, error)

    threads = [threading.Thread(target=read, args=[endpoint]) for endpoint in endpoints]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[endpoint] for endpoint in endpoints]


def wait_for(together: threading.Barrier) -> None:
    try:
        together.wait(TOGETHER_WITHIN_S)
    except threading.BrokenBarrierError:
        pass  # an endpoint is down: its reading says so
