"""A sale's count, read through every endpoint of the database at the same moment."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.cache import cache

from core.invariants import Check
from dsql.readings import Reading, read_at_each_endpoint
from sales.formats import get_format
from sales.models import Sale

# Everybody who looks within this time sees the same readings, and only one of them has them made.
SHARED_S = 3
KEPT_S = 60


@dataclass(frozen=True, slots=True)
class Readings:
    """A sale's count as every endpoint of the database gave it, asked at the same moment."""

    name: str
    sql: str
    readings: list[Reading]

    @property
    def difference(self) -> int | None:
        """How far the answers are apart; None when not all endpoints answered."""
        answers = [reading.answer for reading in self.readings]
        known = [answer for answer in answers if answer is not None]
        return max(known) - min(known) if known and len(known) == len(answers) else None

    @property
    def apart_ms(self) -> float:
        times = [reading.asked_at for reading in self.readings]
        return (max(times) - min(times)).total_seconds() * 1000


def shared_readings(sale: Sale) -> Readings | None:
    """The sale's count through each endpoint, or None: the database has but one door, or the first readings are being made."""
    key = f"readings:{sale.id}"
    if cache.add(f"{key}:made", True, timeout=SHARED_S):
        cache.set(key, _read_everywhere(sale), timeout=KEPT_S)
    return cache.get(key)  # type: ignore[no-any-return]


def _read_everywhere(sale: Sale) -> Readings | None:
    count = get_format(sale.format).count
    readings = read_at_each_endpoint(count.sql, {"sale_id": sale.id})
    sql = Check(count.name, "", count.sql).printable({"sale_id": sale.id})
    return Readings(count.name, sql, readings) if len(readings) > 1 else None
