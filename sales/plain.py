"""Purchases that are not hot: rows read and written one purchase after the other, by the ORM.

They have all that a hot purchase has, the queue and the retries of its lane, the gate, the clock, the frames, at several round
trips each. A format that turns out to be hot brings a `SaleLane` of its own instead, and changes nothing else.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import models
from django.utils.translation import gettext_noop as N_

from core.errors import NotFound, Refusal
from core.ids import uuid7
from core.lanes import Lanes
from core.sql import execute_all
from core.transactions import Conflict40001, joins_transaction
from ledger import rules as ledger_rules
from ledger import selectors as ledger_selectors
from ledger import services as ledger
from ledger.errors import InsufficientFunds
from sales import gates, lanes
from sales.deciding import decide_each
from sales.formats import BaseRules
from sales.lanes import SaleLane, standing_of
from sales.models import Sale, SaleState
from sales.placing import Asked, Place
from sales.proceeds import escrow_of, take_back
from sales.selectors import stuck_row_ids
from sales.standing import Standing, check_open

IN, REFUNDED = "in", "refunded"  # what a row begins as, and ends as when its sale is called off


class PlainRow(models.Model):
    """What a fan has in a sale, once: a repeat, another tab and a double tap meet on its key."""

    pk = models.CompositePrimaryKey("sale_id", "fan_id")
    sale = models.ForeignKey(Sale, models.PROTECT, related_name="+", db_index=False)
    fan = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    id = models.UUIDField()  # of its payment too
    state = models.CharField(max_length=10, default=IN)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.id)


class Purchase(msgspec.Struct, frozen=True):
    """What a fan asked for; `id` is made when it is received, and is that of the row it makes."""

    id: UUID
    fan_id: UUID
    key: UUID
    body: Any
    received_at: dt.datetime


class PlainLane(SaleLane[Purchase, Any]):
    """Subclass with `row`, and `make` where a purchase is more than its row. What refuses must not have written anything."""

    batch_max = 50
    row: ClassVar[type[PlainRow]]

    def make(self, sale: Sale, purchase: Purchase) -> PlainRow:
        """The row of a new purchase, written; whether the sale is open has been seen to."""
        return self.row._default_manager.create(sale=sale, fan_id=purchase.fan_id, id=purchase.id)

    @joins_transaction
    def run(self, batch: Sequence[Purchase]) -> Sequence[Any]:
        (rows,) = execute_all([gates.standing_statement(self.sale_id)])
        standing = standing_of(rows)
        sale = Sale.objects.select_related("seller").get(id=self.sale_id)
        if sale.format != self.format:
            raise NotFound(N_("This sale is not on sale."))
        self._state = None
        believed = lanes.believable(batch, standing.now)
        outcomes = decide_each(believed, lambda purchase: self._one(sale, standing, purchase))
        if any(not isinstance(outcome, Refusal) for outcome in outcomes):
            execute_all([gates.passing_statement(self.sale_id, gates.home_gate(self.slot))])
        return outcomes

    def _one(self, sale: Sale, standing: Standing, purchase: Purchase) -> PlainRow:
        found = self.row._default_manager.filter(sale=sale, fan_id=purchase.fan_id).first()
        if found is not None:
            return found
        check_open(standing, purchase.received_at)
        return self.make(sale, purchase)

    def is_new(self, command: Purchase, outcome: Any) -> bool:
        return bool(outcome.id == command.id)


@joins_transaction
def charge(sale: Sale, purchase: Purchase, amount_minor: int) -> None:
    """The fan pays into the sale, in a transfer with the purchase's id; nothing for 0. Refused, nothing is written."""
    if not amount_minor:
        return
    wallet = ledger_selectors.wallets([purchase.fan_id], sale.currency).get(purchase.fan_id)
    if wallet is None:
        raise InsufficientFunds(available_minor=0, needed_minor=amount_minor, currency=sale.currency)
    escrow = escrow_of(sale)
    payment = ledger_rules.pay(
        id=purchase.id, debit=wallet.account_id, credit=ledger_selectors.account_ids([escrow])[escrow],
        amount_minor=amount_minor, currency=sale.currency, code="purchase", subject_id=purchase.id,
        at=purchase.received_at,
    )  # fmt: skip
    (outcome,) = ledger.do_transfers([payment])
    if isinstance(outcome, Refusal):
        raise outcome


class PlainRules(BaseRules):
    """Rules of a format whose fans have a row each, and their money back when the sale is called off. Subclass with `row`."""

    row: ClassVar[type[PlainRow]]

    def unwind_step(self, sale: Sale, now: dt.datetime, *, limit: int) -> dt.datetime | None:
        take_back(sale, at=now)
        rows = self._owed(sale)
        due = dict(rows.order_by("fan_id").values_list("fan_id", "id")[:limit])
        give_back(list(due.values()), now=now)
        if rows.filter(fan_id__in=list(due)).update(state=REFUNDED) != len(due):
            raise Conflict40001("rows moved since they were read")
        return now if due else None

    def next_row(self, sale: Sale, now: dt.datetime) -> UUID | None:
        if sale.state != SaleState.CANCELLED:
            return None  # how it settles is the format's
        return self._owed(sale).order_by("fan_id").values_list("id", flat=True).first()

    def _owed(self, sale: Sale) -> models.QuerySet[PlainRow]:
        """Rows whose fans have not got their money back; but for those that stand aside."""
        return (
            self.row._default_manager.filter(sale=sale).exclude(state=REFUNDED).exclude(id__in=stuck_row_ids(sale.id))
        )

    def fans(self, sale: Sale, *, after: UUID | None, limit: int) -> Sequence[UUID]:
        rows = self.row._default_manager.filter(sale=sale, fan_id__gt=after or UUID(int=0)).order_by("fan_id")
        return list(rows.values_list("fan_id", flat=True)[:limit])


@joins_transaction
def give_back(purchase_ids: Collection[UUID], *, now: dt.datetime) -> None:
    """The fans of these purchases have all of their money back; a repeat changes nothing."""
    paid = ledger_selectors.transfers_by_id(purchase_ids)
    backs = [ledger_rules.reverse(transfer, code="refund", at=now) for transfer in paid.values()]
    for outcome in ledger.do_transfers(backs):
        if isinstance(outcome, Refusal):
            raise outcome  # nobody is refunded on paper alone


class NothingToChoose(msgspec.Struct, forbid_unknown_fields=True):
    """An empty object."""


class Made(msgspec.Struct):
    id: UUID
    state: str


def plain_place(
    lane: type[PlainLane], plural: str, things: str, *, verb: str, refused: str,
    body: type[msgspec.Struct] = NothingToChoose, outcome: type[msgspec.Struct] = Made,
) -> Place:  # fmt: skip
    """`POST /api/v1/{plural}/{sale_id}/{things}` and a page, answered by `lane`; `outcome` has fields of the row that was made."""

    def answer(lane: PlainLane, purchase: Purchase, row: PlainRow) -> tuple[bool, msgspec.Struct]:
        return lane.is_new(purchase, row), msgspec.convert(row, outcome, from_attributes=True)

    return Place(
        before=f"/api/v1/{plural}/", after=f"/{things}", body=body, outcome=outcome, lane=Lanes(lane).__getitem__,
        command=purchase, answer=answer, operation_id=f"{plural}_{verb}", tag=plural, thing="row",
        summary=f"{verb.capitalize()} one of the {plural}", page=verb,
        refused={"403": "not_verified", "409": f"{refused}, not_open, frozen or called_off", "422": "invalid"},
    )  # fmt: skip


def purchase(asked: Asked) -> Purchase:
    return Purchase(uuid7(), asked.fan_id, asked.key, asked.body, asked.now)
