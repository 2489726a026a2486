"""Many callers at the same instant."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

TIMEOUT_S = 30


def race(*callables: Callable[[], Any]) -> list[Any]:
    """Call each in a thread with a connection of its own, all released at once. What each returned or raised, in order."""
    start = threading.Barrier(len(callables))
    results: list[Any] = [None] * len(callables)

    def run(number: int, function: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()  # before the start, so that nobody loses time on it afterwards
            start.wait(TIMEOUT_S)
            results[number] = function()
        except BaseException as error:  # whatever it was is this caller's result
            results[number] = error
        finally:
            connection.close()

    threads = [
        threading.Thread(target=run, args=pair, name=f"racer-{pair[0]}", daemon=True) for pair in enumerate(callables)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
        assert not thread.is_alive(), f"{thread.name} is still running after {TIMEOUT_S} s"
    return results


def outcomes(results: list[Any]) -> dict[str, int]:
    """How often each outcome came: a refusal's code, an error's class name, or "ok"."""
    counted: dict[str, int] = {}
    for result in results:
        name = "ok"
        if isinstance(result, BaseException):
            name = getattr(result, "code", type(result).__name__)
        counted[name] = counted.get(name, 0) + 1
    return counted
