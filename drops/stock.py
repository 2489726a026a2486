"""A drop's stock, pure: units in buckets, of which a process keeps to one, its home, until that is dry."""

from __future__ import annotations

from collections.abc import Mapping

BUCKETS_MAX = 16
UNITS_PER_BUCKET_MIN = 50


class Stock:
    """The buckets as a snapshot shows them. Taking and giving back changes them and collects what must be written."""

    def __init__(self, units_by_bucket: Mapping[int, int], *, home: int, is_closed: bool = False) -> None:
        assert home in units_by_bucket, (home, units_by_bucket)
        self.home = home
        self.is_closed = is_closed
        self.units_left = sum(units_by_bucket.values())
        self._units = dict(units_by_bucket)
        self._changes: dict[int, int] = {}

    @property
    def changes(self) -> dict[int, int]:
        """Bucket → change of its units, for the buckets that were touched.

        A unit given back and sold again is a change of zero, and is written too: every purchase must meet a close.
        """
        return dict(self._changes)

    def take(self, quantity: int) -> None:
        """Take units from home. When it is short, half of the fullest other bucket moves there first.

        Moving half, not just what is missing, keeps the next batches at home: two processes meet on a bucket a few times per
        drop instead of once per batch.
        """
        assert 0 < quantity <= self.units_left, (quantity, self.units_left)
        while (short := quantity - self._units[self.home]) > 0:
            richest = max((number for number in self._units if number != self.home), key=self._units.__getitem__)
            moved = max(min(short, self._units[richest]), (self._units[richest] + 1) // 2)
            self._change(richest, -moved)
            self._change(self.home, moved)
        self._change(self.home, -quantity)
        self.units_left -= quantity

    def give_back(self, quantity: int) -> None:
        self._change(self.home, quantity)
        self.units_left += quantity

    def _change(self, number: int, units: int) -> None:
        self._units[number] += units
        self._changes[number] = self._changes.get(number, 0) + units


def bucket_count(units_total: int) -> int:
    """How many buckets a drop gets: enough for a dozen processes, but none that starts (almost) empty."""
    return max(1, min(BUCKETS_MAX, units_total // UNITS_PER_BUCKET_MIN))


def split_units(units_total: int, count: int) -> list[int]:
    """`units_total` spread over `count` buckets as evenly as whole units go."""
    share, rest = divmod(units_total, count)
    return [share + (number < rest) for number in range(count)]
