"""A drop of any size, paid and settled, made by set-based SQL: what its proof costs, not what selling it does.

The drop itself is opened and closed by the product. Its fans, wallets, orders, transfers and settlements are written past it, by
one statement a table with more rows than a transaction of DSQL takes, and so only on a database of the benchmark's own. The
checks of `check_invariants` look at the result like at any other sale.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg
from django.db import connection

from core import clock
from core.ids import uuid7
from drops import services as drops
from drops.models import Drop
from drops.settlement import SETTLE_CHUNK_ORDERS
from ledger.models import HOUSE
from sales import services as sales
from sales.drafting import SaleDraft
from sellers import selectors as seller_selectors

CURRENCY = "EUR"
PRICE_MINOR = 2_450
RECORDED_AGO = dt.timedelta(hours=1)  # so that a checkpoint of the books can be behind the transfers

# A row for each buyer, with the ids of all that belongs to them.
BUYERS = """
    CREATE TEMP TABLE buyer AS
    SELECT number, uuidv7() AS fan_id, uuidv7() AS wallet_id, uuidv7() AS top_up_id, uuidv7() AS order_id,
           uuidv7() AS payment_id, (number - 1) / %(chunk)s AS chunk
      FROM generate_series(1, %(orders)s) AS number
"""
CHUNKS = """
    CREATE TEMP TABLE chunk AS
    SELECT chunk AS number, uuidv7() AS id, uuidv7() AS fee_id, count(*) AS orders, count(*) * %(price)s AS gross,
           count(*) * (%(price)s * %(fee_bps)s / 10000) AS fee
      FROM buyer GROUP BY chunk
"""
TRANSFERS = """
    INSERT INTO ledger_transfer (id, journal_id, kind, debit_account_id, credit_account_id, amount_minor, held_minor,
                                 currency, code, subject_id, at, recorded_at)
    SELECT {id}, {journal}, 'plain', {debit}, {credit}, {amount}, 0, %(currency)s, {code}, {subject}, %(now)s, %(recorded)s
      FROM {source}
"""
ROWS = [
    """INSERT INTO accounts_user (id, password, is_superuser, email, display_name, is_staff, is_active, created_at)
       SELECT fan_id, '!', FALSE, 'fan-' || fan_id || '@load.invalid', '', FALSE, TRUE, %(now)s FROM buyer""",
    """INSERT INTO ledger_account (id, owner_id, kind, currency, keeps_balance, available_minor, held_minor, created_at)
       SELECT wallet_id, fan_id, 'wallet', %(currency)s, TRUE, 0, 0, %(now)s FROM buyer""",
    """INSERT INTO drops_fanlimit (drop_id, fan_id, units) SELECT %(drop_id)s, fan_id, 1 FROM buyer""",
    """INSERT INTO drops_settlement (id, drop_id, number, orders, gross_minor, fee_minor, created_at)
       SELECT id, %(drop_id)s, number, orders, gross, fee, %(now)s FROM chunk""",
    """INSERT INTO drops_order (id, drop_id, fan_id, idempotency_key, quantity, unit_price_minor, currency, state, is_hold,
                                transfer_id, terms_sha256, placed_at, frozen_ms, changed_at, settlement_id)
       SELECT order_id, %(drop_id)s, fan_id, order_id, 1, %(price)s, %(currency)s, 'settled', FALSE, payment_id, %(terms)s,
              %(now)s, 0, %(now)s, chunk.id
         FROM buyer JOIN chunk ON chunk.number = buyer.chunk""",
    TRANSFERS.format(
        id="top_up_id", journal="top_up_id", debit="%(funding)s", credit="wallet_id", amount="%(price)s",
        code="'top_up'", subject="order_id", source="buyer",
    ),
    TRANSFERS.format(
        id="payment_id", journal="payment_id", debit="wallet_id", credit="%(escrow)s", amount="%(price)s",
        code="'purchase'", subject="order_id", source="buyer",
    ),
    TRANSFERS.format(
        id="id", journal="id", debit="%(escrow)s", credit="%(proceeds)s", amount="gross", code="'proceeds'",
        subject="%(drop_id)s", source="chunk",
    ),
    TRANSFERS.format(
        id="fee_id", journal="id", debit="%(proceeds)s", credit="%(fees)s", amount="fee", code="'fee'",
        subject="%(drop_id)s", source="chunk",
    ),
    """INSERT INTO payments_topup (id, user_id, amount_minor, currency, provider, provider_ref, state, created_at, completed_at,
                                   transfer_id)
       SELECT order_id, fan_id, %(price)s, %(currency)s, 'minted', '', 'paid', %(now)s, %(now)s, top_up_id FROM buyer""",
    "UPDATE drops_bucket SET units_left = 0 WHERE drop_id = %(drop_id)s",
]  # fmt: skip


def make(orders: int, *, shop: str) -> Drop:
    """A settled drop that so many fans bought one unit of."""
    now = clock.now()
    draft = SaleDraft(
        sale_id=uuid7(), seller_id=seller_selectors.get_seller(shop).id, title=f"A print, {orders:,} times", story="",
        currency=CURRENCY, opens_at=now, closes_at=now + dt.timedelta(hours=1), now=now,
    )  # fmt: skip
    drop = drops.open_drop(draft, price_minor=PRICE_MINOR, units_total=orders, limit_per_fan=1)
    with beside() as database:
        write_rows(database, drop, orders, now)
    sales.close_sale_early(seller_id=drop.sale.seller_id, sale_id=drop.sale_id, now=now)
    sales.settle_to_the_end(drop.sale_id)  # finds nobody left to pay, and ends the sale
    with beside() as database:
        database.execute("VACUUM (ANALYZE)")
    return drop


def write_rows(database: psycopg.Connection[Any], drop: Drop, orders: int, now: dt.datetime) -> None:
    named = {
        "orders": orders, "chunk": SETTLE_CHUNK_ORDERS, "price": PRICE_MINOR, "fee_bps": drop.fee_bps, "now": now,
        "recorded": now - RECORDED_AGO, "currency": CURRENCY, "drop_id": drop.sale_id, "terms": drop.sale.terms_sha256,
        "funding": account(database, HOUSE, "funding"), "fees": account(database, HOUSE, "fees"),
        "escrow": account(database, drop.sale_id, "escrow"),
        "proceeds": account(database, drop.sale.seller_id, "proceeds"),
    }  # fmt: skip
    for statement in (BUYERS, CHUNKS, *ROWS):
        database.execute(statement, named)


def account(database: psycopg.Connection[Any], owner_id: Any, kind: str) -> Any:
    found = database.execute(
        "SELECT id FROM ledger_account WHERE owner_id = %s AND kind = %s AND currency = %s", [owner_id, kind, CURRENCY]
    ).fetchone()
    if found is None:  # the outside world's, which the first top-up opens
        found = database.execute(
            "INSERT INTO ledger_account (id, owner_id, kind, currency, keeps_balance, available_minor, held_minor, created_at)"
            " VALUES (uuidv7(), %s, %s, %s, FALSE, 0, 0, now()) RETURNING id",
            [owner_id, kind, CURRENCY],
        ).fetchone()
    assert found is not None
    return found[0]


def beside() -> psycopg.Connection[Any]:
    """A connection past Django and strict mode."""
    given = connection.settings_dict
    place = {"host": given["HOST"], "port": given["PORT"], "dbname": given["NAME"]}
    login = {"user": given["USER"], "password": given["PASSWORD"]}
    named = {name: value for name, value in (place | login).items() if value}
    return psycopg.connect(**named, autocommit=True, cursor_factory=psycopg.ClientCursor)
