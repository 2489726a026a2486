from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from core.money import Money
from dsql.fields import UUIDv7Field
from sales.asked import PriceTerm, WholeTerm
from sales.rows import LIMIT_MAX, PurchaseRow, SettlementRow, TermsRow

UNITS_MAX = 10_000_000


class Drop(TermsRow):
    """Exactly `units_total` units at one price, sold from the sale's opening until its closing."""

    price_minor = PriceTerm(_("Price of one unit"), help_text=_("Like 24 or 24.50."))
    units_total = WholeTerm(_("Units"), high=UNITS_MAX)
    limit_per_fan = WholeTerm(
        _("Limit per fan"), high=LIMIT_MAX, null=True, blank=True, help_text=_("Empty: no limit.")
    )
    hold_s = WholeTerm(
        _("Hold, minutes"), low=0, high=3_600, default=0, asked_as="hold_minutes", unit=60,
        help_text=_("How long a fan may keep units before paying. 0: no holds."),
    )  # fmt: skip
    cancel_s = WholeTerm(
        _("Give back, minutes"), low=0, high=86_400, default=0, asked_as="give_back_minutes", unit=60,
        help_text=_("How long after paying, and before the close, a fan may return them for all of the "
"money. 0: never."),
    )  # fmt: skip

    class Meta(TermsRow.Meta):
        constraints = [
            *TermsRow.Meta.constraints,
            models.CheckConstraint(condition=Q(price_minor__gt=0), name="drop_price_above_zero"),
            models.CheckConstraint(
                condition=Q(units_total__gt=0, units_total__lte=UNITS_MAX), name="drop_units_within_range"
            ),
            models.CheckConstraint(
                condition=Q(limit_per_fan__isnull=True) | Q(limit_per_fan__gt=0), name="drop_limit_above_zero"
            ),
            models.CheckConstraint(condition=Q(hold_s__gte=0, cancel_s__gte=0), name="drop_times_not_negative"),
        ]

    @property
    def price(self) -> Money:
        return Money(self.price_minor, self.sale.currency)


class Bucket(models.Model):
    """A part of a drop's stock.

    Stored, not counted from orders: buyers need a row to contend on, or two could each count the last unit as free and both
    commit (write skew under snapshot isolation). Several rows, so that each process can keep to one of its own.
    """

    pk = models.CompositePrimaryKey("drop_id", "number")
    drop = models.ForeignKey(Drop, models.PROTECT, related_name="buckets", db_index=False)
    number = models.IntegerField()
    units_left = models.IntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(units_left__gte=0), name="bucket_never_oversold")]

    def __str__(self) -> str:
        return f"{self.drop_id} #{self.number}: {self.units_left}"


class FanLimit(models.Model):
    """How many units of a limited drop a fan has: the row on which a fan's own purchases contend."""

    pk = models.CompositePrimaryKey("drop_id", "fan_id")
    drop = models.ForeignKey(Drop, models.PROTECT, related_name="+", db_index=False)
    fan = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    units = models.IntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(units__gte=0), name="fan_limit_never_negative")]

    def __str__(self) -> str:
        return f"{self.fan_id} has {self.units} of {self.drop_id}"


class OrderState(models.TextChoices):
    HELD = "held", _("Held for you")  # units and money set aside until expires_at
    PAID = "paid", _("Paid")
    SETTLED = "settled", _("Paid, and passed on to the seller")
    CANCELLED = "cancelled", pgettext_lazy("order", "Cancelled")  # given back before it was paid, by the buyer
    EXPIRED = "expired", _("Hold ended")
    REFUNDED = "refunded", _("Refunded")


# Orders whose units are out of the stock.
HAS_UNITS = [OrderState.HELD, OrderState.PAID, OrderState.SETTLED]


class Settlement(SettlementRow):
    """One chunk of a drop's paid orders, passed on to the seller in one journal."""

    drop = models.ForeignKey(Drop, models.PROTECT, related_name="settlements", db_index=False)
    orders = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["drop", "number"], name="settlement_chunks_in_order")]

    def __str__(self) -> str:
        return f"{self.drop_id} #{self.number}"


class Order(PurchaseRow):
    """A fan's purchase, or units held for one."""

    id = UUIDv7Field(primary_key=True)
    drop = models.ForeignKey(Drop, models.PROTECT, related_name="orders", db_index=False)
    fan = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="orders", db_index=False)
    unit_price_minor = models.BigIntegerField()
    currency = models.CharField(max_length=4)
    state = models.CharField(max_length=10, choices=OrderState.choices)
    is_hold = models.BooleanField()  # as asked for; the state tells what became of it
    placed_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)  # when a hold ends by itself, if the sale is not frozen meanwhile
    # The sale's when this was placed: what is frozen later moves its deadlines.
    frozen_ms = models.BigIntegerField(default=0)
    changed_at = models.DateTimeField()
    settlement = models.ForeignKey(Settlement, models.PROTECT, null=True, related_name="+", db_index=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["fan", "idempotency_key"], name="one_order_per_fan_and_key"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="order_quantity_above_zero"),
            models.CheckConstraint(
                condition=Q(state="settled", settlement__isnull=False) | Q(state="refunded") |
                (~Q(state="settled") & Q(settlement__isnull=True)),
                name="order_settled_in_a_settlement",
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(fields=["drop", "state", "id"], name="order_by_drop_and_state"),
        ]

    @property
    def total_minor(self) -> int:
        return self.quantity * self.unit_price_minor
