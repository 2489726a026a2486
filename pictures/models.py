"""Pictures that sellers upload, and where each is shown."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from dsql.fields import UUIDv7Field

ALT_MAX = 200


class PictureState(models.TextChoices):
    NEW = "new", _("Being made ready")
    READY = "ready", _("Ready")
    REFUSED = "refused", _("Cannot be used")


class Picture(models.Model):
    """One upload. Its files are written once, under its id, and never change: another picture is another row."""

    id = UUIDv7Field(primary_key=True)
    seller = models.ForeignKey("sellers.Seller", models.PROTECT, related_name="pictures")
    sha256 = models.CharField(max_length=64)  # of the file as it was uploaded
    state = models.CharField(max_length=10, choices=PictureState.choices, default=PictureState.NEW)
    reason = models.CharField(max_length=200, blank=True, default="")  # why it cannot be used
    # Of the largest file made, in pixels, and how wide each one is: "320,640,1280".
    width = models.IntegerField(default=0)
    height = models.IntegerField(default=0)
    widths = models.CharField(max_length=60, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{self.id} {self.state}"


class Placed(models.Model):
    """A picture at its place: one of a sale's or a product's, or a shop's logo or cover."""

    class Place(models.TextChoices):
        SALE = "sale", _("Sale")
        LOGO = "logo", _("Logo")
        COVER = "cover", _("Cover")
        PRODUCT = "product", _("Product")

    pk = models.CompositePrimaryKey("owner_id", "place", "picture_id")
    owner_id = models.UUIDField()  # the sale, the product, or the shop
    place = models.CharField(max_length=10, choices=Place.choices)
    picture = models.ForeignKey(Picture, models.PROTECT, related_name="places", db_index=False)
    position = models.IntegerField()
    alt = models.CharField(max_length=ALT_MAX, blank=True, default="")  # what it shows, for who does not see it

    def __str__(self) -> str:
        return f"{self.place} {self.owner_id} #{self.position}"
