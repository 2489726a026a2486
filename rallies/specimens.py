"""A rally in each phase, for the page of parts. The settled one did not run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.money import Money
from sales.phases import Phase


def frame(phase: Phase) -> dict[str, Any]:
    return {
        "joiners": 12_345, "count": 12_345, "minimum": 20_000, "price_minor": 1_234_500, "units_left": None,
        "next_count": 20_000, "next_price_minor": 999_900, "next_missing": 7_655,
        "did_run": False if phase == Phase.SETTLED else None,
    }  # fmt: skip


def hero(frame: Mapping[str, Any]) -> dict[str, Any]:
    first, price = Money(2_000_000, "EUR"), Money(frame["price_minor"], "EUR")
    lowest = Money(frame["next_price_minor"], "EUR")
    return {
        "first_price": first,
        "price": price,
        "lowest_price": lowest,
        "saved": first - price,
        "more": frame["next_missing"],
    }
