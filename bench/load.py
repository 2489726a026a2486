"""An HTTP/1.1 load client that takes little CPU, because it shares the machine with what it measures.

A raw protocol on uvloop: each connection sends its next prebuilt request as soon as its answer is in. Of an answer only
the status and the length are read while the clock runs; bodies are kept as they came and looked at afterwards.

This is a closed loop: as many buyers wait at any moment as there are connections. So it finds what the server can do,
and its latencies are those of a full queue; they say nothing of buyers who come at a rate of their own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import uvloop

CONNECTIONS = 256
DEADLINE_S = 60.0
NO_ANSWER = 0

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_STATUS = slice(9, 12)  # of "HTTP/1.1 201 Created"


@dataclass
class Load:
    """What happened to every request, by its number. Times are nanoseconds; `begun` counts from the first request."""

    begun: array[int]
    latency: array[int]
    statuses: array[int]  # NO_ANSWER where none came
    bodies: list[bytes]
    failures: Counter[str] = field(default_factory=Counter)  # why requests have no answer
    client_cpu_s: float = 0.0

    @classmethod
    def of(cls, requests: int) -> Load:
        return cls(
            begun=array("q", bytes(8 * requests)),
            latency=array("q", bytes(8 * requests)),
            statuses=array("h", bytes(2 * requests)),
            bodies=[b""] * requests,
        )

    def numbers(self, status: int) -> list[int]:
        """The requests that got this status."""
        return [number for number, found in enumerate(self.statuses) if found == status]

    def ended_s(self, number: int) -> float:
        """When this request's answer was in, in seconds since the first request."""
        return (self.begun[number] + self.latency[number]) / 1e9

    def latencies_ms(self, status: int) -> list[float]:
        """Of the answers with this status, shortest first."""
        return sorted(self.latency[number] / 1e6 for number in self.numbers(status))

    def answers(self) -> Counter[str]:
        """What became of the requests, each counted once: "201", "409 sold_out", and every failure by name."""
        counted = Counter(
            f"{status} {code_of(body)}".strip()
            for status, body in zip(self.statuses, self.bodies, strict=True)
            if status != NO_ANSWER
        )
        return counted + self.failures


def code_of(body: bytes) -> str:
    """The `code` of a refusal; empty for any other body."""
    if b'"code"' not in body:
        return ""
    try:
        return str(json.loads(body)["code"])
    except (ValueError, KeyError, TypeError):
        return "unreadable"


def request(method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """One request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Client:
    """Runs loads in a process of its own, so that the clock is not disturbed by what else the benchmark does."""

    def __init__(self) -> None:
        # Spawned, not forked: a fork would carry our database connections along.
        self._process = ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn"))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.shutdown()

    def run(
        self, port: int, requests: Sequence[bytes], *, connections: int = CONNECTIONS, deadline_s: float = DEADLINE_S
    ) -> Load:
        """Send all `requests` to 127.0.0.1, from `connections` at a time. Ends after `deadline_s` at the latest."""
        return self._process.submit(run, port, requests, connections, deadline_s).result()


def run(port: int, requests: Sequence[bytes], connections: int, deadline_s: float) -> Load:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Run(port, requests, deadline_s).go(connections))


class _Run:
    """One load: the requests still to be sent, and what came of the others."""

    def __init__(self, port: int, requests: Sequence[bytes], deadline_s: float) -> None:
        self.port = port
        self.requests = requests
        self.deadline_s = deadline_s
        self.load = Load.of(len(requests))
        self.numbers: Iterator[int] = iter(range(len(requests)))
        self.retired = asyncio.Event()
        self.running = 0
        self.started_ns = 0
        self.reconnecting: set[asyncio.Task[None]] = set()

    async def go(self, connections: int) -> Load:
        opened = await asyncio.gather(*(self.connect() for _ in range(connections)))
        self.running = len(opened)
        gc.collect()
        gc.disable()  # a pause of ours would be measured as one of the server's
        cpu_before = time.process_time()
        self.started_ns = time.perf_counter_ns()
        for connection in opened:
            connection.send_next()
        try:
            await asyncio.wait_for(self.retired.wait(), self.deadline_s)
        except TimeoutError:
            pass  # what is missing is counted below
        self.load.client_cpu_s = time.process_time() - cpu_before
        gc.enable()
        self.count_missing()
        return self.load

    async def connect(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self), "127.0.0.1", self.port
        )
        return connection

    def broken(self, reason: str) -> None:
        """A connection ended in the middle of a request. The request stays unanswered; another connection goes on."""
        self.load.failures[reason] += 1
        task = asyncio.create_task(self.reconnect())
        self.reconnecting.add(task)
        task.add_done_callback(self.reconnecting.discard)

    async def reconnect(self) -> None:
        try:
            connection = await self.connect()
        except OSError:
            self.retire()  # the server is gone: what this connection would have sent counts as never sent
        else:
            connection.send_next()

    def retire(self) -> None:
        self.running -= 1
        if not self.running:
            self.retired.set()

    def count_missing(self) -> None:
        """Requests that were sent and never answered for another reason than those counted, and requests never sent."""
        unsent = sum(1 for _ in self.numbers)
        unanswered = sum(1 for status in self.load.statuses if status == NO_ANSWER)
        silent = unanswered - unsent - self.load.failures[BROKEN] - self.load.failures[UNREADABLE]
        for name, count in (("never sent", unsent), ("no answer in time", silent)):
            if count:
                self.load.failures[name] = count


BROKEN = "connection broken"
UNREADABLE = "unreadable answer"


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way."""

    __slots__ = ("answer", "begun_ns", "head_bytes", "load", "number", "run", "total_bytes", "transport")

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.load = run.load
        self.number = -1  # the request under way
        self.begun_ns = 0
        self.answer = b""  # as much of it as has come
        self.head_bytes = self.total_bytes = 0  # of the answer, once its head is in
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send_next(self) -> None:
        number = next(self.run.numbers, -1)
        self.number = number
        if number < 0:
            self.transport.close()
            self.run.retire()
            return
        self.begun_ns = time.perf_counter_ns()
        self.transport.write(self.run.requests[number])

    def data_received(self, data: bytes) -> None:
        answer = self.answer = self.answer + data if self.answer else data
        if not self.total_bytes and not self.read_head(answer):
            return
        if len(answer) < self.total_bytes:
            return
        ended_ns = time.perf_counter_ns()
        number = self.number
        load = self.load
        load.begun[number] = self.begun_ns - self.run.started_ns
        load.latency[number] = ended_ns - self.begun_ns
        load.statuses[number] = int(answer[_STATUS])
        load.bodies[number] = answer[self.head_bytes :]
        self.answer = b""
        self.total_bytes = 0
        self.send_next()

    def read_head(self, answer: bytes) -> bool:
        """Whether the head is in and says how long the answer is."""
        end = answer.find(_HEAD_END)
        if end < 0:
            return False
        head = answer[: end + 2].lower()
        at = head.find(_LENGTH)
        if at < 0:
            self.give_up(UNREADABLE)  # chunked: no endpoint that we measure answers so
            return False
        self.head_bytes = end + len(_HEAD_END)
        self.total_bytes = self.head_bytes + int(head[at + len(_LENGTH) : head.find(b"\r\n", at + 2)])
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.number >= 0:
            self.give_up(BROKEN)

    def give_up(self, reason: str) -> None:
        self.number = -1
        self.transport.abort()
        self.run.broken(reason)
