"""The rally as one writes it first: look whether the fan is in, read the count, store the price that it makes, insert.

Every statement is right by itself, and the whole runs in one transaction at REPEATABLE READ. Nothing in it makes two
transactions meet, so the database refuses none of them. It keeps to a schema of its own.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import psycopg

from bench.double_taps import Tap, row_of, taps
from bench.servers import Stack
from bench.staircase import TIERS

SCHEMA = "naive"
THREADS = 32
STEPS = [(count, int(Decimal(price) * 100)) for count, price in TIERS]


@dataclass
class Naive:
    """What the run left. Prices are minor units."""

    attempts: int
    joins: int
    double_joins: int  # rows beyond one a fan
    prices: int  # different ones stored
    refused: int  # transactions that the database refused


def run(stack: Stack) -> Naive:
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        connection.execute(
            f"CREATE TABLE {SCHEMA}.joined (id uuid PRIMARY KEY, fan_id uuid NOT NULL, price_minor bigint NOT NULL)"
        )
        connection.execute(f"CREATE INDEX ON {SCHEMA}.joined (fan_id)")
        attempts = taps()
        refused = stampede_of_threads(stack.database_url, attempts)
        joins, fans, prices = row_of(
            connection, f"SELECT count(*), count(DISTINCT fan_id), count(DISTINCT price_minor) FROM {SCHEMA}.joined"
        )
        connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    return Naive(len(attempts), joins, joins - fans, prices, refused)


def stampede_of_threads(url: str, attempts: list[Tap]) -> int:
    """All attempts, THREADS at a time; how many of them the database refused."""
    fans = {tap.fan: uuid.uuid4() for tap in attempts}
    waiting: Iterator[Tap] = iter(attempts)
    taking = threading.Lock()
    refused = []

    def client() -> None:
        with psycopg.connect(url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            while True:
                with taking:
                    tap = next(waiting, None)
                if tap is None:
                    return
                try:
                    with connection.transaction():
                        join(connection, fans[tap.fan])
                except psycopg.errors.SerializationFailure as error:
                    refused.append(error)

    threads = [threading.Thread(target=client) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(refused)


def join(connection: psycopg.Connection[tuple[int, ...]], fan_id: uuid.UUID) -> None:
    if connection.execute(f"SELECT 1 FROM {SCHEMA}.joined WHERE fan_id = %s", [fan_id]).fetchone():
        return
    (joiners,) = row_of(connection, f"SELECT count(*) FROM {SCHEMA}.joined")
    price_minor = [price for count, price in STEPS if joiners + 1 >= count][-1]
    connection.execute(f"INSERT INTO {SCHEMA}.joined VALUES (%s, %s, %s)", [uuid.uuid4(), fan_id, price_minor])
