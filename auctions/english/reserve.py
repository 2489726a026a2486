"""The hidden reserve, pure: sealed as a hash, revealed with its salt when the lot stays unsold.

No reserve and a reserve of 0 are different: only what there is can be committed to, and 0 is always met.
"""

from __future__ import annotations

from hmac import compare_digest
from uuid import UUID

from auctions.commitments import committed

VERSION = "dropfront.auction.reserve.v1"


def reserve_commitment(lot_id: UUID, reserve_minor: int, currency: str, salt: bytes) -> str:
    """The hash to seal, in hexadecimal."""
    facts = {"lot": lot_id, "reserve_minor": reserve_minor, "currency": currency}
    return committed(VERSION, facts, salt)


def is_reserve(commitment: str, lot_id: UUID, reserve_minor: int, currency: str, salt: bytes) -> bool:
    """Whether this reserve and salt are what was sealed."""
    return compare_digest(commitment, reserve_commitment(lot_id, reserve_minor, currency, salt))
