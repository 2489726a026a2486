"""A frame: the small public state of one sale, as it goes to viewers."""

from __future__ import annotations

from functools import cached_property

import msgspec


class _Versioned(msgspec.Struct):
    version: int


_version_decoder = msgspec.json.Decoder(_Versioned)


class Frame(bytes):
    """A frame's JSON, which has its version beside it. Each form it is sent in is encoded once, for all viewers."""

    version: int

    def __new__(cls, version: int, payload: bytes) -> Frame:
        frame = super().__new__(cls, payload)
        frame.version = version
        return frame

    @classmethod
    def of_payload(cls, payload: bytes) -> Frame:
        """A frame from its JSON alone, which names the version. Raises msgspec.DecodeError if it does not."""
        return cls(_version_decoder.decode(payload).version, payload)

    @cached_property
    def text(self) -> str:
        """For sockets: browsers hand a text frame to the page as a string."""
        return self.decode()

    @cached_property
    def event(self) -> bytes:
        """For SSE: one event, with the version as its id."""
        # A line break would end the event's data in the middle of it.
        return b"id: %d\ndata: %s\n\n" % (self.version, self.replace(b"\n", b"\ndata: "))
