"""What fans have in the sales of a format (orders, joins, bids): the reads that are the same for all."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from core.errors import NotFound
from core.language import Said
from core.paging import Page, page_of
from sales.pseudonyms import pseudonym
from sales.rows import PurchaseRow
from sales.selectors import stuck_row_ids

M = TypeVar("M", bound=PurchaseRow)
FANS_AT_ONCE = 10_000


class Things(Generic[M]):
    """`terms` is the foreign key to the format's terms, and through it to the sale. `receipt` is the name of its template, and
    `page` of the URL. `paid_minor` is what a fan paid for one that is settled, and nothing for any other.
    `noun` and `nouns` are what people call one and many, in the reader's language; without them, as the model is called."""

    def __init__(
        self, model: type[M], *, terms: str, missing: type[NotFound], receipt: str, page: str,
        paid_minor: Callable[[M], int], noun: Said = "", nouns: Said = "",
    ) -> None:  # fmt: skip
        self.model = model
        self.terms = terms
        self.missing = missing
        self.receipt = receipt
        self.page = page
        self.paid_minor = paid_minor
        self._noun = noun
        self._nouns = nouns

    @property
    def name(self) -> str:
        """Of all of them, for programs: the same in every language."""
        return str(self.model._meta.verbose_name_plural)

    @property
    def slug(self) -> str:
        return self.name.replace(" ", "-")

    @property
    def nouns(self) -> str:
        return str(self._nouns) or self.name

    @property
    def noun(self) -> str:
        return str(self._noun) or str(self.model._meta.verbose_name)

    @property
    def states(self) -> list[tuple[str, str]]:
        """Each state by its name and as people read it; none for what stays as it was made."""
        columns = [column for column in self.model._meta.concrete_fields if column.name == "state"]
        return [(str(name), str(words)) for column in columns for name, words in column.flatchoices]

    def of_fan(self, fan_id: UUID, id: UUID) -> M:
        """One of the fan's own, with its sale and seller. Somebody else's is missing."""
        return self._one(self.missing(), id=id, fan_id=fan_id)

    def of_seller(self, seller_id: UUID, id: UUID) -> M:
        """One in a sale of the seller's. Another seller's is missing."""
        missing = self.missing(_("This {noun} does not exist.").format(noun=self.noun))
        return self._one(missing, **{"id": id, f"{self.terms}__sale__seller_id": seller_id})

    def by_ids(self, ids: Collection[UUID]) -> list[M]:
        """Whoever asks may see them."""
        return list(self._with_sale().filter(id__in=ids))

    def page_of_fan(self, fan_id: UUID, cursor: str = "") -> Page[M]:
        """The fan's own, the newest first, each with its sale and seller."""
        return page_of(self._with_sale().filter(fan_id=fan_id), cursor)

    def page_of_sale(
        self,
        sale_id: UUID,
        cursor: str = "",
        *,
        state: str = "",
        search: str = "",
        emails: bool = False,
        size: int | None = None,
    ) -> Page[M]:
        """Of a sale, the newest first. Whoever asks may see the sale, and with `emails` find fans by their address.

        `search` is an id, of it or of its payment, or what the sale calls its fan.
        """
        found = self._with_sale().filter(**{self.terms: sale_id})
        if state:
            found = found.filter(state=state)
        if search:
            found = found.filter(self._matching(sale_id, search.strip(), emails=emails))
        return page_of(found, cursor, size=size)

    def _matching(self, sale_id: UUID, search: str, *, emails: bool) -> Q:
        try:
            id = UUID(search)
        except ValueError:
            pass
        else:
            return Q(id=id) | Q(transfer_id=id)
        if emails and "@" in search:
            return Q(fan__email=search.lower())
        return Q(fan_id=self.find_fan(sale_id, search))

    def find_fan(self, sale_id: UUID, name: str) -> UUID | None:
        """Who has this pseudonym in the sale. There is no way back from it, so all of the sale's fans are tried."""
        wanted, after = name.upper().removeprefix("FAN").strip(), None
        while fans := self.fans(sale_id, after=after, limit=FANS_AT_ONCE):
            for fan_id in fans:
                if pseudonym(sale_id, fan_id).upper().endswith(f" {wanted}"):
                    return fan_id
            after = fans[-1]
        return None

    def fans(self, sale_id: UUID, *, after: UUID | None, limit: int) -> list[UUID]:
        """The next fans of a sale in the order of their ids, whatever has become of what they had."""
        return list(
            self.of_sale(sale_id, after=after).order_by("fan_id").values_list("fan_id", flat=True).distinct()[:limit]
        )

    def moving(self, sale_id: UUID, *, after: UUID | None = None) -> QuerySet[M]:
        """Those that the sale's steps deal with: all but the ones that stand aside."""
        return self.of_sale(sale_id, after=after).exclude(id__in=stuck_row_ids(sale_id))

    def of_sale(self, sale_id: UUID, *, after: UUID | None = None) -> QuerySet[M]:
        """All of a sale's, or those of the fans that come `after` this one in the order of their ids."""
        things = self.model._default_manager.filter(**{self.terms: sale_id})
        return things if after is None else things.filter(fan_id__gt=after)

    def has_running(self, fan_id: UUID, over: Collection[str]) -> bool:
        """Whether the fan has one in a sale that is in none of these states."""
        own = self.model._default_manager.filter(fan_id=fan_id)
        return own.exclude(**{f"{self.terms}__sale__state__in": over}).exists()

    def as_values(self, fan_id: UUID) -> list[dict[str, Any]]:
        """All of the fan's own, every column of it."""
        return list(self.model._default_manager.filter(fan_id=fan_id).order_by("id").values())

    def _one(self, missing: NotFound, **conditions: Any) -> M:
        found = self._with_sale().filter(**conditions).first()
        if found is None:
            raise missing
        return found

    def _with_sale(self) -> QuerySet[M]:
        return self.model._default_manager.select_related(f"{self.terms}__sale__seller")
