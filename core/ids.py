"""Keys. Every row's key is a UUIDv7 made in Python, before the transaction, so that a retry writes the same row."""

from __future__ import annotations

from uuid import UUID

from dsql.ids import uuid7

__all__ = ["follow_up_id", "uuid7"]


def follow_up_id(first: UUID, step: int) -> UUID:
    """The only id that step number `step` (0 to 15) after `first` can have.

    Giving "the capture of this hold" a key worked out from the hold's key lets the primary key admit it at most once. The
    bits flipped are high random ones: ids made in a row in one process differ only in the time and the low bits.
    """
    assert 0 <= step < 16, step
    return UUID(int=first.int ^ ((step + 1) << 56))
