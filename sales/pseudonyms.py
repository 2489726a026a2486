"""What fans are called where others read about them."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

from django.conf import settings


def pseudonym(sale_id: UUID, fan_id: UUID) -> str:
    """A fan's name on this sale's proof: always the same there, different in every other sale, and no way back."""
    digest = hmac.new(settings.PSEUDONYM_KEY.encode(), b"proof:" + sale_id.bytes + fan_id.bytes, hashlib.sha256)
    return f"Fan {digest.hexdigest()[:8].upper()}"
