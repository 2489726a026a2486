"""A falling price in each phase, for the page of parts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from core import clock
from core.money import Money
from sales.phases import Phase


def frame(phase: Phase) -> dict[str, Any]:
    is_over = phase in (Phase.ENDED, Phase.SETTLED)
    return {
        "units_total": 500, "units_left": 0 if is_over else 499, "last_minor": 123_456, "start_minor": 200_000,
        "floor_minor": 100_000, "step_minor": 1_000, "interval_s": 60, "pays": "own",
    }  # fmt: skip


def hero(frame: Mapping[str, Any]) -> dict[str, Any]:
    return {"price": Money(123_456, "EUR"), "floor_at": clock.now() + dt.timedelta(hours=1), "dutch": _Terms(frame)}


class _Terms:
    """As much of the terms as the hero shows."""

    def __init__(self, frame: Mapping[str, Any]) -> None:
        self.start = Money(frame["start_minor"], "EUR")
        self.floor = Money(frame["floor_minor"], "EUR")
        self.step = Money(frame["step_minor"], "EUR")
        self.interval_s, self.units_total = frame["interval_s"], frame["units_total"]
