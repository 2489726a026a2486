from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from core.errors import NotFound
from core.paging import Page, page_of
from pictures.models import Placed
from pictures.selectors import pictures_of
from products.models import Offering, Product

SHOWN = 24


def page_of_products(seller_id: UUID, cursor: str) -> Page[Product]:
    """The catalogue, the newest first, each with its first `picture`."""
    found = Product.objects.filter(seller_id=seller_id, put_away_at=None)
    return page_of(found, cursor, size=SHOWN).map(_pictured)


def get_product(seller_id: UUID, product_id: UUID) -> Product:
    product = Product.objects.filter(id=product_id, seller_id=seller_id, put_away_at=None).first()
    if product is None:
        raise NotFound
    return product


def sales_of(product_id: UUID, limit: int = 20) -> Sequence[UUID]:
    """The newest sales that began from it."""
    found = Offering.objects.filter(product_id=product_id).order_by("-sale_id")
    return list(found.values_list("sale_id", flat=True)[:limit])


def _pictured(products: Sequence[Product]) -> Sequence[Product]:
    found = pictures_of([product.id for product in products], Placed.Place.PRODUCT)
    for product in products:
        product.picture = next(iter(found[product.id]), None)  # type: ignore[attr-defined]
    return products
