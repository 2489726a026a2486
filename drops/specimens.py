"""A drop in each phase, for the page of parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.money import Money
from sales.phases import Phase

_LEFT = {Phase.UPCOMING: 1_000_000, Phase.OPEN: 99_999, Phase.FROZEN: 500_000}


def frame(phase: Phase) -> dict[str, Any]:
    return {"units_total": 1_000_000, "units_left": _LEFT.get(phase, 0), "price_minor": 123_456}


def hero(frame: Mapping[str, Any]) -> dict[str, Any]:
    return {"price": Money(frame["price_minor"], "EUR")}
