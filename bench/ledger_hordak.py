"""`python -m bench.ledger_hordak DATABASE_URL ACCOUNTS SECONDS`: the same transfers through django-hordak, as its users run it.

Plain Django on a database of its own, READ COMMITTED, a connection for each thread; `Account.transfer_to`, of which each is a
transaction by itself. Nobody looks at a balance first: its accounts may go below zero.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
import psycopg
from django.conf import settings

from bench.threads import repeat

CURRENCY = "EUR"


def main(url: str, accounts: int, seconds: float) -> dict[str, dict[str, float]]:
    set_up_django(url)
    from django.core.management import call_command
    from django.db import connection
    from hordak.models import Account
    from moneyed import Money

    call_command("migrate", verbosity=0)
    made = make_accounts(Account, accounts)
    one = Money(1, CURRENCY)

    def transfers(pick: Callable[[Sequence[Any], random.Random], tuple[Any, Any]]) -> dict[str, float]:
        def act(chance: random.Random) -> bool:
            debit, credit = pick(made, chance)
            return debit.transfer_to(credit, one) is not None

        return asdict(repeat(act, seconds=seconds, at_end=lambda: connection.close()))

    done = {"many": transfers(two_of), "hot": transfers(to_the_first)}
    check(connection)
    return done


def set_up_django(url: str) -> None:
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    settings.configure(
        USE_TZ=True,
        SECRET_KEY="only for this run",  # noqa: S106
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "mptt", "djmoney", "hordak"],
        HORDAK_CURRENCIES=[CURRENCY],
        HORDAK_INTERNAL_CURRENCY=CURRENCY,
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts.path.lstrip("/"),
                "USER": parts.username,
                "HOST": query["host"],
                "PORT": query["port"],
                "CONN_MAX_AGE": None,
                # PostgreSQL's own default, which our server's configuration changes.
                "OPTIONS": {"isolation_level": psycopg.IsolationLevel.READ_COMMITTED},
            }
        },
    )
    django.setup()


def make_accounts(model: Any, count: int) -> list[Any]:
    return [
        model.objects.create(name=f"Wallet {number}", code=None, type="LI", currencies=[CURRENCY])
        for number in range(count)
    ]


def two_of(accounts: Sequence[Any], chance: random.Random) -> tuple[Any, Any]:
    debit, credit = chance.sample(accounts, 2)
    return debit, credit


def to_the_first(accounts: Sequence[Any], chance: random.Random) -> tuple[Any, Any]:
    return accounts[chance.randrange(1, len(accounts))], accounts[0]


def check(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(debit), 0) - coalesce(sum(credit), 0) FROM hordak_leg")
        (drift,) = cursor.fetchone()
    assert drift == 0, drift


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
