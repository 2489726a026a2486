"""What allauth and Django tell of accounts, and what follows from it."""

from __future__ import annotations

from typing import Any

from allauth.account import signals as allauth
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver

from accounts import permits
from core import clock


@receiver([user_logged_out, allauth.password_changed, allauth.password_set, allauth.password_reset])
def end_permits(user: Any = None, **_: Any) -> None:
    if user is not None:
        permits.end_now(user_id=user.pk, now=clock.now())
