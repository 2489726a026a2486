"""An auction in each phase, for the page of parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sales.phases import Phase


def frame(phase: Phase) -> dict[str, Any]:
    bids = 0 if phase == Phase.UPCOMING else 1_234
    return {
        "price_minor": 123_456_700, "bids": bids, "min_next_minor": 125_000_000, "leader": "fan 7f3a9c" if bids else None,
        "reserve": "met" if phase == Phase.SETTLED else "not_met", "buy_now_minor": None, "extensions": 3,
        "lot": "sold" if phase == Phase.SETTLED else "open",
    }  # fmt: skip


def hero(frame: Mapping[str, Any]) -> dict[str, Any]:
    return {}
