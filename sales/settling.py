"""What the settlements of all formats have in common."""

from __future__ import annotations

from django.db import models

from dsql.fields import UUIDv7Field


class SettlementRow(models.Model):
    """One chunk of a sale's purchases, passed on in one journal. A format adds its sale and what it counts."""

    id = UUIDv7Field(primary_key=True)
    number = models.IntegerField()
    gross_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        abstract = True
