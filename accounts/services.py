from __future__ import annotations

from uuid import UUID

from allauth.account.models import EmailAddress

from accounts.models import User, normal_email
from core.transactions import retried_transaction


@retried_transaction(replayable=True)
def register_verified(*, email: str, password: str | None, display_name: str = "", is_staff: bool = False) -> UUID:
    """A user whose address is known to be theirs (set up by an operator, not by sign-up). A repeat returns the same user."""
    existing = User.objects.filter(email=normal_email(email)).first()
    if existing:
        return existing.id
    make = User.objects.create_superuser if is_staff else User.objects.create_user
    user = make(email, password, display_name=display_name)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user.id


@retried_transaction(replayable=True)
def rename(*, user_id: UUID, display_name: str) -> None:
    """Change how we address the user."""
    User.objects.filter(id=user_id).update(display_name=display_name)
