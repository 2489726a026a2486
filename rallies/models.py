from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from core.money import Money
from sales.asked import WholeTerm
from sales.rows import LIMIT_MAX, PurchaseRow, SettlementRow, TermsRow

CAP_MAX = 10_000_000
BUCKETS = 128
# What `services.new_invite_code` makes.
INVITE_PATTERN = "^[A-Za-z0-9_-]*$"
INVITE_LENGTH_MAX = 16


class Basis(models.TextChoices):
    """What the tiers count."""

    JOINERS = "joiners", _("Joiners")
    UNITS = "units", _("Units")


class Audience(models.TextChoices):
    EVERYONE = "everyone", _("Every verified fan")
    INVITED = "invited", _("Only fans with an invite link")


class Rally(TermsRow):
    """One product for a crowd: the price of a unit falls as people join, and all pay the price it ends at."""

    MADE_HERE = ("late_until", "firm_s", "seller_invite", "next_id")

    basis = models.CharField(max_length=7, choices=Basis.choices, default=Basis.JOINERS)
    # Of joiners or units, as the basis says.
    minimum = WholeTerm(_("Minimum"), high=CAP_MAX, default=1, help_text=_("With fewer at the end, nobody pays."))
    cap_units = WholeTerm(
        _("Cap, units"), high=CAP_MAX, null=True, blank=True, help_text=_("Empty: as many as want it.")
    )
    limit_per_fan = WholeTerm(_("Units per fan"), high=LIMIT_MAX, default=1)
    audience = models.CharField(max_length=8, choices=Audience.choices, default=Audience.EVERYONE)
    late_joins = models.BooleanField(default=False)  # at the final price, while the cap leaves units
    late_until = models.DateTimeField(null=True, editable=False)  # until when, if there are any
    # So many seconds before the end whoever is counted stays counted: leaving then frees the money and not the count.
    firm_s = models.IntegerField(default=0)
    seller_invite = models.CharField(max_length=16)  # the code of the seller's own invite link
    # The same rally again so many days later, so many times more; published by itself when this one closes.
    repeats_every_days = WholeTerm(_("Every so many days"), high=366, null=True, blank=True)
    repeats_left = WholeTerm(
        _("Repeat, times"), low=0, high=52, default=0,
        help_text=_("The same rally again, published by itself when one closes. 0: only once."),
    )  # fmt: skip
    repeats_zone = models.CharField(max_length=40, default="UTC")  # whose clocks say what the same time of the day is
    next_id = models.UUIDField(null=True, editable=False)  # the sale that repeats this one

    class Meta(TermsRow.Meta):
        verbose_name_plural = "rallies"
        constraints = [
            *TermsRow.Meta.constraints,
            models.CheckConstraint(condition=Q(minimum__gt=0), name="rally_minimum_above_zero"),
            models.CheckConstraint(
                condition=Q(cap_units__isnull=True) | Q(cap_units__gt=0, cap_units__lte=CAP_MAX),
                name="rally_cap_within_range",
            ),
            models.CheckConstraint(
                condition=Q(limit_per_fan__gt=0, limit_per_fan__lte=LIMIT_MAX), name="rally_limit_within_range"
            ),
            models.CheckConstraint(
                condition=Q(late_joins=False) | Q(cap_units__isnull=False), name="rally_late_joins_need_a_cap"
            ),
            models.CheckConstraint(
                condition=Q(repeats_every_days__isnull=True, repeats_left=0)
                | Q(repeats_every_days__gt=0, repeats_left__gte=0),
                name="rally_repeats_after_days",
            ),
        ]


class Tier(models.Model):
    """A step of the staircase: from so many joiners (or units) on, a unit costs so much."""

    pk = models.CompositePrimaryKey("rally_id", "level")
    rally = models.ForeignKey(Rally, models.PROTECT, related_name="tiers", db_index=False)
    level = models.IntegerField()
    from_count = models.IntegerField()
    price_minor = models.BigIntegerField()

    class Meta:
        ordering = ["level"]
        constraints = [
            models.CheckConstraint(condition=Q(from_count__gt=0, price_minor__gt=0), name="rally_tier_above_zero"),
        ]

    def __str__(self) -> str:
        return f"{self.rally_id} from {self.from_count}: {self.price_minor}"

    @property
    def price(self) -> Money:
        return Money(self.price_minor, self.rally.sale.currency)


class Bucket(models.Model):
    """A part of the count of those who have joined, and of the units left under a cap: several rows, so that each process can
    keep to one of its own."""

    pk = models.CompositePrimaryKey("rally_id", "number")
    rally = models.ForeignKey(Rally, models.PROTECT, related_name="buckets", db_index=False)
    number = models.IntegerField()
    joiners = models.IntegerField(default=0)
    units = models.IntegerField(default=0)
    units_left = models.IntegerField(null=True)  # NULL: no cap

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(joiners__gte=0, units__gte=0), name="rally_bucket_count_not_negative"),
            models.CheckConstraint(
                condition=Q(units_left__isnull=True) | Q(units_left__gte=0), name="rally_bucket_never_oversold"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rally_id} #{self.number}: {self.joiners}"


class LimitedCount(models.Model):
    """Of a bucket's count, those who joined with a limit on the price, by the first tier they accept.

    Only ever written together with the bucket, on which writers contend.
    """

    pk = models.CompositePrimaryKey("rally_id", "number", "level")
    rally = models.ForeignKey(Rally, models.PROTECT, related_name="+", db_index=False)
    number = models.IntegerField()
    level = models.IntegerField()
    joiners = models.IntegerField()
    units = models.IntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(level__gt=0), name="rally_limited_has_a_level"),
            models.CheckConstraint(condition=Q(joiners__gte=0, units__gte=0), name="rally_limited_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.rally_id} #{self.number} level {self.level}: {self.joiners}"


class JoinState(models.TextChoices):
    JOINED = "joined", pgettext_lazy("state", "Joined")  # the most it can cost is held in the wallet
    LEFT = "left", _("Left")  # by the fan, before the close
    REMOVED = "removed", _("Removed by the seller")
    PAID = "paid", _("Paid")
    RELEASED = "released", _("Not charged")  # the rally did not run, was called off, or ended above the fan's limit
    REFUNDED = "refunded", _("Refunded")


# Joins that are not part of the crowd.
NOT_COUNTED = [JoinState.LEFT, JoinState.REMOVED]


class Join(PurchaseRow):
    """A fan's place in a rally: once per fan by the primary key, however often the button is pressed."""

    pk = models.CompositePrimaryKey("rally_id", "fan_id")
    rally = models.ForeignKey(Rally, models.PROTECT, related_name="joins", db_index=False)
    fan = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="joins", db_index=False)
    id = models.UUIDField(unique=True)  # for receipts and the ledger
    only_at_or_below_minor = models.BigIntegerField(null=True)  # the fan's limit on the price of a unit
    level = models.IntegerField()  # the first tier it accepts
    bucket = models.IntegerField()  # the one that counts it
    state = models.CharField(max_length=8, choices=JoinState.choices)
    invite_code = models.CharField(max_length=16)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    stays_counted = models.BooleanField(default=False)  # left or removed so near the end that the count keeps it
    joined_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rally", "invite_code"], name="rally_invite_code_names_one_fan"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="rally_join_quantity_above_zero"),
        ]
        indexes = [
            models.Index(fields=["fan", "joined_at"], name="rally_join_by_fan"),
            models.Index(fields=["rally", "invited_by"], name="rally_join_by_inviter"),
        ]


class Outcome(models.Model):
    """What a rally ended at: the count and the price, fixed once when settling begins; the primary key admits one.

    `settled_up_to` is how far settling has come in the order of fans: it is what two settlers contend on.
    """

    rally = models.OneToOneField(Rally, models.PROTECT, primary_key=True, related_name="outcome")
    joiners = models.IntegerField()  # who accept the final price; all others go free
    units = models.IntegerField()
    level = models.IntegerField()
    price_minor = models.BigIntegerField()
    did_run = models.BooleanField()  # enough joined; otherwise nobody pays
    fixed_at = models.DateTimeField()
    settled_up_to = models.UUIDField(null=True)

    def __str__(self) -> str:
        return f"{self.rally_id}: {self.joiners} at {self.price_minor}"

    @property
    def price(self) -> Money:
        return Money(self.price_minor, self.rally.sale.currency)


class Settlement(SettlementRow):
    """One chunk of joins, charged or let go, with what was passed on to the seller."""

    rally = models.ForeignKey(Rally, models.PROTECT, related_name="settlements", db_index=False)
    charged = models.IntegerField()
    released = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rally", "number"], name="rally_settlement_chunks_in_order")]

    def __str__(self) -> str:
        return f"{self.rally_id} #{self.number}"


class LateJoin(PurchaseRow):
    """A purchase after the end at the final price, from what the cap left over. Once per fan."""

    pk = models.CompositePrimaryKey("rally_id", "fan_id")
    rally = models.ForeignKey(Rally, models.PROTECT, related_name="late_joins_made", db_index=False)
    fan = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="late_joins", db_index=False)
    id = models.UUIDField(unique=True)
    joined_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(quantity__gt=0), name="rally_late_quantity_above_zero")]
