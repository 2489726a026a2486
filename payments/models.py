from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from dsql.fields import UUIDv7Field


class TopUpState(models.TextChoices):
    STARTED = "started", _("Waiting for payment")
    PAID = "paid", _("Paid")
    FAILED = "failed", _("Not paid")


class TopUp(models.Model):
    """A fan's wish to put money into the wallet: written before the provider is asked, so nothing it answers is lost.

    Its id is the fan's, and the key towards the provider. The ledger's transfer has an id of ours: `transfer_id`.
    """

    id = UUIDv7Field(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="top_ups")
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=4)
    provider = models.CharField(max_length=20)
    provider_ref = models.CharField(max_length=255, blank=True, default="")
    state = models.CharField(max_length=10, choices=TopUpState.choices, default=TopUpState.STARTED)
    created_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    # A path of this site to go on to. Here and not in the session: the provider may bring the fan back without that.
    return_to = models.TextField(null=True)  # noqa: DJ001  # a column that is added has no default on DSQL
    # Made when the money comes in. None until then, and where it came in under the top-up's own id, before this column.
    transfer_id = models.UUIDField(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="top_up_above_zero"),
            # Of the rows from before this rule, none has a transfer here.
            models.CheckConstraint(
                condition=~Q(currency="PLAY") | Q(transfer_id__isnull=True), name="top_up_brings_no_play_money"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} {self.currency} {self.state}"
