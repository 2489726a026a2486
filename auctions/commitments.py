"""Hashes that fix something before it may be read, pure, so that anybody can compute them again once it is shown.

A commitment is the SHA-256 of a text: a line that says what it is of and in which version, then one `name: value` line for each
fact, the salt last, each ended by a newline, UTF-8. The salt keeps few possible values from being tried out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

SALT_BYTES_MIN = 16
_LEAF, _NODE = b"\x00", b"\x01"


def committed_text(version: str, facts: Mapping[str, object], salt: bytes) -> str:
    """The text to hash. `salt` is written in hexadecimal."""
    assert len(salt) >= SALT_BYTES_MIN, len(salt)
    lines = [version, *(f"{name}: {value}" for name, value in facts.items()), f"salt: {salt.hex()}"]
    # A line break inside a value could pretend to be another fact.
    assert all(line.splitlines() == [line] for line in lines), lines
    return "".join(f"{line}\n" for line in lines)


def committed(version: str, facts: Mapping[str, object], salt: bytes) -> str:
    """The commitment, in hexadecimal."""
    return sha256(committed_text(version, facts, salt).encode()).hexdigest()


def merkle_root(commitments: Sequence[str]) -> str:
    """One hash for all of them and for their order, in hexadecimal, as in RFC 6962 (section 2.1) over the commitments' bytes.

    A leaf and an inner node are hashed with different first bytes, so that neither can pass for the other.
    """
    return _root([bytes.fromhex(commitment) for commitment in commitments]).hex()


def _root(entries: Sequence[bytes]) -> bytes:
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(_LEAF + entries[0]).digest()
    left = 1 << (len(entries) - 1).bit_length() - 1  # the largest power of two below their number
    return sha256(_NODE + _root(entries[:left]) + _root(entries[left:])).digest()
