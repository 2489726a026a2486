"""Giving a fan money back after a purchase was settled, all of it or a part: one rule for all formats.

It comes from the seller's proceeds, and the house gives back its fee on it. Before a purchase is settled its money is still in the
sale, and what becomes of its units is the format's to say (`Format.give_back`), so then only all of it can be given back. A sale
that was called off gives everything back by itself. Refunds begin when a sale is settled, which is for good: so no refund and no
calling off can both see the same money.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import F, Sum
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from accounts import audit
from core.errors import NotFound
from core.ids import named_id
from core.money import MINOR_MAX, Money, share_bps
from core.text import clean_line
from core.transactions import joins_transaction, retried_transaction
from ledger import services as ledger
from ledger.models import HOUSE, AccountKey, AccountKind
from ledger.models import Transfer as TransferRow
from sales import prover
from sales.deciding import Move, journal
from sales.errors import CannotRefund, RefundChanged
from sales.formats import get_format
from sales.models import Refund, Sale, SaleState, Takings
from sales.selectors import get_sale_for_seller
from sales.telling import tell_fan
from sales.things import Things
from sellers import events as shop_events

REASON_MAX = 200
# In parts; after that only all of the rest goes back. Each is a message to the fan and a line of the proof.
PARTS_MAX = 20


def refund(
    *, seller_id: UUID, sale_id: UUID, purchase_id: UUID, number: int, amount_minor: int, reason: str, made_by: UUID,
    now: dt.datetime, is_by_staff: bool = False,
) -> None:  # fmt: skip
    """Give back `amount_minor` of what was paid for a purchase, as its refund number `number`, counted from 1.

    A repeat of a number with the same amount changes nothing; with another it raises RefundChanged, as one out of turn does.
    Raises NotFound for another seller's purchase, and CannotRefund.
    """
    sale, _things, row = find_purchase(seller_id, sale_id, purchase_id)
    give_back = get_format(sale.format).give_back
    if give_back is not None and give_back.is_done(row):
        return  # a repeat
    if give_back is not None and (total_minor := give_back.total_minor(row)):
        if amount_minor != total_minor:
            raise CannotRefund(
                _("Until the sale is settled only all of it can be given back."), total_minor=total_minor
            )
        give_back.act(row, now)
        return
    made = write_refund(
        seller_id=seller_id, sale_id=sale_id, purchase_id=purchase_id, number=number, amount_minor=amount_minor,
        reason=clean_line(reason, field="reason", most=REASON_MAX, least=0), made_by=made_by, now=now,
    )  # fmt: skip
    said = format_lazy(_l("{given} is in your wallet again."), given=Money(amount_minor, made.sale.currency))
    tell_fan(
        sale_id=sale_id, fan_id=made.fan_id, about=f"back:{purchase_id}:{number}",
        title=_l("{sale}: staff refunded you") if is_by_staff else _l("{sale}: the seller refunded you"),
        text=format_lazy(_l("{said} Why: {reason}"), said=said, reason=made.reason) if made.reason else said, now=now,
    )  # fmt: skip


def find_purchase(seller_id: UUID, sale_id: UUID, purchase_id: UUID) -> tuple[Sale, Things[Any], Any]:
    """A purchase in one of the seller's sales: the sale, what it is one of, and its row. Raises NotFound."""
    sale = get_sale_for_seller(seller_id, sale_id)
    for things in get_format(sale.format).things:
        row = things.of_sale(sale_id).filter(id=purchase_id).first()
        if row is not None:
            return sale, things, row
    raise NotFound(_("This purchase does not exist."))


@retried_transaction(replayable=True)
def write_refund(
    *, seller_id: UUID, sale_id: UUID, purchase_id: UUID, number: int, amount_minor: int, reason: str, made_by: UUID,
    now: dt.datetime,
) -> Refund:  # fmt: skip
    """The part of `refund` that is one transaction."""
    sale, things, row = find_purchase(seller_id, sale_id, purchase_id)
    before = list(Refund.objects.filter(purchase_id=purchase_id).order_by("number"))
    if 0 < number <= len(before):
        made = before[number - 1]
        if made.amount_minor != amount_minor:
            raise RefundChanged(number=number, amount_minor=made.amount_minor)
        made.sale = sale
        return made
    if sale.state != SaleState.SETTLED:
        raise CannotRefund(_("This can be refunded when the sale is settled."), state=sale.state)
    paid_minor = things.paid_minor(row)
    refunded_minor = sum(refund.amount_minor for refund in before)
    facts = {"paid_minor": paid_minor, "refunded_minor": refunded_minor, "next_number": len(before) + 1}
    if number != len(before) + 1:
        raise RefundChanged(_("Another refund came first. Look at what is left, and say it again."), **facts)
    if not 0 < amount_minor <= min(paid_minor - refunded_minor, MINOR_MAX):
        raise CannotRefund(_("More than what is left of the payment cannot be given back."), **facts)
    left_minor = paid_minor - refunded_minor
    if len(before) >= PARTS_MAX and amount_minor < left_minor:
        raise CannotRefund(
            _("After {parts_max} parts only all that is left can be given back.").format(parts_max=PARTS_MAX), **facts
        )
    fee_bps = getattr(sale, sale.format).fee_bps
    made = Refund(
        purchase_id=purchase_id, number=number, sale=sale, fan_id=row.fan_id, made_by_id=made_by, at=now, reason=reason,
        amount_minor=amount_minor,
        # By what the fee on the rest is, so that all parts together are the fee of the whole.
        fee_minor=share_bps(left_minor, fee_bps) - share_bps(left_minor - amount_minor, fee_bps),
        paid_minor=paid_minor, refunded_minor=refunded_minor + amount_minor,
    )  # fmt: skip
    made.save(force_insert=True)  # two refunds meet on its key
    Takings.objects.filter(sale_id=sale.id).update(refunded_minor=F("refunded_minor") + amount_minor)
    amount = Money(amount_minor, sale.currency)
    shop_events.write(
        "refunded", seller_id=seller_id, now=now, sale=sale.id, title=sale.title, amount=amount, number=number,
        purchase=purchase_id,
    )  # fmt: skip
    audit.write("refunded", user_id=row.fan_id, now=now, by=made_by, purchase=purchase_id, number=number, amount=amount)
    _move(made, row.transfer_id)
    prover.wish_anew(sale.id, now=now)
    return made


@joins_transaction
def _move(refund: Refund, payment_id: UUID) -> None:
    sale = refund.sale
    seller = AccountKey(sale.seller_id, AccountKind.PROCEEDS, sale.currency)
    house = AccountKey(HOUSE, AccountKind.FEES, sale.currency)
    accounts = ledger.open_accounts([seller, house], now=refund.at)
    wallet = TransferRow.objects.values_list("debit_account_id", flat=True).get(id=payment_id)
    moves = [
        Move("refund", named_id(f"refund {refund.number}", payment_id), accounts[seller], wallet, refund.amount_minor),
        Move("fee_back", named_id(f"fee back {refund.number}", payment_id), accounts[house], accounts[seller], refund.fee_minor),
    ]  # fmt: skip
    ledger.write_transfers(journal(moves, currency=sale.currency, subject_id=refund.purchase_id, at=refund.at))


def refunded_in(sale_ids: Collection[UUID]) -> dict[UUID, tuple[int, int]]:
    """Sale → (what was refunded in it, the house's part of that), in minor units; without those that have none."""
    sums = (
        Refund.objects.filter(sale_id__in=sale_ids)
        .values_list("sale_id")
        .annotate(amount_minor=Sum("amount_minor"), fee_minor=Sum("fee_minor"))
    )
    return {sale_id: (amount_minor, fee_minor) for sale_id, amount_minor, fee_minor in sums}


def list_refunds(sale: Sale, *, limit: int) -> list[Refund]:
    """The newest of a sale, with it."""
    made = list(Refund.objects.filter(sale_id=sale.id).order_by("-at", "-purchase_id")[:limit])
    for refund in made:
        refund.sale = sale
    return made
