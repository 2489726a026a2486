from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from auctions.english.steps import STEPS_TEXT_MAX
from core.money import Money
from dsql.fields import UUIDv7Field
from sales.asked import PriceTerm, WholeTerm
from sales.rows import PurchaseRow, SettlementRow, TermsRow

MINUTE, DAY = 60, 86_400


class Premium(models.IntegerChoices):
    """What a winner pays on top of the price, in hundredths of a percent."""

    NONE = 0, _("None")
    FIVE = 500, "5 %"
    TEN = 1_000, "10 %"
    TWELVE_AND_A_HALF = 1_250, "12.5 %"
    FIFTEEN = 1_500, "15 %"
    TWENTY = 2_000, "20 %"
    TWENTY_FIVE = 2_500, "25 %"


class English(TermsRow):
    """One lot for whoever bids most; the price is what the next best bid makes needed."""

    MADE_HERE: ClassVar[tuple[str, ...]] = ("reserve_salt",)

    start_minor = PriceTerm(_("First bid"), help_text=_("The least that somebody has to bid."))
    # `from:step,from:step` in minor units (`english.steps`).
    steps = models.CharField(max_length=STEPS_TEXT_MAX)
    # The shop's secret until the lot stays unsold; its hash is sealed. NULL: there is none.
    reserve_minor = PriceTerm(
        _("Reserve"), null=True, blank=True,
        help_text=_("Below it the lot is not sold. Fans see only whether it is met. Empty: none."),
    )  # fmt: skip
    reserve_salt = models.UUIDField(default=uuid4, editable=False)
    buy_now_minor = PriceTerm(
        _("Buy now"), null=True, blank=True,
        help_text=_("Whoever pays this has the lot at once, until bids have met the reserve. Empty: not offered."),
    )  # fmt: skip
    window_s = WholeTerm(
        _("Late bids, minutes"), low=0, high=DAY, default=3 * MINUTE, asked_as="window_minutes", unit=MINUTE,
        help_text=_("A bid in so many last minutes moves the end."),
    )  # fmt: skip
    extension_s = WholeTerm(
        _("Moved by, minutes"), low=0, high=DAY, default=3 * MINUTE, asked_as="extension_minutes", unit=MINUTE,
        help_text=_("The lot then stays open for at least so long."),
    )  # fmt: skip
    overtime_s = WholeTerm(
        _("Overtime, minutes"), low=0, high=DAY, default=60 * MINUTE, asked_as="overtime_minutes", unit=MINUTE,
        help_text=_("Late bids never move the end further than this."),
    )  # fmt: skip
    premium_bps = models.IntegerField(_("Buyer's premium"), choices=Premium.choices, default=Premium.NONE)

    class Meta(TermsRow.Meta):
        constraints = [
            *TermsRow.Meta.constraints,
            models.CheckConstraint(condition=Q(start_minor__gt=0), name="english_start_above_zero"),
            models.CheckConstraint(
                condition=Q(reserve_minor__isnull=True) | Q(reserve_minor__gt=0), name="english_reserve_above_zero"
            ),
            models.CheckConstraint(
                condition=Q(buy_now_minor__isnull=True) | Q(buy_now_minor__gt=0), name="english_buy_now_above_zero"
            ),
            models.CheckConstraint(
                condition=Q(window_s__gte=0, extension_s__gte=0, overtime_s__gte=0), name="english_times_not_negative"
            ),
            models.CheckConstraint(condition=Q(premium_bps__gte=0, premium_bps__lte=10_000), name="english_premium_is_a_share"),
        ]  # fmt: skip

    @property
    def start(self) -> Money:
        return Money(self.start_minor, self.sale.currency)

    @property
    def reserve(self) -> Money | None:
        return None if self.reserve_minor is None else Money(self.reserve_minor, self.sale.currency)

    @property
    def buy_now(self) -> Money | None:
        return None if self.buy_now_minor is None else Money(self.buy_now_minor, self.sale.currency)


class LotState(models.TextChoices):
    OPEN = "open", _("Open")
    SOLD = "sold", pgettext_lazy("lot", "Sold")
    UNSOLD = "unsold", _("Not sold")
    CANCELLED = "cancelled", _("Called off")


class Lot(models.Model):
    """Where an English auction stands: the one row that its bids contend on. Every bid depends on the last, so it cannot be split.

    Times stand as if staff had never paused the sale: later by its `frozen_ms` is what counts.
    """

    sale = models.OneToOneField(English, models.PROTECT, primary_key=True, related_name="lot")
    state = models.CharField(max_length=9, choices=LotState.choices, default=LotState.OPEN)
    leader = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    leader_max_minor = models.BigIntegerField(default=0)
    price_minor = models.BigIntegerField(default=0)
    best_other_max_minor = models.BigIntegerField(default=0)
    seq = models.IntegerField(default=0)  # accepted bids
    extensions = models.IntegerField(default=0)
    ends_at = models.DateTimeField()
    hold_id = models.UUIDField(null=True)  # the leader's money

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(seq=0, leader__isnull=True, hold_id__isnull=True, price_minor=0)
                | Q(seq__gt=0, leader__isnull=False, hold_id__isnull=False, price_minor__gt=0),
                name="lot_has_a_leader_with_its_first_bid",
            ),
            models.CheckConstraint(
                condition=Q(price_minor__lte=models.F("leader_max_minor")), name="lot_price_within_the_maximum"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sale_id}: {self.price_minor} after {self.seq}"


class Answer(models.TextChoices):
    LEADS = "leads", _("Took the lead")
    RAISED = "raised", _("Raised the own maximum")
    TIED = "tied", _("As much as the leader, who was earlier")
    OUTBID = "outbid", _("Outbid at once")
    BOUGHT = "bought", _("Bought at once")


class Bid(models.Model):
    """A line of a lot's log, never changed: an accepted bid, and how the lot stood after it. Its maximum is its fan's secret until
    the lot has ended."""

    id = UUIDv7Field(primary_key=True)
    sale = models.ForeignKey(English, models.PROTECT, related_name="bids", db_index=False)
    fan = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    idempotency_key = models.UUIDField()
    seq = models.IntegerField()
    max_minor = models.BigIntegerField()
    answer = models.CharField(max_length=6, choices=Answer.choices)
    received_at = models.DateTimeField()
    frozen_ms = models.BigIntegerField(default=0)  # the sale's then
    price_after_minor = models.BigIntegerField()
    leader_after = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    end_after = models.DateTimeField()  # as if the sale had never been paused
    transfer_id = models.UUIDField(
        null=True
    )  # the hold that it made; NULL: it did not lead, or was outbid in the same moment
    terms_sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sale", "seq"], name="bids_of_a_lot_in_order"),
            models.UniqueConstraint(fields=["sale", "fan", "idempotency_key"], name="one_bid_per_fan_and_key"),
        ]

    def __str__(self) -> str:
        return f"{self.sale_id} #{self.seq}"


class WinState(models.TextChoices):
    WON = "won", _("Won and paid")
    REFUNDED = "refunded", _("Refunded")


class Win(PurchaseRow):
    """A lot that was sold: written once, when its price was taken out of the winner's hold. Its primary key admits one a lot.

    `transfer_id` is the hold. Minor units; the premium comes on top of the price, the fee out of it.
    """

    id = UUIDv7Field(primary_key=True)
    sale = models.OneToOneField(English, models.PROTECT, related_name="win")
    fan = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    state = models.CharField(max_length=8, choices=WinState.choices, default=WinState.WON)
    price_minor = models.BigIntegerField()
    premium_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    won_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    passed_on_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(quantity=1, price_minor__gt=0), name="win_of_one_lot")]
        indexes = [models.Index(fields=["fan", "id"], name="win_by_fan")]

    @property
    def price(self) -> Money:
        return Money(self.price_minor, self.sale.sale.currency)

    @property
    def premium(self) -> Money:
        return Money(self.premium_minor, self.sale.sale.currency)

    @property
    def paid(self) -> Money:
        return self.price + self.premium


UNITS_MAX = 1_000_000


class Pays(models.TextChoices):
    OWN = "own", _("Each the price at which they claimed")
    LAST = "last", _("All the last price that was claimed")


class Dutch(TermsRow):
    """Units whose price falls by itself until they are claimed; it stops at the lowest price and stays there until the close."""

    start_minor = PriceTerm(_("First price"), help_text=_("Of one unit, when it opens."))
    floor_minor = PriceTerm(_("Lowest price"), help_text=_("It falls no further, and stays there until the close."))
    step_minor = PriceTerm(_("Falls by"))
    interval_s = WholeTerm(_("Every so many seconds"), high=DAY, default=MINUTE)
    units_total = WholeTerm(_("Units"), high=UNITS_MAX, default=1)
    pays = models.CharField(_("What buyers pay"), max_length=4, choices=Pays.choices, default=Pays.OWN)
    premium_bps = models.IntegerField(_("Buyer's premium"), choices=Premium.choices, default=Premium.NONE)

    class Meta(TermsRow.Meta):
        constraints = [
            *TermsRow.Meta.constraints,
            models.CheckConstraint(
                condition=Q(floor_minor__gt=0, start_minor__gt=models.F("floor_minor"), step_minor__gt=0, interval_s__gt=0),
                name="dutch_price_falls",
            ),
            models.CheckConstraint(condition=Q(units_total__gt=0, units_total__lte=UNITS_MAX), name="dutch_units_within_range"),
            models.CheckConstraint(condition=Q(premium_bps__gte=0, premium_bps__lte=10_000), name="dutch_premium_is_a_share"),
        ]  # fmt: skip

    @property
    def start(self) -> Money:
        return Money(self.start_minor, self.sale.currency)

    @property
    def floor(self) -> Money:
        return Money(self.floor_minor, self.sale.currency)

    @property
    def step(self) -> Money:
        return Money(self.step_minor, self.sale.currency)


class DutchBucket(models.Model):
    """A part of the units; see `drops.models.Bucket`."""

    pk = models.CompositePrimaryKey("sale_id", "number")
    sale = models.ForeignKey(Dutch, models.PROTECT, related_name="buckets", db_index=False)
    number = models.IntegerField()
    units_left = models.IntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(units_left__gte=0), name="dutch_bucket_never_oversold")]

    def __str__(self) -> str:
        return f"{self.sale_id} #{self.number}: {self.units_left}"


class DutchSettlement(SettlementRow):
    """One chunk of claims, charged, with what was passed on to the seller, and the premium to the house."""

    sale = models.ForeignKey(Dutch, models.PROTECT, related_name="settlements", db_index=False)
    claims = models.IntegerField()
    premium_minor = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sale", "number"], name="dutch_settlement_chunks_in_order")]

    def __str__(self) -> str:
        return f"{self.sale_id} #{self.number}"


class ClaimState(models.TextChoices):
    HELD = "held", pgettext_lazy("claim", "Claimed")  # the money is held until the end
    PAID = "paid", _("Paid, and passed on to the seller")
    RELEASED = "released", _("Not charged")  # it was called off
    REFUNDED = "refunded", _("Refunded")


class Claim(PurchaseRow):
    """Units that a fan took while the price fell. Nobody can give a claim back: what they paid less for would be free again."""

    id = UUIDv7Field(primary_key=True)
    sale = models.ForeignKey(Dutch, models.PROTECT, related_name="claims", db_index=False)
    fan = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    state = models.CharField(max_length=8, choices=ClaimState.choices)
    at_most_minor = models.BigIntegerField()  # a unit, as asked for
    unit_price_minor = models.BigIntegerField()  # when it was claimed
    unit_paid_minor = models.BigIntegerField(null=True)  # what was taken for it
    claimed_at = models.DateTimeField()
    frozen_ms = models.BigIntegerField(default=0)  # the sale's then
    changed_at = models.DateTimeField()
    settlement = models.ForeignKey(DutchSettlement, models.PROTECT, null=True, related_name="+", db_index=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sale", "fan", "idempotency_key"], name="one_claim_per_fan_and_key"),
            models.CheckConstraint(condition=Q(quantity__gt=0, unit_price_minor__gt=0), name="claim_of_some_units"),
            models.CheckConstraint(
                condition=Q(state="held", settlement__isnull=True, unit_paid_minor__isnull=True)
                | Q(state="released", settlement__isnull=True, unit_paid_minor__isnull=True)
                | Q(state__in=["paid", "refunded"], settlement__isnull=False, unit_paid_minor__isnull=False),
                name="claim_paid_in_a_settlement",
            ),
        ]
        indexes = [
            models.Index(fields=["sale", "state", "id"], name="claim_by_sale_and_state"),
            models.Index(fields=["fan", "id"], name="claim_by_fan"),
        ]
