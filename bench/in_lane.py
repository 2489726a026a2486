"""Purchases put straight into a drop's lane, in one process without HTTP: what the lane can do by itself.

As many commands are under way as the load client has connections. The next one is put in by the outcome of another, on an
event loop, as a web process does it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import json
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import uvloop

from bench.figures import percentile
from bench.load import CONNECTIONS
from core import clock
from core.ids import uuid7
from drops import rules, services


def main(sale_id: str, fans_file: str, warm_up: int) -> dict[str, float]:
    """Orders a second, and the percentiles of their times in milliseconds. The first `warm_up` fans are not counted."""
    os.environ["DROPFRONT_SLOT"] = "0"
    clock.measure()
    fans = [UUID(json.loads(line)["fan_id"]) for line in Path(fans_file).read_text().splitlines()]
    lane = services.lanes[UUID(sale_id)]
    run(lane, fans[:warm_up])
    began_at = time.perf_counter()
    latencies_ms = sorted(run(lane, fans[warm_up:]))
    return {
        "per_s": len(latencies_ms) / (time.perf_counter() - began_at),
        "p50_ms": percentile(latencies_ms, 50),
        "p99_ms": percentile(latencies_ms, 99),
        "longest_ms": percentile(latencies_ms, 100),
    }


def purchase(fan_id: UUID, now: dt.datetime) -> rules.PlaceOrder:
    return rules.PlaceOrder(
        order_id=uuid7(), transfer_id=uuid7(), fan_id=fan_id, idempotency_key=uuid4(), quantity=1, hold=False,
        received_at=now,
    )  # fmt: skip


def run(lane: services.OrderLane, fans: list[UUID]) -> list[float]:
    gc.collect()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Run(lane, fans).go())


class _Run:
    """One purchase by each of the fans."""

    def __init__(self, lane: services.OrderLane, fans: list[UUID]) -> None:
        self.lane = lane
        self.fans: Iterator[UUID] = iter(fans)
        self.left = len(fans)
        self.latencies_ms: list[float] = []

    async def go(self) -> list[float]:
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self.loop.create_future()
        for _ in range(CONNECTIONS):
            self.submit_next()
        await self.ended
        return self.latencies_ms

    def submit_next(self) -> None:
        fan_id = next(self.fans, None)
        if fan_id is not None:
            tell = partial(self.tell, time.perf_counter())
            self.lane.submit(purchase(fan_id, clock.now()), tell, self.loop)

    def tell(self, began_at: float, outcome: Any) -> None:
        self.latencies_ms.append((time.perf_counter() - began_at) * 1e3)
        self.left -= 1
        if self.ended.done():
            return  # another one was refused before
        if isinstance(outcome, BaseException):
            self.ended.set_exception(outcome)
        elif not self.left:
            self.ended.set_result(None)
        else:
            self.submit_next()
