"""What the demo of every format needs: sales to be running at all times, and ones that are over. All of it by real services."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.files import File
from django.db.models import QuerySet

from core import clock
from core.ids import uuid7
from core.money import Money
from pictures import services as pictures
from pictures.models import Placed
from sales import minting, prover
from sales import services as sales
from sales.drafting import SaleDraft
from sales.formats import get_format
from sales.models import UNENDED_STATES, Sale, SaleState
from sales.rows import TermsRow
from sellers.models import Seller

Shops = Mapping[str, Seller]  # by handle


@dataclass(frozen=True, slots=True)
class Shown:
    """A sale of the demo, with the terms of its format. Times count from now; euro."""

    shop: str
    title: str
    story: str
    open_for: dt.timedelta
    terms: Mapping[str, Any]
    opens_in: dt.timedelta = dt.timedelta(0)
    picture: str = ""  # a file of PICTURES
    shows: str = ""  # what it shows

    def is_running(self, shops: Shops) -> bool:
        return self._sales(shops).filter(state__in=UNENDED_STATES).exists()

    def has_been(self, shops: Shops) -> bool:
        return self._sales(shops).exists()

    def open(self, shops: Shops, open_sale: Callable[..., TermsRow]) -> UUID:
        """By the format's service."""
        now = clock.now()
        opens_at, sale_id = now + self.opens_in, uuid7()
        if self.picture:
            show_picture(shops[self.shop], Placed.Place.SALE, sale_id, self.picture, self.shows)
        draft = SaleDraft(
            sale_id=sale_id, seller_id=shops[self.shop].id, title=self.title, story=self.story, currency="EUR",
            opens_at=opens_at, closes_at=opens_at + self.open_for, now=now,
        )  # fmt: skip
        open_sale(draft, **self.terms)
        return draft.sale_id

    def _sales(self, shops: Shops) -> QuerySet[Sale]:
        return Sale.objects.filter(seller=shops[self.shop], title=self.title)


PICTURES = Path(__file__).resolve().parent.parent / "dropfront" / "demo_pictures"


def show_picture(shop: Seller, place: Placed.Place, owner_id: UUID, name: str, shows: str) -> None:
    """Upload one of the demo's own pictures, and have it made ready at once."""
    picture_id = uuid7()
    with (PICTURES / name).open("rb") as file:
        pictures.upload(
            picture_id=picture_id, seller_id=shop.id, place=place, owner_id=owner_id, file=File(file), alt=shows,
            now=clock.now(),
        )  # fmt: skip
    pictures.make_ready(picture_id)


def fans_with(funds_minor: int, *, count: int) -> Iterator[UUID]:
    for chunk in minting.mint_fans(count=count, funds=Money(funds_minor, "EUR"), now=clock.now()):
        yield from chunk


def end(sale_id: UUID) -> None:
    """Close the sale before its time, settle it and prove it."""
    sale = Sale.objects.get(id=sale_id)
    sales.close_sale_early(seller_id=sale.seller_id, sale_id=sale_id, now=clock.now())
    sales.settle_to_the_end(sale_id)
    _prove(sale)


def end_in_time(sale_id: UUID) -> None:
    """Close the sale when its time has come, as a worker does, settle it and prove it. The services are given the time that it
    will be then, so that nobody has to wait for it."""
    sale = Sale.objects.get(id=sale_id)
    now = get_format(sale.format).rules.ends_at(sale) + sales.CLOSE_GRACE
    sales.close_sale(sale_id=sale_id, now=now)
    while (next_at := sales.settle_step(sale_id=sale_id, now=now)) and next_at <= now:
        pass
    _prove(sale)


def _prove(sale: Sale) -> None:
    sale.refresh_from_db()
    assert sale.state == SaleState.SETTLED, sale
    prover.prove_now(sale)
