"""A TCP relay that can fail: stands for an endpoint, and the network before it, in tests and on one machine.

    relay = Relay("unix:/run/postgresql/.s.PGSQL.5432")
    with relay:                      # listens on relay.port
        relay.hang()                 # takes connections and bytes, and answers nothing
        relay.heal()

With `distance` it stands for a database some milliseconds away (`dsql.distance`).

`python -m dsql.relay --listen 127.0.0.1:0 --to HOST:PORT` is the same as a process. It prints "listening on HOST:PORT" and
obeys lines on its standard input: stop, hang, cut, delay SECONDS, heal, quit. SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self

from dsql.distance import NEAR, ClientMessages, Distance

CHUNK_BYTES = 64 * 1024
CONTROL_TIMEOUT_S = 5.0
SETTLING_ROUNDS = 4  # of the loop, until a connection just accepted is served, or one just aborted has ended
UNIX_PREFIX = "unix:"
# Linger for no time: closing then sends a reset instead of a polite end.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Relay:
    """Passes bytes between its port and `to` ("host:port" or "unix:/path"), in a thread of its own.

    All methods are thread-safe and return when they are in force. With `tls` it takes TLS from the first byte on, as
    DSQL's endpoints do, and speaks plainly to the server. `distance` is for PostgreSQL's protocol only.
    """

    def __init__(
        self,
        to: str,
        *,
        listen: str = "127.0.0.1:0",
        tls: ssl.SSLContext | None = None,
        distance: Distance = NEAR,
    ) -> None:
        self.to = to
        self.host, _, port = listen.rpartition(":")
        self.port = int(port)  # 0: any that is free, known after start()
        self.connections_made = 0
        self._tls = tls
        self._delay_s = 0.0
        self._distance = distance
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dsql-relay", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def open_connections(self) -> int:
        return len(self._tasks)

    def start(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def close(self) -> None:
        """End it for good: nothing listens, and all connections are reset."""
        if not self._loop.is_closed():
            self._run(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(CONTROL_TIMEOUT_S)
            self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- what can go wrong

    def stop(self) -> None:
        """Like a server that died: new connections are refused, old ones reset. (Its port is free until heal().)"""
        self._run(self._stop())

    def hang(self) -> None:
        """Like a server that froze: connections are taken, bytes swallowed, and nothing is answered."""
        self._run(self._set_flowing(False))

    def cut(self) -> None:
        """Reset all connections. New ones are taken as before."""
        self._run(self._cut())

    def delay(self, seconds: float) -> None:
        """From now on each byte arrives this much later, in both directions."""
        self._delay_s = seconds

    def heal(self) -> None:
        """Back to normal, for new connections. Those that hung are reset: what they swallowed is lost."""
        self._delay_s = 0.0
        self._run(self._heal())

    # -- in the relay's thread

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(CONTROL_TIMEOUT_S)

    async def _start(self) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        await self._stop()
        await _settle()  # lets those begin that were accepted just now: they then clean up after themselves
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _settle()

    async def _stop(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        await self._cut()

    async def _cut(self) -> None:
        for writer in tuple(self._writers):
            _reset(writer)

    async def _set_flowing(self, flows: bool) -> None:
        if flows:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _heal(self) -> None:
        if not self._flowing.is_set():
            await self._cut()
            self._flowing.set()
        if self._server is None:
            await self._listen()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections_made += 1
        try:
            await self._relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the ends of a relay fail as they like; the other end is told below
        finally:
            _reset(writer)
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._flowing.is_set():
            # The server is not even dialled: a frozen machine would not do that either.
            await self._swallow(reader)
            return
        upstream_reader, upstream_writer = await self._dial()
        self._writers.add(upstream_writer)
        messages = None if self._distance == NEAR else ClientMessages()
        ways = [
            asyncio.create_task(self._pass(reader, upstream_writer, messages)),
            asyncio.create_task(self._pass(upstream_reader, writer)),
        ]
        try:
            # Either end closing is the end of both: PostgreSQL has no half-closed connections.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            upstream_writer.close()
            self._writers.discard(upstream_writer)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.to.startswith(UNIX_PREFIX):
            return await asyncio.open_unix_connection(self.to.removeprefix(UNIX_PREFIX))
        host, _, port = self.to.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, messages: ClientMessages | None = None
    ) -> None:
        """Pass on what comes, in order, each chunk `delay` later than it came; until the end, or until it hangs.

        `messages` are what a client sends to a server at a distance.
        """
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sender = asyncio.create_task(self._send(chunks, writer))
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                wait_s = messages.wait_s(chunk, self._distance) if messages else 0.0
                chunks.put_nowait((self._loop.time() + self._delay_s + wait_s, chunk))
            chunks.put_nowait((self._loop.time() + self._delay_s, b""))
            await sender
        finally:
            sender.cancel()

    async def _send(self, chunks: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due, chunk = await chunks.get()
            if (pause_s := due - self._loop.time()) > 0:
                await asyncio.sleep(pause_s)
            if not self._flowing.is_set():
                continue  # swallowed, the end too
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(CHUNK_BYTES):
            pass


async def _settle() -> None:
    for _ in range(SETTLING_ROUNDS):
        await asyncio.sleep(0)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.family != getattr(socket, "AF_UNIX", None):
        with suppress(OSError):  # closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()


def obey(relay: Relay, line: str) -> bool:
    """Do what a line says; False when it was the last. Raises ValueError for a line that says nothing known."""
    word, *values = line.split() or [""]
    if word == "quit":
        return False
    if word == "delay" and len(values) == 1:
        relay.delay(float(values[0]))
    elif word in ("stop", "hang", "cut", "heal") and not values:
        getattr(relay, word)()
    elif word:
        raise ValueError(f"Not a command: {line.strip()}")
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dsql.relay", description="A TCP relay that can fail.")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--to", required=True, metavar="HOST:PORT or unix:PATH")
    arguments = parser.parse_args()
    with Relay(arguments.to, listen=arguments.listen) as relay:
        print(f"listening on {relay.address}", flush=True)
        for line in sys.stdin:
            try:
                if not obey(relay, line):
                    return
                print(f"ok {line.strip()}", flush=True)
            except ValueError as error:
                print(error, file=sys.stderr, flush=True)
        threading.Event().wait()  # no standard input: until a signal


if __name__ == "__main__":
    main()
