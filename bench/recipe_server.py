"""`python -m bench.recipe_server --port P`: one process of the flash-sale recipe, a bare ASGI application.

Valkey counts the units and each fan's, in one script; whoever gets a unit is then inserted into PostgreSQL, with a commit each.
There is no money and no ledger, nobody proves who they are, a repeat is not recognised, and a unit whose INSERT fails is lost.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
import redis.asyncio as valkey
import uvicorn
from psycopg_pool import AsyncConnectionPool

from bench.recipe import FAN_HEADER, GIVEN, KEY_HEADER, LIMIT, ORDERS, PATH, fans_key, stock_key
from core.ids import uuid7
from dropfront.server import BACKLOG, KEEP_ALIVE_S, open_socket

DATABASE_CONNECTIONS = 16  # a process; more, or fewer, gained nothing
VALKEY_CONNECTIONS = 16

TAKE = """
local left = tonumber(redis.call('GET', KEYS[1]) or '0')
if left < tonumber(ARGV[2]) then return 'sold_out' end
local has = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
if has + ARGV[2] > tonumber(ARGV[3]) then return 'limit_reached' end
redis.call('DECRBY', KEYS[1], ARGV[2])
redis.call('HINCRBY', KEYS[2], ARGV[1], ARGV[2])
return 'taken'
"""

INSERT = f"INSERT INTO {ORDERS} ({', '.join(GIVEN)}) VALUES ({', '.join(['%s'] * len(GIVEN))})"

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

encode = msgspec.json.Encoder().encode


class Asked(msgspec.Struct):
    quantity: int


decode = msgspec.json.Decoder(Asked).decode


class Recipe:
    def __init__(self) -> None:
        self.database = AsyncConnectionPool(
            os.environ["DATABASE_URL"], min_size=DATABASE_CONNECTIONS, max_size=DATABASE_CONNECTIONS, open=False,
            kwargs={"autocommit": True, "prepare_threshold": 0},
        )  # fmt: skip
        pool = valkey.BlockingConnectionPool.from_url(os.environ["REDIS_URL"], max_connections=VALKEY_CONNECTIONS)
        self.counter = valkey.Redis.from_pool(pool)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        elif scope["path"].startswith(PATH):
            await answer(send, *await self.buy(scope, receive))
        else:
            await answer(send, 200, b"{}")

    async def live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def open(self) -> None:
        await self.database.open(wait=True)
        self.script = await self.counter.script_load(TAKE)

    async def close(self) -> None:
        await self.database.close()
        await self.counter.aclose()

    async def buy(self, scope: dict[str, Any], receive: Receive) -> tuple[int, bytes]:
        headers = dict(scope["headers"])
        fan = headers[FAN_HEADER].decode()
        quantity = decode((await receive())["body"]).quantity
        sale = scope["path"].removeprefix(PATH)
        said = await self.counter.evalsha(self.script, 2, stock_key(sale), fans_key(sale), fan, quantity, LIMIT)
        if said != b"taken":
            return 409, encode({"code": said.decode()})
        order_id = uuid7()
        row = [order_id, UUID(fan), UUID(headers[KEY_HEADER].decode()), quantity, uuid7()]
        async with self.database.connection() as connection:
            await connection.execute(INSERT, row)
        return 201, encode({"id": order_id})


async def answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.recipe_server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slot", type=int, help="not used: its processes are all alike")
    arguments = parser.parse_args()
    config = uvicorn.Config(
        Recipe(), loop="uvloop", http="httptools", lifespan="on", backlog=BACKLOG, timeout_keep_alive=KEEP_ALIVE_S,
        access_log=False, server_header=False, proxy_headers=False, log_level="warning",
    )  # fmt: skip
    with open_socket("127.0.0.1", arguments.port) as listener:
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
