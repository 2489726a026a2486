from __future__ import annotations

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from dsql.fields import UUIDv7Field

HANDLE = RegexValidator(
    r"\A[a-z0-9](?:[a-z0-9-]{1,38}[a-z0-9])\Z",
    _("Use 3 to 40 small letters, digits and dashes, with no dash at an end."),
)


NAME_MAX = 80
ABOUT_MAX = 2_000


class Seller(models.Model):
    """A tenant: a shop with its members, sales and money."""

    id = UUIDv7Field(primary_key=True)
    handle = models.CharField(max_length=40, unique=True, validators=[HANDLE])
    name = models.CharField(max_length=NAME_MAX)
    about = models.TextField(max_length=ABOUT_MAX, blank=True)
    # The house's part of this seller's sales, in hundredths of a percent. Sealed into each sale's terms at publish.
    fee_bps = models.IntegerField(default=500)
    is_active = models.BooleanField(default=True)
    # A new shop that staff have not approved yet (`sellers/approval.py`): since when it asks, and why it was told no. Who
    # approved it, when and why is in the log (`accounts/audit.py`), whose rows never change.
    waits_since = models.DateTimeField(null=True, editable=False, db_index=True)
    refused_because = models.CharField(max_length=200, null=True, editable=False)  # noqa: DJ001  # null is "was not"
    # The shop's colour: a hue in degrees, and a chroma in hundredths. Lightness is the site's, so that text stays readable.
    hue = models.IntegerField(null=True, blank=True)
    chroma = models.IntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(fee_bps__gte=0, fee_bps__lte=10_000), name="seller_fee_is_a_share"),
        ]

    def __str__(self) -> str:
        return self.name


class Follow(models.Model):
    """A fan who wants to hear of a shop's new sales, or did until `left_at`.

    Whoever comes back is a follower from `made_at` on, as if they had never left: so nobody is counted twice.
    """

    pk = models.CompositePrimaryKey("seller_id", "fan_id")
    seller = models.ForeignKey(Seller, models.CASCADE, related_name="follows", db_index=False)
    fan = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="follows")
    made_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["seller", "made_at"], name="follow_by_start"),
            models.Index(fields=["seller", "left_at"], name="follow_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.fan_id} follows {self.seller_id}"


class Role(models.TextChoices):
    OWNER = "owner", _("Owner")
    MANAGER = "manager", _("Manager")
    VIEWER = "viewer", _("Viewer")


# What each role may do in its seller's console.
MAY_EDIT_SALES = {Role.OWNER, Role.MANAGER}
MAY_MANAGE_MEMBERS = {Role.OWNER}


class Member(models.Model):
    """A user's role at a seller."""

    id = UUIDv7Field(primary_key=True)
    seller = models.ForeignKey(Seller, models.CASCADE, related_name="members", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["seller", "user"], name="one_membership_per_seller")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} of {self.seller_id}"


class Invitation(models.Model):
    """A place at a shop that its owner offers to whoever confirms this address. Taken once."""

    id = UUIDv7Field(primary_key=True)
    seller = models.ForeignKey(Seller, models.CASCADE, related_name="invitations")
    email = models.EmailField()  # in small letters
    role = models.CharField(max_length=10, choices=Role.choices)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.email} as {self.role} of {self.seller_id}"


class KeyScope(models.TextChoices):
    READ = "read", _("See sales, purchases and money")
    SALES = "sales", _("Also draft, publish, close and call off sales")


class ApiKey(models.Model):
    """A way into the shop's part of the API without a login, with its maker's rights or fewer. The key itself is not kept."""

    id = UUIDv7Field(primary_key=True)
    seller = models.ForeignKey(Seller, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=NAME_MAX)
    scope = models.CharField(max_length=10, choices=KeyScope.choices, default=KeyScope.READ)
    sha256 = models.CharField(max_length=64, unique=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)  # to the hour
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name} of {self.seller_id}"


class ShopEvent(models.Model):
    """Something that was done in a shop (`sellers/events.py`)."""

    id = UUIDv7Field(primary_key=True)
    seller = models.ForeignKey(Seller, models.PROTECT, related_name="events", db_index=False)
    event = models.CharField(max_length=30)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    key = models.ForeignKey(ApiKey, models.PROTECT, null=True, related_name="+", db_index=False)
    facts = models.JSONField()
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["seller", "id"], name="shop_event_by_seller")]

    def __str__(self) -> str:
        return f"{self.event} {self.at}"

    @property
    def words(self) -> str:
        from sellers.events import EVENTS  # which writes these rows

        return EVENTS.get(self.event, self.event)

    @property
    def shown(self) -> list[str]:
        """The facts for people: names and amounts, without ids."""
        return [value for name, value in self.facts.items() if name not in ("sale", "purchase", "number")]
