"""What fans have in the sales of a format (orders, joins, bids): the reads that are the same for all."""

from __future__ import annotations

from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import QuerySet

from core.errors import NotFound
from sales import stuck
from sales.rows import PurchaseRow

M = TypeVar("M", bound=PurchaseRow)


class Things(Generic[M]):
    """`terms` is the foreign key to the format's terms, and through it to the sale; the newest are those with the latest `at`."""

    def __init__(self, model: type[M], *, terms: str, at: str, missing: type[NotFound]) -> None:
        self.model = model
        self.terms = terms
        self.newest = f"-{at}"
        self.missing = missing

    def of_fan(self, fan_id: UUID, id: UUID) -> M:
        """One of the fan's own, with its sale and seller. Somebody else's is missing."""
        return self._one(self.missing(), id=id, fan_id=fan_id)

    def of_seller(self, seller_id: UUID, id: UUID) -> M:
        """One in a sale of the seller's. Another seller's is missing."""
        missing = self.missing(f"This {self.model._meta.verbose_name} does not exist.")
        return self._one(missing, **{"id": id, f"{self.terms}__sale__seller_id": seller_id})

    def list_of_fan(self, fan_id: UUID) -> list[M]:
        """The fan's newest 100, each with its sale and seller."""
        return list(self._with_sale().filter(fan_id=fan_id).order_by(self.newest)[:100])

    def list_of_sale(self, sale_id: UUID, *, limit: int) -> list[M]:
        """The newest of a sale. Whoever asks may see the sale."""
        return list(self.of_sale(sale_id).order_by(self.newest)[:limit])

    def fans(self, sale_id: UUID, *, after: UUID | None, limit: int) -> list[UUID]:
        """The next fans of a sale in the order of their ids, whatever has become of what they had."""
        return list(
            self.of_sale(sale_id, after=after).order_by("fan_id").values_list("fan_id", flat=True).distinct()[:limit]
        )

    def moving(self, sale_id: UUID, *, after: UUID | None = None) -> QuerySet[M]:
        """Those that the sale's steps deal with: all but the ones that stand aside."""
        return self.of_sale(sale_id, after=after).exclude(id__in=stuck.row_ids(sale_id))

    def of_sale(self, sale_id: UUID, *, after: UUID | None = None) -> QuerySet[M]:
        """All of a sale's, or those of the fans that come `after` this one in the order of their ids."""
        things = self.model._default_manager.filter(**{self.terms: sale_id})
        return things if after is None else things.filter(fan_id__gt=after)

    def _one(self, missing: NotFound, **conditions: Any) -> M:
        found = self._with_sale().filter(**conditions).first()
        if found is None:
            raise missing
        return found

    def _with_sale(self) -> QuerySet[M]:
        return self.model._default_manager.select_related(f"{self.terms}__sale__seller")
