"""Transfers through the product's ledger by many threads, in a process of the product: batched by a lane, and one a call."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict
from uuid import UUID

from django.db import connection

from bench.threads import Done, repeat
from core import clock
from core.errors import Busy, Refusal
from core.ids import uuid7
from core.lanes import Lane
from core.money import Money
from ledger import rules, selectors, services
from ledger.models import AccountKey, AccountKind
from ledger.rules import Transfer
from sales import minting

CURRENCY = "EUR"
FUNDS = Money(10_000_000, CURRENCY)  # of each account; a transfer moves 1

Make = Callable[[Transfer], Transfer | Refusal]  # may raise Busy
Pick = Callable[[Sequence[UUID], random.Random], tuple[UUID, UUID]]  # (debit account, credit account)


class TransferLane(Lane[Transfer, Transfer]):
    """Transfers of all threads, a batch to a transaction: as a sale's lane writes those of its purchases."""

    name = "bench.transfer"

    def run(self, batch: Sequence[Transfer]) -> Sequence[Transfer | Refusal]:
        return services.do_transfers(batch)


def main(accounts: int, seconds: float) -> dict[str, dict[str, float]]:
    """Each way and each choice of accounts, one after the other."""
    clock.measure()
    wallets = make_wallets(accounts)
    done = {}
    for choice, pick in {"many": two_of, "hot": to_the_first}.items():
        for way, make in {"lane": in_lane(), "call": one_a_call}.items():
            done[f"{way}, {choice}"] = asdict(measure(make, pick, wallets, seconds))
    return done


def measure(make: Make, pick: Pick, wallets: Sequence[UUID], seconds: float) -> Done:
    def act(chance: random.Random) -> bool:
        asked = transfer(*pick(wallets, chance))
        try:
            return make(asked) == asked
        except Busy:
            return False

    return repeat(act, seconds=seconds, at_end=lambda: connection.close())


def make_wallets(count: int) -> list[UUID]:
    """Wallets of new fans, with money that came into the books as all money does."""
    minted = minting.mint_fans(count=count, funds=FUNDS, now=clock.now())
    keys = [AccountKey(fan_id, AccountKind.WALLET, CURRENCY) for fan_ids in minted for fan_id in fan_ids]
    return list(selectors.account_ids(keys).values())


def two_of(wallets: Sequence[UUID], chance: random.Random) -> tuple[UUID, UUID]:
    debit, credit = chance.sample(wallets, 2)
    return debit, credit


def to_the_first(wallets: Sequence[UUID], chance: random.Random) -> tuple[UUID, UUID]:
    return wallets[chance.randrange(1, len(wallets))], wallets[0]


def transfer(debit: UUID, credit: UUID) -> Transfer:
    id = uuid7()
    return rules.pay(
        id=id,
        debit=debit,
        credit=credit,
        amount_minor=1,
        currency=CURRENCY,
        code="bench",
        subject_id=id,
        at=clock.now(),
    )


def in_lane() -> Make:
    return TransferLane().call


def one_a_call(transfer: Transfer) -> Transfer | Refusal:
    (outcome,) = services.transfer_batch([transfer])
    return outcome
