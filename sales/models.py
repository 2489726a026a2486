from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from core.money import Money
from dsql.fields import UUIDv7Field


class SaleState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    SCHEDULED = "scheduled", _("Scheduled")
    LIVE = "live", _("Live")
    FROZEN = "frozen", _("Paused by staff")
    CLOSED = "closed", _("Closed")
    SETTLING = "settling", _("Settling")
    SETTLED = "settled", _("Settled")
    CANCELLED = "cancelled", _("Cancelled")


# Published and not yet closed. Whether such a sale is open is decided by the clock, inside the buyer's transaction.
RUNNING_STATES = [SaleState.SCHEDULED, SaleState.LIVE]
# Those, and the ones that staff have stopped for now: they have not come to their end.
UNENDED_STATES = [*RUNNING_STATES, SaleState.FROZEN]


class Sale(models.Model):
    """What is the same for every format. Hot numbers (stock, joiners, bids) never live here, so editing a title cannot
    conflict with a purchase. The format's own table shares this row's id."""

    id = UUIDv7Field(primary_key=True)
    seller = models.ForeignKey("sellers.Seller", models.PROTECT, related_name="sales", db_index=False)
    format = models.CharField(max_length=10)
    title = models.CharField(max_length=120)
    slug = models.SlugField(max_length=80)
    story = models.TextField(max_length=5_000, blank=True)
    currency = models.CharField(max_length=4, default="EUR")
    opens_at = models.DateTimeField()
    closes_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=SaleState.choices, default=SaleState.DRAFT)
    # The least money that taking part asks for, for lists to be narrowed by; set when it is published. The terms rule, not this.
    entry_minor = models.BigIntegerField(null=True)
    # The sealed terms' version, and their hash for receipts. 0 and empty until published.
    terms_version = models.IntegerField(default=0)
    terms_sha256 = models.CharField(max_length=64, blank=True, default="")
    # Grows with every change of this row that viewers see; part of a frame's version.
    version = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # What fans may see is what has been published once: a draft that was called off stays as unseen as any draft.
    published_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    # While staff have it frozen nothing happens to it, and afterwards every deadline is later by `frozen_ms`, all freezes together.
    frozen_at = models.DateTimeField(null=True)
    frozen_ms = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["seller", "slug"], name="sale_slug_unique_per_seller"),
            models.CheckConstraint(condition=Q(closes_at__gt=F("opens_at")), name="sale_closes_after_it_opens"),
        ]
        indexes = [
            models.Index(fields=["state", "opens_at"], name="sale_by_state_and_time"),
            # For staff's search, by how they begin.
            models.Index(fields=["slug"], name="sale_by_slug"),
            models.Index(fields=["terms_sha256"], name="sale_by_seal"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def moved_by(self) -> dt.timedelta:
        """How much later than sealed its deadlines are."""
        return dt.timedelta(milliseconds=self.frozen_ms)


class Gate(models.Model):
    """What a purchase and the end of its sale meet on: every batch of purchases writes its process' own gate, and whatever stops
    a sale writes all of them. So of the two the database refuses one, however many rows of stock there are."""

    pk = models.CompositePrimaryKey("sale_id", "number")
    sale = models.ForeignKey(Sale, models.PROTECT, related_name="gates", db_index=False)
    number = models.IntegerField()
    version = models.BigIntegerField(default=0)  # grows by one with every write

    def __str__(self) -> str:
        return f"{self.sale_id} #{self.number}"


class StaffAction(models.Model):
    """What staff did to a sale, and why. Everybody may read it: it is a line of the sale's proof."""

    class Kind(models.TextChoices):
        FREEZE = "freeze", _("Paused")
        RESUME = "resume", pgettext_lazy("done", "Let go on")
        VOID = "void", _("Called off")

    id = UUIDv7Field(primary_key=True)
    sale = models.ForeignKey(Sale, models.PROTECT, related_name="staff_actions")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    reason = models.CharField(max_length=200)
    with_shop = models.BooleanField(default=False)  # done to all sales of a shop that was switched off, or on again
    staff = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.kind} {self.sale_id}: {self.reason[:60]}"


class Refund(models.Model):
    """Money that a fan was given back after a purchase was settled: one of its refunds. Written once, by `sales.refunds`."""

    pk = models.CompositePrimaryKey("purchase_id", "number")
    purchase_id = models.UUIDField()  # the format's row: an order, a join
    number = models.IntegerField()  # of this purchase's refunds, from 1
    sale = models.ForeignKey(Sale, models.PROTECT, related_name="refunds", db_index=False)
    fan = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    amount_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()  # what the house gave back of its fee
    paid_minor = models.BigIntegerField()  # for the purchase
    refunded_minor = models.BigIntegerField()  # by this one and all before it
    reason = models.CharField(max_length=200, blank=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(number__gt=0, amount_minor__gt=0), name="refund_above_zero"),
            models.CheckConstraint(
                condition=Q(fee_minor__gte=0, fee_minor__lte=F("amount_minor"), refunded_minor__gte=F("amount_minor"))
                & Q(refunded_minor__lte=F("paid_minor")),
                name="refund_within_what_was_paid",
            ),
        ]
        indexes = [models.Index(fields=["sale", "at"], name="refund_by_sale")]

    def __str__(self) -> str:
        return f"{self.purchase_id} #{self.number}: {self.amount_minor}"

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.sale.currency)

    @property
    def paid(self) -> Money:
        return Money(self.paid_minor, self.sale.currency)


class Takings(models.Model):
    """What a settled sale came to: a figure for its shop's screens, counted from its purchases by due work (`sales/counting.py`).

    The row is there from settling on; what is counted in it comes a moment later, and again when nobody can buy any more.
    """

    sale = models.OneToOneField(Sale, models.PROTECT, primary_key=True, related_name="takings")
    seller = models.ForeignKey("sellers.Seller", models.PROTECT, related_name="+", db_index=False)
    currency = models.CharField(max_length=4)
    settled_at = models.DateTimeField()
    purchases = models.IntegerField(default=0)
    buyers = models.IntegerField(default=0)
    units = models.IntegerField(default=0)
    gross_minor = models.BigIntegerField(default=0)  # with what was refunded since
    refunded_minor = models.BigIntegerField(default=0)
    counted_at = models.DateTimeField(null=True)
    counting = models.JSONField(null=True)  # how far the count that is under way has come (`sales.counting.Count`)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(purchases__gte=0, buyers__gte=0, units__gte=0, gross_minor__gte=0, refunded_minor__gte=0),
                name="takings_not_negative",
            ),
        ]
        indexes = [models.Index(fields=["seller", "settled_at", "sale"], name="takings_by_seller_and_time")]

    def __str__(self) -> str:
        return f"{self.sale_id}: {self.gross_minor} {self.currency}"


class Bought(models.Model):
    """A fan has paid for something in a settled sale of the shop: once for each sale, however much it was."""

    pk = models.CompositePrimaryKey("seller_id", "fan_id", "sale_id")
    seller = models.ForeignKey("sellers.Seller", models.PROTECT, related_name="+", db_index=False)
    fan = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    sale = models.ForeignKey(Sale, models.PROTECT, related_name="+", db_index=False)
    week = models.DateField()  # the Monday (UTC) of the week in which the sale was settled

    def __str__(self) -> str:
        return f"{self.fan_id} in {self.sale_id}"


class ShopBuyers(models.Model):
    """How many fans have ever bought of a shop, and how many of them in more than one sale.

    Whoever counts a sale of the shop writes it: two that are counted beside each other meet here.
    """

    seller = models.OneToOneField("sellers.Seller", models.PROTECT, primary_key=True, related_name="+")
    buyers = models.IntegerField(default=0)
    came_back = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.seller_id}: {self.buyers}"


class BuyersWeek(models.Model):
    """A week of a shop's buyers: how many there were, for how many it was the first, and how many of those have bought in
    another sale by now."""

    pk = models.CompositePrimaryKey("seller_id", "week")
    seller = models.ForeignKey("sellers.Seller", models.PROTECT, related_name="+", db_index=False)
    week = models.DateField()
    buyers = models.IntegerField(default=0)
    firsts = models.IntegerField(default=0)
    came_back = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(came_back__gte=0, firsts__gte=F("came_back"), buyers__gte=F("firsts")),
                name="buyers_week_adds_up",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.seller_id} {self.week}: {self.buyers}"


class StuckRow(models.Model):
    """A purchase that a step of its sale could not do. The step leaves it out until staff set it free."""

    id = UUIDv7Field(primary_key=True)
    sale = models.ForeignKey(Sale, models.PROTECT, related_name="stuck_rows")
    row_id = models.UUIDField()  # the format's: an order, a join
    error = models.CharField(max_length=500)
    made_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sale", "row_id"], name="a_row_is_stuck_once")]

    def __str__(self) -> str:
        return f"{self.row_id} of {self.sale_id}: {self.error[:60]}"


class SealedTerms(models.Model):
    """The terms of a sale as published: canonical text and its SHA-256. Never changed; a change is the next version."""

    id = UUIDv7Field(primary_key=True)
    sale = models.ForeignKey(Sale, models.PROTECT, related_name="sealed_terms", db_index=False)
    version = models.IntegerField()
    text = models.TextField()
    sha256 = models.CharField(max_length=64)
    sealed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sale", "version"], name="one_text_per_terms_version")]

    def __str__(self) -> str:
        return f"{self.sale_id} v{self.version} {self.sha256[:12]}"


class Reminder(models.Model):
    """A fan asked to be told when a sale opens."""

    pk = models.CompositePrimaryKey("sale_id", "fan_id")
    sale = models.ForeignKey(Sale, models.PROTECT, related_name="reminders", db_index=False)
    fan = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.fan_id} of {self.sale_id}"


class Telling(models.Model):
    """Fans are being told of an event of a sale, a chunk at a time in the order of fans; `told_up_to` is how far it has come."""

    pk = models.CompositePrimaryKey("sale_id", "event")
    sale = models.ForeignKey(Sale, models.PROTECT, related_name="+", db_index=False)
    event = models.CharField(max_length=20)
    told_up_to = models.UUIDField(null=True)
    made_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.event} of {self.sale_id}"


class ProofRun(models.Model):
    """The newest run of the checks of a subject, and the wish for the next one: everybody who looks sees this row.

    The row is also the queue, apart from other due work: a run may take a minute, and money must not wait behind it.
    """

    # A sale, or one of `sales.proof.BOOKS` and `BOOKS_WHOLE`.
    subject_id = models.UUIDField(primary_key=True)
    asked_at = models.DateTimeField(null=True, blank=True)  # a wish that no run has fulfilled yet
    tried_at = models.DateTimeField(null=True, blank=True)  # when the newest try began
    tried_ms = models.IntegerField(default=0)  # how long that took
    error = models.CharField(max_length=300, blank=True, default="")  # why that try gave no answers
    # The newest run that came to its end.
    ran_at = models.DateTimeField(null=True, blank=True)
    took_ms = models.IntegerField(null=True, blank=True)
    snapshots = models.IntegerField(default=1)
    since = models.DateTimeField(null=True, blank=True)  # of the books: only what was recorded from then on was read
    holds = models.BooleanField(null=True, blank=True)
    findings = models.TextField(default="[]")  # JSON of `core.invariants.Finding`s

    class Meta:
        indexes = [
            models.Index(fields=["asked_at"], name="proof_run_by_wish"),
            models.Index(fields=["holds"], name="proof_run_by_outcome"),
        ]

    def __str__(self) -> str:
        return str(self.subject_id)
