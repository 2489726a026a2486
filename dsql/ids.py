"""UUID version 7 (RFC 9562): keys that sort by the time they were made."""

from __future__ import annotations

import os
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TAIL_BITS = 74  # what is left of 128 bits after 48 of time, 4 of version and 2 of variant
_TAIL_MASK = (1 << _TAIL_BITS) - 1
_LOW_BITS = 62
_LOW_MASK = (1 << _LOW_BITS) - 1
_VERSION_AND_VARIANT = (7 << 76) | (2 << 62)
# A fresh tail leaves its top bit clear, so that a burst within one millisecond has room to count up.
_FRESH_TAIL_MASK = _TAIL_MASK >> 1
_FRESH_BYTES = 10
_STEP_BYTES = 4
_BUFFER_BYTES = 4096

_lock = threading.Lock()
_last = 0  # milliseconds << 74 | tail of the newest id of this process
_buffer = b""
_position = 0

_new_object = object.__new__
_set_attribute = object.__setattr__
_UNKNOWN_SAFETY = uuid.SafeUUID.unknown


def uuid7() -> uuid.UUID:
    """A new id, greater than every id this process made before, in any thread and if the clock steps back."""
    global _last
    milliseconds = time.time_ns() // 1_000_000
    with _lock:
        fresh = milliseconds << _TAIL_BITS
        if milliseconds > _last >> _TAIL_BITS:
            _last = fresh | (_random_int(_FRESH_BYTES) & _FRESH_TAIL_MASK)
        else:
            # Same millisecond: a random step keeps the order and still gives nothing away.
            # A tail that overflows carries into the milliseconds, which keeps the order too.
            _last += 1 + _random_int(_STEP_BYTES)
        value = _last
    tail = value & _TAIL_MASK
    bits = (value >> _TAIL_BITS) << 80 | (tail >> _LOW_BITS) << 64 | (tail & _LOW_MASK) | _VERSION_AND_VARIANT
    # UUID(int=...) spends half of the time on checks that cannot fail here.
    made = _new_object(uuid.UUID)
    _set_attribute(made, "int", bits)
    _set_attribute(made, "is_safe", _UNKNOWN_SAFETY)
    return made


def uuid7_time(value: uuid.UUID) -> datetime:
    """When `value` was made, in UTC, to the millisecond. Raises ValueError for another version."""
    if value.version != 7:
        raise ValueError(f"{value} is not a version 7 UUID")
    return _EPOCH + timedelta(milliseconds=value.int >> 80)


def _random_int(size: int) -> int:
    # One system call serves several hundred ids. The caller holds the lock.
    global _buffer, _position
    end = _position + size
    if end > len(_buffer):
        _buffer = os.urandom(_BUFFER_BYTES)
        _position, end = 0, size
    value = int.from_bytes(_buffer[_position:end], "big")
    _position = end
    return value


def _forget_after_fork() -> None:
    # A child that kept the parent's random bytes would make the parent's ids again.
    global _lock, _buffer, _position, _last
    _lock = threading.Lock()
    _buffer, _position, _last = b"", 0, 0


os.register_at_fork(after_in_child=_forget_after_fork)
