"""Many threads that each do the same thing again and again, for some seconds."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

THREADS = 64
WARM_UP_S = 1.0
SECONDS = 5.0


@dataclass
class Done:
    """What all threads did together."""

    per_s: float
    refused: int


def repeat(
    act: Callable[[random.Random], bool], *, seconds: float, threads: int = THREADS, warm_up_s: float = WARM_UP_S,
    at_end: Callable[[], None] = lambda: None,
) -> Done:  # fmt: skip
    """Call `act` over and over; it says whether that was done or refused. What begins in the warm-up does not count.

    Each thread calls `at_end` when it is through. What one raises is raised here.
    """
    starts_at = time.monotonic() + warm_up_s
    ends_at = starts_at + seconds
    outcomes: list[bool] = []  # appending is atomic
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        try:
            while (now := time.monotonic()) < ends_at and not errors:
                is_done = act(chance)
                if now >= starts_at:
                    outcomes.append(is_done)
            at_end()
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=work, args=[seed]) for seed in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]
    took_s = time.monotonic() - starts_at  # the last ones may end late
    return Done(sum(outcomes) / took_s, outcomes.count(False))
