"""What a seller wants to see of a running sale that no row tells: how many watch it, and why how many were refused.

Each process counts for itself and writes what is new to the store once a second, in the background; nothing waits for it, and what
a process had not written when it died is lost. So these are figures for the seller's screen, and no part of any proof.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import structlog

from core import lean
from live.hub import hub
from live.store import KEEP_S, STORE_ERRORS, client

log = structlog.get_logger(__name__)

WRITE_EVERY_S = 1.0
VIEWERS_FRESH_S = 5  # a process that has not spoken for so long is not there any more
_PROCESS = f"{os.uname().nodename}:{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Tally:
    """`refused` is how often, by the code of the refusal, the most frequent first."""

    viewers: int
    refused: Mapping[str, int]

    @property
    def refused_count(self) -> int:
        return sum(self.refused.values())


class Tallies:
    """The process has one, below."""

    def __init__(self) -> None:
        self._refused: Counter[tuple[UUID, str]] = Counter()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._watched: set[UUID] = set()

    def refused(self, sale_id: UUID, code: str) -> None:
        """Called where a hot write was refused that had come as far as its sale's lane: made-up sales are not counted."""
        with self._lock:
            self._refused[sale_id, code] += 1
        self.start()

    def start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._write_on, name="tallies", daemon=True)
            self._thread.start()

    def write(self) -> None:
        """Raises one of STORE_ERRORS; what was counted is then counted again the next time."""
        with self._lock:
            refused, self._refused = self._refused, Counter()
        watched = hub.viewers_by_sale()
        gone = self._watched - set(watched)
        if not (refused or watched or gone):
            return
        try:
            with client().pipeline(transaction=False) as pipeline:
                for (sale_id, code), count in refused.items():
                    pipeline.hincrby(_refused_key(sale_id), code, count)
                    pipeline.expire(_refused_key(sale_id), KEEP_S)
                for sale_id, count in watched.items():
                    pipeline.hset(_viewers_key(sale_id), _PROCESS, f"{count}:{time.time():.0f}")
                    pipeline.expire(_viewers_key(sale_id), VIEWERS_FRESH_S * 2)
                for sale_id in gone:
                    pipeline.hdel(_viewers_key(sale_id), _PROCESS)
                pipeline.execute()
        except STORE_ERRORS:
            with self._lock:
                self._refused.update(refused)
            raise
        self._watched = set(watched)

    def _write_on(self) -> None:
        while True:
            time.sleep(WRITE_EVERY_S)
            try:
                self.write()
            except STORE_ERRORS as error:
                log.warning("tallies_not_written", error=str(error))


def read(sale_id: UUID) -> Tally | None:
    """Of all processes together; None while the store is down."""
    try:
        with client().pipeline(transaction=False) as pipeline:
            pipeline.hgetall(_refused_key(sale_id))
            pipeline.hgetall(_viewers_key(sale_id))
            refused, viewers = pipeline.execute()
    except STORE_ERRORS:
        return None
    counts = Counter({code.decode(): int(count) for code, count in refused.items()})
    spoke = [value.decode().split(":") for value in viewers.values()]
    now = time.time()
    return Tally(sum(int(count) for count, at in spoke if now - int(at) <= VIEWERS_FRESH_S), dict(counts.most_common()))


def _refused_key(sale_id: UUID) -> str:
    return f"refused:{sale_id}"


def _viewers_key(sale_id: UUID) -> str:
    return f"viewers:{sale_id}"


tallies = Tallies()
lean.on_refused = tallies.refused
hub.on_begin = tallies.start
