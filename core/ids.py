"""Keys. Every row's key is made in Python, before the transaction, so that a retry writes the same row.

A new row's key is a UUIDv7 of ours. What can follow an earlier row only once has a *named* key. A key of the ledger is never an
id that came from outside: whoever could choose one could occupy the key that a hold's end will have, and the hold would never end.
"""

from __future__ import annotations

from uuid import UUID, uuid5

from dsql.ids import uuid7

__all__ = ["is_uuid", "named_id", "uuid7"]


def is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def named_id(step: str, first: UUID) -> UUID:
    """The only id that the step called `step` can have after `first`, so that the primary key admits it once.

    `first` is the namespace and `step` the name, so no two steps, nor steps of steps, meet. Anybody can work these ids out, so
    they are safe only where no id from outside is a key. Steps taken while ids were made in another way keep theirs: what says
    that a step was taken is the state of its order or join, and the key refuses a second writer at the same time.
    """
    return uuid5(first, step)
