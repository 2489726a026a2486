"""How far away a database is, for a relay that stands before a near one: what each round trip and each COMMIT costs more.

The time is put on what the client sends. A message that no answer is awaited for costs nothing, so a pipeline pays once, and
connections pay side by side, as over a network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LENGTH_BYTES = 4  # counted with itself, but not with the type before it
OPENING = 0  # what opens a connection has no type
OPENING_REQUESTS = frozenset({80877103, 80877104})  # for TLS and for GSSAPI: another opening follows

# What a client waits for an answer to: Query, Sync, Flush, a password, the end of a COPY, a function call.
AWAITED = frozenset(b"QSHpcF")
QUERY, PARSE, BIND = b"QPB"
COMMIT = re.compile(rb"\s*(?:COMMIT|END)\b", re.IGNORECASE)
TAIL_BYTES = 64


@dataclass(frozen=True)
class Distance:
    """Seconds: what a round trip takes, and what a COMMIT takes beside it."""

    round_trip_s: float = 0.0
    commit_s: float = 0.0


NEAR = Distance()


class ClientMessages:
    """One connection's messages from the client, as they come in pieces. Both sides speak plainly, without TLS."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_opening = True
        self._commits = False  # among the messages since the last that is answered
        self._commit_names: set[bytes] = set()  # prepared statements that are a COMMIT

    def wait_s(self, piece: bytes, distance: Distance) -> float:
        """How much longer the messages that end in `piece` take, at that distance."""
        is_awaited = commits = False
        for kind, body in self._messages(piece):
            self._commits |= self._is_commit(kind, body)
            if kind == OPENING or kind in AWAITED:
                is_awaited = True
                commits |= self._commits
                self._commits = False
        return is_awaited * distance.round_trip_s + commits * distance.commit_s

    def _messages(self, piece: bytes) -> list[tuple[int, bytes]]:
        """(type, body) of each message that is now complete."""
        data = self._rest + piece if self._rest else piece
        found = []
        at = 0
        while (end := self._end(data, at)) <= len(data):
            if self._is_opening:
                body = data[at + LENGTH_BYTES : end]
                found.append((OPENING, body))
                self._is_opening = int.from_bytes(body[:4], "big") in OPENING_REQUESTS
            else:
                found.append((data[at], data[at + 1 + LENGTH_BYTES : end]))
            at = end
        self._rest = data[at:]
        return found

    def _end(self, data: bytes, at: int) -> int:
        """Where the message that begins at `at` ends; past the data when its length is not in yet."""
        length_at = at if self._is_opening else at + 1
        if len(data) < length_at + LENGTH_BYTES:
            return len(data) + 1
        return length_at + int.from_bytes(data[length_at : length_at + LENGTH_BYTES], "big")

    def _is_commit(self, kind: int, body: bytes) -> bool:
        if kind == QUERY:
            return is_commit(body)
        if kind == PARSE:
            name, _, text = body.partition(b"\0")
            (self._commit_names.add if is_commit(text.partition(b"\0")[0]) else self._commit_names.discard)(name)
        elif kind == BIND:
            return body.split(b"\0", 2)[1] in self._commit_names
        return False


def is_commit(text: bytes) -> bool:
    """Whether it is a COMMIT, or several statements of which the last is one."""
    # Only its ends are looked at: a batch's statement may be some hundred kilobytes long.
    *before, last = text[-TAIL_BYTES:].rstrip(b"\0; \r\n\t").rsplit(b";", 1)
    return bool(COMMIT.match(text) or (before and COMMIT.match(last)))
