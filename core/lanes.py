"""Lanes: all commands against one hot thing that reach this process, a batch to a transaction (flat combining).

A command waits in its lane's queue until the lane is free; then the lane takes everything waiting and runs one retried
transaction for it. One command when idle, hundreds in a stampede: a hot row is written once per batch instead of once per
buyer, and arrival order is kept. Correctness never depends on a lane; any number of processes may have one for the same thing.
"""

from __future__ import annotations

import asyncio
import functools
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

import structlog
from django.db import connection

from core import metrics
from core.blame import Blame, blame
from core.errors import Busy, Refusal
from core.transactions import DEADLINE_S, in_transaction

C = TypeVar("C")  # a command
O = TypeVar("O")  # its outcome  # noqa: E741

Tell = Callable[[Any], None]  # gets an outcome, or the error instead of one

log = structlog.get_logger(__name__)

# Lanes mostly wait for the database. More threads than this would only add connections and lock contention.
THREADS = 4
_executor = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="lane")
LINGER_FROM = 16
LINGER_S = 0.012
LINGER_STEP_S = 0.002
_lanes_waiting = 0  # that have no thread yet; a lane with endless work gives its thread to one of them after each batch
_waiting_lock = threading.Lock()


@functools.cache
def process_slot() -> int:
    """This process' number, which says what bucket of a sale it keeps to. Web processes are counted; others take any.

    Read at first use: a web process names its number after this module is imported.
    """
    return int(os.environ.get("DROPFRONT_SLOT") or random.randrange(1_000))


class _Ticket(Generic[C, O]):
    """A command in the queue, and how its outcome is told: on an event loop, or from the lane's own thread."""

    __slots__ = ("command", "fan", "loop", "queued_at", "rows", "tell")

    def __init__(
        self, command: C, tell: Tell, loop: asyncio.AbstractEventLoop | None, rows: int, fan: Hashable | None
    ) -> None:
        self.command = command
        self.tell = tell
        self.loop = loop
        self.rows = rows
        self.fan = fan
        self.queued_at = time.monotonic()


class Lane(Generic[C, O]):
    """Subclass with `run`. An outcome is a value, or a Refusal that the caller will see raised."""

    name: ClassVar[str] = "lane"
    batch_max: ClassVar[int] = 400
    rows_max: ClassVar[int] = 2_800  # DSQL takes 3,000 a transaction; the rest is for what a batch writes once
    queue_max: ClassVar[int] = 5_000
    fan_max: ClassVar[int] = 8  # commands of one fan that may wait at a time, so that nobody fills the queue alone

    def __init__(self) -> None:
        self._queue: deque[_Ticket[C, O]] = deque()
        self._waiting_of: dict[Hashable, int] = {}  # how many commands in the queue are this fan's
        self._lock = threading.Lock()
        self._is_running = False

    def run(self, batch: Sequence[C]) -> Sequence[O | Refusal]:
        """Outcomes in the batch's order. Runs inside a retried transaction, perhaps several times: rows are its only effect."""
        raise NotImplementedError

    def rows_of(self, command: C) -> int:
        """How many rows `command` writes at most. What a batch may hold is measured by these."""
        return 4

    def fan_of(self, command: C) -> Hashable | None:
        """Whose command it is. None, for what no fan asked for, is not counted."""
        return getattr(command, "fan_id", None)

    def told(self, batch: Sequence[C], outcomes: Sequence[O | Refusal]) -> None:
        """Called once after the batch's commit, for what must happen afterwards: frames, metrics."""

    async def ask(self, command: C) -> O:
        """Queue `command` and wait for its outcome. Raises its Refusal; Busy at once when it may not queue."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[O] = loop.create_future()
        self.submit(command, partial(_settle, future), loop)
        return await future

    def call(self, command: C) -> O:
        """`ask` for threads: blocks until the outcome is there."""
        future: Future[O] = Future()
        self.submit(command, partial(_settle, future), None)
        return future.result()

    def submit(self, command: C, tell: Tell, loop: asyncio.AbstractEventLoop | None) -> None:
        """Queue `command`; `tell` gets its outcome or the error, on `loop` or else in the lane's thread.

        Raises Busy when the queue is full, or when enough commands of the same fan wait in it.
        """
        fan = self.fan_of(command)
        ticket: _Ticket[C, O] = _Ticket(command, tell, loop, self.rows_of(command), fan)
        with self._lock:
            if len(self._queue) >= self.queue_max:
                raise Busy
            if fan is not None:
                waiting = self._waiting_of.get(fan, 0)
                if waiting >= self.fan_max:
                    raise Busy
                self._waiting_of[fan] = waiting + 1
            self._queue.append(ticket)
            if self._is_running:
                return
            self._is_running = True
        self._get_a_thread()

    @property
    def is_busy(self) -> bool:
        return self._is_running

    @property
    def depth(self) -> int:
        return len(self._queue)

    def _get_a_thread(self) -> None:
        global _lanes_waiting
        with _waiting_lock:
            _lanes_waiting += 1
        _executor.submit(self._drain)

    def _drain(self) -> None:
        global _lanes_waiting
        with _waiting_lock:
            _lanes_waiting -= 1
        try:
            while batch := self._take():
                self._work(batch)
                self._pause_after(len(batch))
                if _lanes_waiting:
                    self._get_a_thread()
                    return
        finally:
            connection.close()  # back to the pool: a lane without a thread holds nothing

    def _pause_after(self, last: int) -> None:
        try:
            metrics.LANE_DEPTH.labels(self.name).set(len(self._queue))
            self._linger(last)
        except Exception:  # whatever goes wrong between two batches, the lane takes the next one
            log.exception("lane_pause_failed", lane=self.name)

    def _linger(self, last: int) -> None:
        """After a large batch, let the next one fill up as long as it grows, for some milliseconds at most.

        A batch has a fixed cost that its commands share. In a stampede callers just answered come back at once, and the event
        loop needs this thread's share of the interpreter to read them.
        """
        if last < LINGER_FROM:
            return
        deadline = time.monotonic() + LINGER_S
        waiting = -1
        while waiting < len(self._queue) and time.monotonic() < deadline:
            waiting = len(self._queue)
            time.sleep(LINGER_STEP_S)

    def _take(self) -> list[_Ticket[C, O]]:
        """The next batch: at least one command, and no more rows than a transaction may write."""
        with self._lock:
            queue = self._queue
            batch: list[_Ticket[C, O]] = []
            rows = 0
            while queue and len(batch) < self.batch_max:
                rows += queue[0].rows
                if rows > self.rows_max and batch:
                    break
                batch.append(queue.popleft())
            self._forget_fans(batch)
            self._is_running = bool(batch)
        return batch

    def _forget_fans(self, taken: list[_Ticket[C, O]]) -> None:
        # Being taken is the only way out of the queue, also for who has given up or has waited for too long.
        if not self._queue:
            self._waiting_of.clear()
            return
        for ticket in taken:
            if ticket.fan is not None:
                waiting = self._waiting_of.pop(ticket.fan)
                if waiting > 1:
                    self._waiting_of[ticket.fan] = waiting - 1

    def _work(self, tickets: list[_Ticket[C, O]]) -> None:
        now = time.monotonic()
        oldest_allowed = now - DEADLINE_S
        fresh = [ticket for ticket in tickets if ticket.queued_at >= oldest_allowed]
        if len(fresh) < len(tickets):
            # Their callers have waited the whole deadline; doing the work now would only make the next ones wait as long.
            _deliver([(ticket, Busy()) for ticket in tickets if ticket.queued_at < oldest_allowed])
        if fresh:
            _deliver(self._outcomes(fresh, deadline=now + DEADLINE_S))

    def _outcomes(self, tickets: list[_Ticket[C, O]], *, deadline: float) -> list[tuple[_Ticket[C, O], Any]]:
        """Run the batch; when one command may have failed all, halve it until that one stands alone."""
        batch = [ticket.command for ticket in tickets]
        started = time.monotonic()
        try:
            outcomes = in_transaction(
                lambda: self.run(batch), name=self.name, replayable=True, deadline_s=deadline - started
            )
            assert len(outcomes) == len(batch), (len(outcomes), len(batch))
        except Refusal as refusal:
            # Of the whole batch: Busy after the retries' deadline, or the hot thing does not exist.
            return [(ticket, refusal) for ticket in tickets]
        except Exception as error:
            if blame(error) is Blame.ONE_ROW and len(tickets) > 1:
                return self._halve(tickets, deadline)
            log.exception("lane_batch_failed", lane=self.name, commands=len(tickets))
            answer = Busy() if blame(error) is Blame.PASSING else error
            return [(ticket, answer) for ticket in tickets]
        self._after_commit(batch, outcomes, time.monotonic() - started)
        return list(zip(tickets, outcomes, strict=True))

    def _halve(self, tickets: list[_Ticket[C, O]], deadline: float) -> list[tuple[_Ticket[C, O], Any]]:
        # A poisoned command: anything may have gone wrong, and its neighbours must not suffer.
        middle = len(tickets) // 2
        results = []
        for half in (tickets[:middle], tickets[middle:]):
            if time.monotonic() < deadline:
                results += self._outcomes(half, deadline=deadline)
            else:
                results += [(ticket, Busy()) for ticket in half]
        return results

    def _after_commit(self, batch: Sequence[C], outcomes: Sequence[O | Refusal], seconds: float) -> None:
        try:
            metrics.LANE_BATCH.labels(self.name).observe(len(batch))
            metrics.LANE_SECONDS.labels(self.name).observe(seconds)
            self.told(batch, outcomes)
        except Exception:  # the batch is committed: its callers hear so, whatever telling others ran into
            log.exception("lane_telling_failed", lane=self.name)


def _deliver(results: list[tuple[_Ticket[Any, Any], Any]]) -> None:
    """Hand every caller its outcome, with one wake-up per event loop instead of one per caller."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[tuple[Tell, Any]]] = {}
    for ticket, outcome in results:
        by_loop.setdefault(ticket.loop, []).append((ticket.tell, outcome))
    for loop, pairs in by_loop.items():
        if loop is None:
            _settle_all(pairs)
            continue
        try:
            loop.call_soon_threadsafe(_settle_all, pairs)
        except RuntimeError:
            # The loop is closed: its callers are gone. What was committed stays, and a repeat finds it.
            log.info("lane_caller_gone", count=len(pairs))


def _settle_all(pairs: list[tuple[Tell, Any]]) -> None:
    for tell, outcome in pairs:
        try:
            tell(outcome)
        except Exception:  # one caller's trouble: the others still wait for their answers
            log.exception("lane_caller_failed")


def _settle(future: Any, outcome: Any) -> None:
    if future.done():  # the caller gave up
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


L = TypeVar("L", bound=Lane[Any, Any])


class Lanes(Generic[L]):
    """The lanes of one kind in this process, one per key, made on first use and dropped when idle."""

    def __init__(self, make: Callable[[Any], L], *, keep_max: int = 1_000) -> None:
        self._make = make
        self._keep_max = keep_max
        self._lanes: dict[Any, L] = {}
        self._lock = threading.Lock()

    def __getitem__(self, key: Any) -> L:
        lane = self._lanes.get(key)
        if lane is not None:
            return lane
        with self._lock:
            if len(self._lanes) >= self._keep_max:
                self._lanes = {k: lane for k, lane in self._lanes.items() if lane.is_busy}
            return self._lanes.setdefault(key, self._make(key))
