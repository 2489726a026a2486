"""Tell viewers of a sale's newest state, in the background: one thread a process reads it and publishes it.

Callers only leave word. Word about one sale that comes while its frame is being made becomes one more frame, so a batch of
commits costs at most one; and because a frame is read after the last word it covers, the last state always gets out.
"""

from __future__ import annotations

import atexit
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import structlog
from django.db import connection

from core import metrics
from live import store

log = structlog.get_logger(__name__)

Read = Callable[[], tuple[int, bytes]]

INTERVAL_S = 1 / 10  # between two frames of one sale; more often than this nobody can see
BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 2.0
ATTEMPTS_MAX = 60  # about a minute and a half: longer than a restart of the store takes
EXIT_FLUSH_S = 2.0


@dataclass(slots=True)
class _Word:
    """That a sale has changed."""

    sale_id: UUID
    read: Read
    left_at: float  # by the first of the callers that this frame will cover
    due_at: float
    failures: int = 0


class Publisher:
    """A process has one, below. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[UUID, _Word] = {}
        self._began_at: dict[UUID, float] = {}  # when each sale's last frame was begun, while that still matters
        self._is_idle = True
        self._thread: threading.Thread | None = None

    def send_soon(self, sale_id: UUID, read: Read) -> None:
        """Have `read` called and its (version, frame) published. Returns at once and never raises."""
        now = time.monotonic()
        with self._changed:
            word = self._waiting.get(sale_id)
            if word is None:
                due_at = max(now, self._began_at.get(sale_id, 0.0) + INTERVAL_S)
                self._waiting[sale_id] = _Word(sale_id, read, left_at=now, due_at=due_at)
            else:
                word.read = read
            self._is_idle = False
            if self._thread is None:
                self._start()
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was asked for is published and the database connection is back. False if time ran out."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_idle, timeout_s)

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="frames", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the process may not have more threads, or is ending; the next call tries again
            metrics.FRAMES_LOST.inc()
            log.warning("publisher_not_started", error=str(error))
        else:
            self._thread = thread

    def _run(self) -> None:
        while True:
            word = self._take()
            if word is not None:
                self._publish(word)
            else:
                connection.close()  # back to the pool: an idle publisher holds nothing
                self._rest()

    def _take(self) -> _Word | None:
        """The word that has been due longest, so that a busy sale cannot starve the others."""
        now = time.monotonic()
        with self._changed:
            word = min(self._waiting.values(), key=lambda word: word.due_at, default=None)
            if word is None or word.due_at > now:
                return None
            self._began_at[word.sale_id] = now
            return self._waiting.pop(word.sale_id)

    def _rest(self) -> None:
        """Until the next word is due, or a caller leaves one."""
        with self._changed:
            now = time.monotonic()
            self._began_at = {sale_id: at for sale_id, at in self._began_at.items() if at + INTERVAL_S > now}
            if self._waiting:
                self._changed.wait(max(0.0, min(word.due_at for word in self._waiting.values()) - now))
            else:
                self._is_idle = True
                self._changed.notify_all()
                self._changed.wait()

    def _publish(self, word: _Word) -> None:
        try:
            version, payload = word.read()
            store.put(word.sale_id, version, payload)
        except Exception as error:  # a read can fail in any way, and this thread is everybody's
            connection.close()  # it may be what is broken
            self._failed(word, error)
        else:
            metrics.FRAME_DELAY.observe(time.monotonic() - word.left_at)

    def _failed(self, word: _Word, error: Exception) -> None:
        """Try again later, with whatever the state is then."""
        metrics.FRAMES_LOST.inc()
        word.failures += 1
        log.warning("frame_lost", sale_id=str(word.sale_id), failures=word.failures, error=repr(error))
        with self._changed:
            newer = self._waiting.get(word.sale_id)
            if newer is not None:
                # Somebody who came meanwhile is owed another try, however often it has failed for those before.
                word.read = newer.read
                word.failures = min(word.failures, ATTEMPTS_MAX - 1)
            elif word.failures >= ATTEMPTS_MAX:
                log.error("frame_given_up", sale_id=str(word.sale_id), failures=word.failures)
                return
            word.due_at = time.monotonic() + _backoff_s(word.failures)
            self._waiting[word.sale_id] = word


def _backoff_s(failures: int) -> float:
    ceiling_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0**failures)
    return random.uniform(ceiling_s / 2, ceiling_s)


_publisher = Publisher()


def send_soon(key: UUID, read: Read) -> None:
    """Have viewers of the sale `key` told soon, from any thread: `read` gives its version and frame as committed then.

    Returns at once and never raises. A failure is logged, counted and tried again. One process publishes at most ten frames a
    second of a sale; the last state always follows.
    """
    _publisher.send_soon(key, read)


def flush(timeout_s: float) -> bool:
    """Wait until everything asked for so far is out: for tests, and before a process ends. False if time ran out."""
    return _publisher.flush(timeout_s)


def _start_anew() -> None:
    # A forked child (Celery's prefork) has no publisher thread, and what waited is its parent's to send.
    global _publisher
    _publisher = Publisher()


os.register_at_fork(after_in_child=_start_anew)
atexit.register(flush, EXIT_FLUSH_S)
