from __future__ import annotations

from uuid import UUID

from allauth.account.models import EmailAddress


def is_verified(user_id: UUID) -> bool:
    """Whether the user has shown that an e-mail address is theirs. Only verified fans may buy."""
    return EmailAddress.objects.filter(user_id=user_id, verified=True).exists()
