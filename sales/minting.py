"""Fans for load tests and demos, many to a transaction: verified, and funded through the ledger like everybody."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password

from accounts.models import User
from core.ids import uuid7
from core.money import Money
from core.transactions import retried_transaction
from payments import services as payments

# A fan is a user, an address, a wallet (made, then credited), a top-up and a transfer; DSQL takes 3,000 rows a transaction.
CHUNK_FANS = 450


def mint_fans(*, count: int, funds: Money, now: dt.datetime) -> Iterator[list[UUID]]:
    """Make `count` fans with `funds` each; yields their ids chunk by chunk, each chunk committed."""
    for start in range(0, count, CHUNK_FANS):
        ids = [uuid7() for _ in range(min(CHUNK_FANS, count - start))]
        _mint_chunk(ids, [uuid7() for _ in ids], funds, now)
        yield ids


@retried_transaction(replayable=True)
def _mint_chunk(ids: list[UUID], transfer_ids: list[UUID], funds: Money, now: dt.datetime) -> None:
    if User.objects.filter(id=ids[0]).exists():
        return  # an earlier try's answer was lost
    no_password = make_password(None)
    users = [User(id=id, email=f"fan-{id.hex}@load.invalid", password=no_password, created_at=now) for id in ids]
    User.objects.bulk_create(users)
    EmailAddress.objects.bulk_create(
        EmailAddress(user=user, email=user.email, verified=True, primary=True) for user in users
    )
    credits = [
        payments.Credit(transfer_id, uuid7(), id, funds.minor)
        for transfer_id, id in zip(transfer_ids, ids, strict=True)
    ]
    payments.mint(credits, currency=funds.currency, now=now)
