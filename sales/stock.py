"""A sale's stock, pure: units in buckets, of which a process keeps to one, its home, until that is dry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

BUCKETS_MAX = 16
UNITS_PER_BUCKET_MIN = 50


class Stock:
    """The buckets as a snapshot shows them. Taking and giving back changes them and collects what must be written."""

    def __init__(self, units_by_bucket: Mapping[int, int], *, home: int) -> None:
        assert sorted(units_by_bucket) == list(range(len(units_by_bucket))), units_by_bucket
        assert home in units_by_bucket, (home, units_by_bucket)
        self.home = home
        self.units_left = sum(units_by_bucket.values())
        self._units = dict(units_by_bucket)
        self._changes: dict[int, int] = {}

    @property
    def changes(self) -> dict[int, int]:
        """Bucket → change of its units, for the buckets that were touched."""
        return dict(self._changes)

    def take(self, quantity: int) -> None:
        """Take units from home. When it is short, half of the next bucket that has any moves there first.

        Buckets are walked in a ring from home, and homes lie far apart (`home_bucket`), so that a process meets another's home
        last. Moving half, not just what is missing, keeps the batches after this one at home: two processes then meet on a
        bucket a few times per drop instead of once per batch.
        """
        assert 0 < quantity <= self.units_left, (quantity, self.units_left)
        while (short := quantity - self._units[self.home]) > 0:
            number = next(number for number in self._ring() if self._units[number])
            units = self._units[number]
            moved = min(units, max(short, (units + 1) // 2))
            self._change(number, -moved)
            self._change(self.home, moved)
        self._change(self.home, -quantity)
        self.units_left -= quantity

    def give_back(self, quantity: int) -> None:
        self._change(self.home, quantity)
        self.units_left += quantity

    def _ring(self) -> Iterator[int]:
        count = len(self._units)
        return ((self.home + step) % count for step in range(1, count))

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


def home_bucket(slot: int, count: int) -> int:
    """Where the process with this number is at home: 0, 1/2, 1/4, 3/4, 1/8, … of the way around the ring (van der Corput)."""
    way, step = 0.0, 0.5
    while slot:
        slot, bit = divmod(slot, 2)
        way += bit * step
        step /= 2
    return int(way * count)
