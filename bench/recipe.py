"""What guides to flash sales recommend, as a floor: a counter in Valkey decides, then PostgreSQL gets the order.

The same load, client and web server as for the product. `bench.recipe_server` is the other side.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import redis
from psycopg.rows import dict_row

from bench.floors import copy_tables
from bench.load import Client, Load, request
from bench.servers import Stack
from embedded.errors import StartError

SCHEMA = "recipe"
ORDERS = f"{SCHEMA}.orders"
GIVEN = ["id", "fan_id", "idempotency_key", "quantity", "transfer_id"]  # the columns of an INSERT
SERVER = "bench.recipe_server"
PATH = "/recipe/"
FAN_HEADER = b"x-fan"
KEY_HEADER = b"idempotency-key"
UNITS = 1_000_000
LIMIT = 1  # units a fan


def run(stack: Stack, client: Client, *, orders: str, processes: int, fans: int, warm_up_fans: int) -> Load:
    """A purchase of one unit by each of that many fans. `orders` is the product's table of them, which must not be empty.

    Raises StartError when one was not accepted, or the table does not hold exactly those that were.
    """
    with (
        psycopg.connect(stack.database_url, autocommit=True) as database,
        redis.from_url(stack.valkey.url) as counter,
    ):
        make_tables(database, orders)
        with stack.web(processes, server=SERVER) as web:
            client.run(web.port, purchases(open_sale(counter), warm_up_fans))
            database.execute(f"TRUNCATE {ORDERS}")
            load = client.run(web.port, purchases(open_sale(counter), fans))
        check(database, load)
        database.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    return load


def make_tables(database: psycopg.Connection[Any], orders: str) -> None:
    """A table of orders with the product's columns, constraints and indexes. What is alike in all orders of the recipe is a
    default, taken from one of the product's, so that an INSERT names only what differs.
    """
    copy_tables(database, SCHEMA, [orders])
    database.execute(f"ALTER TABLE {SCHEMA}.{orders} RENAME TO orders")
    cursor = psycopg.ClientCursor(database, row_factory=dict_row)
    example = cursor.execute(f"SELECT * FROM public.{orders} LIMIT 1").fetchone()
    assert example is not None, orders
    for column, value in example.items():
        if column not in GIVEN:
            cursor.execute(f"ALTER TABLE {ORDERS} ALTER COLUMN {column} SET DEFAULT %s", [value])


def open_sale(counter: redis.Redis) -> str:
    sale = uuid.uuid4().hex
    counter.set(stock_key(sale), UNITS)
    return sale


def stock_key(sale: str) -> str:
    return f"recipe:stock:{sale}"


def fans_key(sale: str) -> str:
    return f"recipe:fans:{sale}"


def purchases(sale: str, fans: int) -> list[bytes]:
    """One request for one unit from each of that many fans."""
    return [purchase(sale) for _ in range(fans)]


def purchase(sale: str) -> bytes:
    headers = {FAN_HEADER: uuid.uuid4(), KEY_HEADER: uuid.uuid4(), b"content-type": "application/json"}
    named = {name.decode(): str(value) for name, value in headers.items()}
    return request("POST", f"{PATH}{sale}", headers=named, body=b'{"quantity": 1}')


def check(database: psycopg.Connection[Any], load: Load) -> None:
    if set(load.answers()) != {"201"}:
        raise StartError(f"The recipe did not accept every order: {dict(load.answers())}")
    told = {json.loads(body)["id"] for body in load.bodies}
    stored = {id for (id,) in database.execute(f"SELECT id::text FROM {ORDERS}")}
    if told != stored:
        raise StartError(f"The recipe stored {len(stored)} orders and told of {len(told)}.")
