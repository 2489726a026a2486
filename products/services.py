from __future__ import annotations

import datetime as dt
from uuid import UUID

from core.errors import NotFound
from core.text import clean_line, clean_text
from core.transactions import joins_transaction, retried_transaction
from pictures import services as pictures
from pictures.models import Placed
from products.errors import TooManyProducts
from products.models import STORY_MAX, TITLE_MAX, Offering, Product

OF_A_SHOP_MAX = 1_000


@retried_transaction(replayable=True)
def add(*, product_id: UUID, seller_id: UUID, title: str, story: str, now: dt.datetime) -> Product:
    """Put something into the catalogue. A repeat with the same id changes nothing. Raises Invalid, TooManyProducts."""
    said = _said(title, story)
    there = Product.objects.filter(id=product_id).first()
    if there is not None:
        if there.seller_id != seller_id:
            raise NotFound
        return there
    if Product.objects.filter(seller_id=seller_id, put_away_at=None).count() >= OF_A_SHOP_MAX:
        raise TooManyProducts(most=OF_A_SHOP_MAX)
    product = Product(id=product_id, seller_id=seller_id, made_at=now, **said)
    product.save(force_insert=True)
    return product


@retried_transaction(replayable=True)
def change(*, seller_id: UUID, product_id: UUID, title: str, story: str) -> None:
    """Sales that began from it before stay as they are. Raises Invalid, NotFound."""
    said = _said(title, story)
    _check(seller_id, product_id)
    Product.objects.filter(id=product_id).update(**said)


@retried_transaction(replayable=True)
def put_away(*, seller_id: UUID, product_id: UUID, now: dt.datetime) -> None:
    """A repeat changes nothing."""
    own = Product.objects.filter(id=product_id, seller_id=seller_id)
    if not own.exists():
        raise NotFound
    own.filter(put_away_at=None).update(put_away_at=now)


@retried_transaction(replayable=True)
def take_picture_away(*, seller_id: UUID, product_id: UUID, picture_id: UUID) -> None:
    _check(seller_id, product_id)
    pictures.take_away(place=Placed.Place.PRODUCT, owner_id=product_id, picture_id=picture_id)


@retried_transaction(replayable=True)
def move_picture_first(*, seller_id: UUID, product_id: UUID, picture_id: UUID) -> None:
    _check(seller_id, product_id)
    pictures.move_first(place=Placed.Place.PRODUCT, owner_id=product_id, picture_id=picture_id)


def offer(*, product_id: UUID, sale_id: UUID) -> None:
    """The sale began from this product, and shows its pictures. A repeat changes nothing."""
    _note_offering(product_id=product_id, sale_id=sale_id)
    pictures.copy_places(from_owner=product_id, from_place=Placed.Place.PRODUCT, to_owner=sale_id)


@retried_transaction(replayable=True)
def _note_offering(*, product_id: UUID, sale_id: UUID) -> None:
    if not Offering.objects.filter(sale_id=sale_id).exists():
        Offering(sale_id=sale_id, product_id=product_id).save(force_insert=True)


def check_own(*, seller_id: UUID, product_id: UUID) -> None:
    """Raises NotFound for somebody else's, and for one that is put away."""
    _check(seller_id, product_id)


@joins_transaction
def _check(seller_id: UUID, product_id: UUID) -> None:
    if not Product.objects.filter(id=product_id, seller_id=seller_id, put_away_at=None).exists():
        raise NotFound


def _said(title: str, story: str) -> dict[str, str]:
    return {
        "title": clean_line(title, field="title", most=TITLE_MAX),
        "story": clean_text(story, field="story", most=STORY_MAX),
    }
