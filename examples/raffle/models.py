from uuid import uuid4

from django.db import models

from sales.plain import PlainRow


class Raffle(models.Model):
    """Prizes for some of the fans who entered, drawn by lot after the close."""

    MADE_HERE = ("seed",)
    sale = models.OneToOneField("sales.Sale", models.PROTECT, primary_key=True)
    price_minor = models.BigIntegerField()  # 0: free
    prizes = models.IntegerField()
    seed = models.UUIDField(default=uuid4)  # its hash is sealed before anybody enters; it is shown when it has drawn


class Entry(PlainRow):
    """A fan in a raffle: in, won or refunded."""
