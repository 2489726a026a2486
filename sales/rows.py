"""Columns that the tables of all formats have in common: of their terms, of what fans buy, and of settling."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from dsql.fields import UUIDv7Field

LIMIT_MAX = 1_000  # units that one fan can have, and so the most that one purchase asks for


class TermsRow(models.Model):
    """A format's terms of one sale, beside what every sale says. Its reverse name is the format's: `sale.drop`."""

    # What drafting makes by itself, beside the fee: no part of what was asked for.
    MADE_HERE: ClassVar[tuple[str, ...]] = ()

    sale = models.OneToOneField("sales.Sale", models.PROTECT, primary_key=True, related_name="%(class)s")
    fee_bps = models.IntegerField()

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(condition=Q(fee_bps__gte=0, fee_bps__lte=10_000), name="%(class)s_fee_is_a_share"),
        ]

    def __str__(self) -> str:
        return str(self.sale_id)


class PurchaseRow(models.Model):
    """What a fan has bought, or wants to. A format adds the fan, its sale and what became of it."""

    idempotency_key = models.UUIDField()
    quantity = models.IntegerField()
    transfer_id = models.UUIDField()  # the payment, or the hold
    terms_sha256 = models.CharField(max_length=64)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.pk)


class SettlementRow(models.Model):
    """One chunk of a sale's purchases, passed on in one journal. A format adds its sale and what it counts."""

    id = UUIDv7Field(primary_key=True)
    number = models.IntegerField()
    gross_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        abstract = True
