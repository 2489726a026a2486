from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from django.utils.translation import gettext as _

from core.errors import Refusal
from core.ids import uuid7
from core.money import Money, sold_in
from core.transactions import Conflict40001, joins_transaction, retried_transaction
from ledger import rules as transfers
from ledger import services as ledger
from ledger.models import HOUSE, AccountKey, AccountKind
from payments import providers
from payments.errors import AmountOutOfRange, TooManyTopUps, TopUpConflict, TopUpNotFound
from payments.limits import LIMITS
from payments.models import TopUp, TopUpState
from payments.providers import PaymentEvent

# So many payments somebody may begin without ending one.
OPEN_MAX = 20
OPEN_FOR = dt.timedelta(hours=1)

MINTED = "minted"  # the provider of money that nobody paid


@retried_transaction(replayable=True)
def start_top_up(*, top_up_id: UUID, user_id: UUID, amount: Money, now: dt.datetime, return_to: str = "") -> TopUp:
    """Write the intent down; the caller then sends the fan to `providers.current().checkout_url`.

    A repeat with the same id returns it. Raises Invalid, AmountOutOfRange, TooManyTopUps, TopUpConflict, NoProvider.
    """
    lowest, highest = (Money(minor, amount.currency) for minor in LIMITS[sold_in(amount.currency)])
    if not lowest.minor <= amount.minor <= highest.minor:
        raise AmountOutOfRange(
            _("You can top up by {lowest} to {highest} at a time.").format(lowest=lowest, highest=highest),
            field="amount",
        )
    existing = TopUp.objects.filter(id=top_up_id).first()
    if existing is not None:
        if (existing.user_id, existing.amount_minor, existing.currency) != (user_id, amount.minor, amount.currency):
            raise TopUpConflict
        return existing
    open_ones = TopUp.objects.filter(user_id=user_id, state=TopUpState.STARTED, created_at__gt=now - OPEN_FOR)
    if open_ones.count() >= OPEN_MAX:
        raise TooManyTopUps(retry_after_s=int(OPEN_FOR.total_seconds()))
    top_up = TopUp(
        id=top_up_id, user_id=user_id, amount_minor=amount.minor, currency=amount.currency,
        provider=providers.current().name, created_at=now, return_to=return_to or None,
    )  # fmt: skip
    top_up.save(force_insert=True)
    return top_up


def get_top_up_of_user(user_id: UUID, top_up_id: UUID) -> TopUp:
    top_up = TopUp.objects.filter(id=top_up_id, user_id=user_id).first()
    if top_up is None:
        raise TopUpNotFound
    return top_up


@retried_transaction(replayable=True)
def complete_top_up(*, event: PaymentEvent, now: dt.datetime) -> TopUp:
    """Book what the provider said. Safe for any number of repeats, in any order: paid stays paid."""
    top_up = TopUp.objects.filter(id=event.top_up_id).first()
    if top_up is None:
        raise TopUpNotFound
    if (event.amount_minor, event.currency) != (top_up.amount_minor, top_up.currency):
        raise TopUpConflict
    if top_up.state == TopUpState.PAID:
        return top_up
    if event.is_paid:
        sold_in(top_up.currency)  # it may have been started before play money was left out
    top_up.state = TopUpState.PAID if event.is_paid else TopUpState.FAILED
    top_up.provider_ref, top_up.completed_at = event.provider_ref, now
    top_up.transfer_id = uuid7() if event.is_paid else None
    # This row, not the transfer's key, lets the money in once: the key is a new one each time.
    moved = TopUp.objects.filter(id=top_up.id).exclude(state=TopUpState.PAID).update(
        state=top_up.state, provider_ref=top_up.provider_ref, completed_at=now, transfer_id=top_up.transfer_id
    )  # fmt: skip
    if not moved:
        raise Conflict40001("the top-up was completed meanwhile")
    if top_up.transfer_id is not None:
        credit = Credit(top_up.transfer_id, top_up.id, top_up.user_id, top_up.amount_minor)
        credit_wallets([credit], currency=top_up.currency, now=now)
    return top_up


class Credit(NamedTuple):
    """Money of one top-up, for one wallet."""

    transfer_id: UUID  # made by us: never an id that came from outside
    top_up_id: UUID
    user_id: UUID
    amount_minor: int


@joins_transaction
def mint(credits: Sequence[Credit], *, currency: str, now: dt.datetime) -> None:
    """Money that nobody paid, for load tests and demos: top-ups that no provider was asked for, so that the books say so."""
    TopUp.objects.bulk_create(
        TopUp(
            id=credit.top_up_id, user_id=credit.user_id, amount_minor=credit.amount_minor, currency=currency,
            provider=MINTED, state=TopUpState.PAID, created_at=now, completed_at=now, transfer_id=credit.transfer_id,
        )
        for credit in credits
    )  # fmt: skip
    credit_wallets(credits, currency=currency, now=now)


@joins_transaction
def credit_wallets(credits: Sequence[Credit], *, currency: str, now: dt.datetime) -> None:
    """Money from the outside world into wallets."""
    funding = AccountKey(HOUSE, AccountKind.FUNDING, currency)
    wallets = [AccountKey(credit.user_id, AccountKind.WALLET, currency) for credit in credits]
    accounts = ledger.open_accounts([funding, *wallets], now=now)
    outcomes = ledger.do_transfers(
        [
            transfers.pay(
                id=credit.transfer_id, debit=accounts[funding], credit=accounts[wallet], currency=currency,
                amount_minor=credit.amount_minor, code="top_up", subject_id=credit.top_up_id, at=now,
            )
            for credit, wallet in zip(credits, wallets, strict=True)
        ]
    )  # fmt: skip
    for outcome in outcomes:
        if isinstance(outcome, Refusal):
            raise outcome
