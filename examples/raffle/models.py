from uuid import uuid4

from django.conf import settings
from django.db import models


class Raffle(models.Model):
    """Prizes for some of the fans who entered, drawn by lot after the close."""

    MADE_HERE = ("seed",)
    sale = models.OneToOneField("sales.Sale", models.PROTECT, primary_key=True)
    price_minor = models.BigIntegerField()  # 0: free
    prizes = models.IntegerField()
    seed = models.UUIDField(default=uuid4)  # its hash is sealed before anybody enters; it is shown when it has drawn


class Entry(models.Model):
    pk = models.CompositePrimaryKey("raffle_id", "fan_id")  # a fan is in once
    raffle = models.ForeignKey(Raffle, models.PROTECT, related_name="entries", db_index=False)
    fan = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    id = models.UUIDField()  # of its payment too
    state = models.CharField(max_length=10, default="in")  # in, won, refunded
