"""What allauth and Django tell of accounts, and what follows from it."""

from __future__ import annotations

from typing import Any

from allauth.account import signals as allauth
from allauth.mfa import signals as mfa
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import Signal, receiver
from django.http import HttpRequest

from accounts import audit, permits
from accounts.models import User, normal_email
from core import clock


@receiver(
    [user_logged_out, allauth.password_changed, allauth.password_set, allauth.password_reset, allauth.email_changed]
)
def end_permits(user: Any = None, **_: Any) -> None:
    if user is not None:
        permits.end_now(user_id=user.pk, now=clock.now())


# Signal → the event that staff read.
NOTED: dict[Signal, str] = {
    user_logged_in: "logged_in",
    user_logged_out: "logged_out",
    allauth.password_changed: "password_changed",
    allauth.password_set: "password_set",
    allauth.password_reset: "password_reset",
    allauth.email_changed: "email_changed",
    allauth.email_added: "email_added",
    allauth.email_removed: "email_removed",
    allauth.user_signed_up: "signed_up",
    mfa.authenticator_added: "second_factor_added",
    mfa.authenticator_removed: "second_factor_removed",
}


@receiver(list(NOTED))
def note(signal: Signal, user: Any = None, **_: Any) -> None:
    if user is not None:
        audit.note(NOTED[signal], user_id=user.pk)


@receiver(user_login_failed)
def note_failure(credentials: dict[str, Any], **_: Any) -> None:
    email = normal_email(str(credentials.get("email") or credentials.get("username") or ""))
    user = User.objects.filter(email=email).first()
    audit.note_seldom("login_failed", email, user_id=user.pk if user else None)


@receiver(allauth.email_changed)
def keep_this_session(request: HttpRequest, user: User, **_: Any) -> None:
    """Another address ends all other sessions."""
    update_session_auth_hash(request, user)
