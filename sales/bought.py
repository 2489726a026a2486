"""A fan's purchase as every page, list and file shows it, whatever its format."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from core.money import Money
from sales.models import Refund, Sale, SaleState
from sales.pseudonyms import pseudonym

R = TypeVar("R", bound="BoughtRow")


@dataclass(slots=True, kw_only=True)
class BoughtRow:
    """Amounts are totals over the purchase's units, but for `price`, which is of one."""

    # Templates of what its fan, or its seller, can do about it; they need `row`.
    fan_actions: ClassVar[str] = ""
    seller_actions: ClassVar[str] = ""

    record: Any  # the format's own: an order, a join
    sale: Sale
    at: dt.datetime
    price: Money
    held: Money  # set aside for it now
    paid: Money  # taken for it, also what was refunded since
    gives_back: Money  # what its seller can give back before it is settled; else nothing
    held_until: dt.datetime | None = None
    on_top: Money | None = None  # what of `paid` never was its seller's to give back: a premium
    refunds: Sequence[Refund] = ()

    @property
    def fan(self) -> str:
        """A pseudonym, for other eyes than the owner's."""
        return pseudonym(self.sale.id, self.record.fan_id)

    @property
    def state(self) -> str:
        return str(self.record.state)

    @property
    def words(self) -> str:
        return str(self.record.get_state_display())

    @property
    def total(self) -> Money:
        return self.paid if self.paid.minor else self.held

    @property
    def whole(self) -> Money:
        """What all of its units cost, whatever has become of it."""
        return self.price * self.record.quantity

    @property
    def refunded(self) -> Money:
        return Money(self.refunds[-1].refunded_minor if self.refunds else 0, self.sale.currency)

    @property
    def next_refund(self) -> int:
        return len(self.refunds) + 1

    @property
    def may_refund(self) -> Money:
        """As much as the seller can give back now; nothing when that is nothing."""
        if self.sale.state == SaleState.SETTLED and self.paid.minor:
            return self.paid - (self.on_top or Money(0, self.sale.currency)) - self.refunded
        return self.gives_back


def with_refunds(rows: Sequence[R]) -> Sequence[R]:
    """The rows, each knowing what of it was refunded after it was settled."""
    made: dict[UUID, list[Refund]] = {}
    for refund in Refund.objects.filter(purchase_id__in=[row.record.id for row in rows]).order_by("number"):
        made.setdefault(refund.purchase_id, []).append(refund)
    for row in rows:
        row.refunds = made.get(row.record.id, [])
        for refund in row.refunds:
            refund.sale = row.sale
    return rows
