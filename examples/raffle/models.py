from uuid import uuid4

from django.db import models

from sales.plain import PlainRow
from sales.rows import TermsRow


class Raffle(TermsRow):
    """Prizes for some of the fans who entered, drawn by lot after the close."""

    MADE_HERE = ("seed",)
    price_minor = models.BigIntegerField()  # 0: free
    prizes = models.IntegerField()
    seed = models.UUIDField(default=uuid4)  # its hash is sealed before anybody enters; it is shown when it has drawn


class Entry(PlainRow):
    """A fan in a raffle: in, won or refunded."""
