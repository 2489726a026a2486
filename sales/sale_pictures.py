"""A sale's pictures. Once it is published they stay: what was bought is what was shown.

Whether it is a draft still is asked in the transaction that changes them, on the row that publishing writes.
"""

from __future__ import annotations

from uuid import UUID

from core.errors import NotFound
from core.transactions import joins_transaction, retried_transaction
from pictures import services as pictures
from pictures.models import Placed
from sales.errors import NotEditable
from sales.models import Sale, SaleState


@joins_transaction
def check_draft(*, seller_id: UUID, sale_id: UUID) -> None:
    """Raises NotFound and NotEditable. A sale that is published meanwhile meets this one, and one of the two runs again."""
    sale = Sale.objects.select_for_update().filter(id=sale_id, seller_id=seller_id).first()
    if sale is None:
        raise NotFound
    if sale.state != SaleState.DRAFT:
        raise NotEditable(state=sale.state)


@retried_transaction(replayable=True)
def take_away(*, seller_id: UUID, sale_id: UUID, picture_id: UUID) -> None:
    check_draft(seller_id=seller_id, sale_id=sale_id)
    pictures.take_away(place=Placed.Place.SALE, owner_id=sale_id, picture_id=picture_id)


@retried_transaction(replayable=True)
def move_first(*, seller_id: UUID, sale_id: UUID, picture_id: UUID) -> None:
    check_draft(seller_id=seller_id, sale_id=sale_id)
    pictures.move_first(place=Placed.Place.SALE, owner_id=sale_id, picture_id=picture_id)
