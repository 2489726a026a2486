"""What a shop sells again and again: a name, a story and pictures, from which its sales begin."""

from __future__ import annotations

from django.db import models

from dsql.fields import UUIDv7Field

TITLE_MAX = 120  # as of a sale, which takes it over
STORY_MAX = 5_000


class Product(models.Model):
    id = UUIDv7Field(primary_key=True)
    seller = models.ForeignKey("sellers.Seller", models.PROTECT, related_name="products", db_index=False)
    title = models.CharField(max_length=TITLE_MAX)
    story = models.TextField(max_length=STORY_MAX, blank=True, default="")
    made_at = models.DateTimeField()
    put_away_at = models.DateTimeField(null=True)  # from the catalogue; what was sold of it stays as it is

    class Meta:
        indexes = [models.Index(fields=["seller", "id"], name="product_by_seller")]

    def __str__(self) -> str:
        return self.title


class Offering(models.Model):
    """A sale that began from a product. It took over what the product said then, and goes its own way."""

    sale_id = models.UUIDField(primary_key=True)
    product = models.ForeignKey(Product, models.CASCADE, related_name="offerings")

    def __str__(self) -> str:
        return f"{self.sale_id} of {self.product_id}"
