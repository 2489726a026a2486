from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from dsql.fields import UUIDv7Field


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A user with a normalised, lower-case e-mail: one address is one account, however it is typed."""
        user = self.model(email=normal_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db, force_insert=True)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, email: str | None) -> User:
        return self.get(email=normal_email(email or ""))


CLOSED = "@closed.invalid"  # the address of a closed account, and nobody else's (RFC 2606)


def normal_email(email: str) -> str:
    return email.strip().lower()


class User(AbstractBaseUser, PermissionsMixin):
    """Anybody with an account: a fan, a seller's member, staff. Logs in by e-mail."""

    id = UUIDv7Field(primary_key=True)
    email = models.EmailField(_("e-mail address"), unique=True)
    display_name = models.CharField(_("name"), max_length=60, blank=True)
    # What mail and news are written in, and by which clocks. Empty: English, and the browser's own.
    language = models.CharField(_("language"), max_length=10, blank=True, default="")
    zone = models.CharField(_("time zone"), max_length=40, blank=True, default="")
    is_staff = models.BooleanField(_("staff"), default=False)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("joined"), default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        constraints = [
            # One address is one account, however it is typed.
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="email_in_small_letters"),
        ]

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        super().clean()
        self.email = normal_email(self.email)

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = normal_email(self.email)
        super().save(*args, **kwargs)

    def get_session_auth_hash(self) -> str:
        """Another address ends the sessions, as another password does."""
        return self._hashed(self.password)

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        for key in settings.SECRET_KEY_FALLBACKS:
            yield self._hashed(self.password, secret=key)

    def _hashed(self, password: str, secret: str | None = None) -> str:
        salt = "accounts.User.get_session_auth_hash"
        return salted_hmac(salt, f"{password} {self.email}", secret=secret, algorithm="sha256").hexdigest()

    def get_full_name(self) -> str:
        return self.display_name or self.email.partition("@")[0]

    def get_short_name(self) -> str:
        return self.get_full_name()


class Notification(models.Model):
    """Something a user is told inside the site: what happened to a sale they are in, or asked to be reminded of."""

    id = UUIDv7Field(primary_key=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="notifications", db_index=False)
    key = models.CharField(max_length=80)  # what it is about; the same thing is told to a user once
    title = models.CharField(max_length=160)
    text = models.CharField(max_length=300, blank=True)
    path = models.CharField(max_length=200)  # the page on this site where the user can see for themselves
    made_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True)
    mail_due_at = models.DateTimeField(
        null=True, db_index=True
    )  # the user wants it by mail too, and it is not sent yet

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_notification_per_user_and_key")]
        indexes = [models.Index(fields=["user", "made_at"], name="notification_by_user_and_time")]

    def __str__(self) -> str:
        return self.title


class NewsKind(models.TextChoices):
    """What news are about, as far as one may wish for them apart."""

    MINE = "mine", _("What happens to what I bought, hold or joined")
    SALES = "sales", _("Sales I asked to be reminded of, and new ones of shops I follow")


class MailWish(models.Model):
    """The user wants news of this kind by mail too. On the site they are always told."""

    pk = models.CompositePrimaryKey("user_id", "kind")
    user = models.ForeignKey(User, models.CASCADE, related_name="mail_wishes", db_index=False)
    kind = models.CharField(max_length=10, choices=NewsKind.choices)

    def __str__(self) -> str:
        return f"{self.user_id}: {self.kind}"


class PermitsEnd(models.Model):
    """When the user's permissions to buy ended last (`accounts/permits.py`)."""

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="+")
    at = models.DateTimeField(db_index=True)  # web processes ask for the newest

    def __str__(self) -> str:
        return f"{self.user_id} at {self.at}"


class Ban(models.Model):
    """A user whom staff have turned out, as long as they are."""

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="ban")
    staff = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    reason = models.CharField(max_length=200)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user_id}: {self.reason[:60]}"


class SecurityEvent(models.Model):
    """Something about somebody's way in, or done by staff (`accounts/audit.py`)."""

    id = UUIDv7Field(primary_key=True)
    event = models.CharField(max_length=60)
    user = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")  # whom it is about
    by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)  # who did it, if not they
    client = models.CharField(max_length=64)  # the address that the request came from
    facts = models.JSONField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.event} {self.at}"
