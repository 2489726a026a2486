"""Settling a rally, in the product's own process: as the product does it, row by row, and the database's own floor.

All three end with the same rows. The product and the row-by-row way write the real tables, so that the checks of
`check_invariants` look at both.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection

from bench.floors import copy_tables
from bench.staircase import TIERS
from bench.stampede import FUNDS, SELLER, say
from core import clock
from core.ids import uuid7
from core.money import parse_money, share_bps
from core.sql import array
from core.transactions import in_transaction
from ledger import rules as ledger_rules
from ledger.models import Account, Transfer
from rallies import loading, services, settling
from rallies.hot import JoinIn, join_command
from rallies.models import Join, JoinState, Outcome, Rally, Settlement
from rallies.pricing import PriceTier
from rallies.settlement import RallyRules
from rallies.values import JoinRally, RallyTerms
from sales import minting
from sales import services as sales
from sales.drafting import SaleDraft
from sales.placing import Asked
from sellers import selectors as seller_selectors

CURRENCY = "EUR"
WARM_UP_JOINERS = 100
FLOOR_SCHEMA = "settling_floor"


def main(small: int, large: int) -> dict[str, float]:
    """Seconds to settle `small` and `large` joiners, each way, one after the other."""
    clock.measure()
    for settle in (as_the_product, row_by_row):
        timed(settle, crowd(WARM_UP_JOINERS))
    by_row = timed(row_by_row, crowd(small))
    say(f"  settling {small:,} joiners row by row: {by_row:.2f} s")
    small_s, small_floor_s = beside_the_floor(crowd(small))
    say(f"  settling {small:,} joiners: {small_s:.3f} s; the floor {small_floor_s:.3f} s")
    large_s, large_floor_s = beside_the_floor(crowd(large))
    say(f"  settling {large:,} joiners: {large_s:.2f} s; the floor {large_floor_s:.2f} s")
    return {
        "small": small,
        "large": large,
        "row_by_row_s": by_row,
        "small_s": small_s,
        "small_floor_s": small_floor_s,
        "large_s": large_s,
        "large_floor_s": large_floor_s,
    }


def crowd(joiners: int) -> Rally:
    """A closed rally that so many fans joined, by the batches of a lane."""
    now = clock.now()
    draft = SaleDraft(
        sale_id=uuid7(), seller_id=seller_selectors.get_seller(SELLER).id, title="A lamp", story="", currency=CURRENCY,
        opens_at=now, closes_at=now + dt.timedelta(hours=1), now=now,
    )  # fmt: skip
    tiers = [PriceTier(count, parse_money(price, CURRENCY).minor) for count, price in TIERS]
    rally = services.open_rally(draft, tiers=tiers)
    lane = services.RallyLane(rally.sale_id)
    for fans in minting.mint_fans(count=joiners, funds=parse_money(FUNDS, CURRENCY), now=now):
        in_transaction(partial(lane.run, [join_request(fan, now) for fan in fans]), name=lane.name, replayable=True)
    # Not at `now`: joining took its time, and the database's clock believed no command to be as old as that.
    sales.close_sale_early(seller_id=rally.sale.seller_id, sale_id=rally.sale_id, now=clock.now())
    return rally


def join_request(fan_id: UUID, now: dt.datetime) -> JoinRally:
    return join_command(Asked(fan_id, uuid7(), now, JoinIn()))


def timed(settle: Callable[[Rally], None], rally: Rally) -> float:
    """Seconds. The planner's statistics are brought up to date first: autovacuum would have, had the fans come over hours."""
    with database() as beside:
        beside.execute("ANALYZE")
    began_at = time.perf_counter()
    settle(rally)
    return time.perf_counter() - began_at


def beside_the_floor(rally: Rally) -> tuple[float, float]:
    """(seconds of the product, seconds of the floor) for the same joiners."""
    return timed(as_the_product, rally), floor_s(rally.sale_id)


# The product


def as_the_product(rally: Rally) -> None:
    """The steps that a worker takes, without its looking for work in between."""
    while sales.settle_step(sale_id=rally.sale_id, now=clock.now()):
        pass


# Row by row


def row_by_row(rally: Rally) -> None:
    """As one writes it first: each joiner a transaction, each row a statement of the ORM."""
    now = clock.now()
    terms = in_transaction(partial(loading.load_terms, rally.sale_id), name="bench.terms")
    price_minor = in_transaction(partial(_fix_price, terms, now), name="bench.fix_price")
    joined = Join.objects.filter(rally_id=rally.sale_id, state=JoinState.JOINED).order_by("fan_id")
    for number, fan_id in enumerate(list(joined.values_list("fan_id", flat=True))):
        in_transaction(partial(_settle_one, terms, price_minor, fan_id, number, now), name="bench.settle_one")
    as_the_product(rally)  # finds nobody left and ends the sale


def _fix_price(terms: RallyTerms, now: dt.datetime) -> int:
    fixed = settling.fix_outcome(terms, loading.load_counts(terms).counts, is_early=True)
    outcome = Outcome.objects.create(
        rally_id=terms.rally_id, joiners=fixed.joiners, units=fixed.units, level=fixed.level,
        price_minor=fixed.price_minor, did_run=fixed.did_run, fixed_at=now,
    )  # fmt: skip
    return outcome.price_minor


def _settle_one(terms: RallyTerms, price_minor: int, fan_id: UUID, number: int, now: dt.datetime) -> None:
    join = Join.objects.get(rally_id=terms.rally_id, fan_id=fan_id)
    if join.state != JoinState.JOINED:
        return
    hold = Transfer.objects.get(id=join.transfer_id)
    wallet = Account.objects.get(id=hold.debit_account_id)
    paid_minor = price_minor * join.quantity

    Transfer.objects.create(
        id=ledger_rules.resolution_id(hold.id), journal_id=hold.journal_id, kind=ledger_rules.POSTED,
        debit_account_id=wallet.id, credit_account_id=terms.escrow_account_id, amount_minor=paid_minor,
        held_minor=-hold.held_minor, currency=terms.currency, code="capture", subject_id=join.id, pending_id=hold.id,
        at=now, recorded_at=now,
    )  # fmt: skip
    wallet.available_minor += hold.held_minor - paid_minor
    wallet.held_minor -= hold.held_minor
    wallet.save(update_fields=["available_minor", "held_minor"])
    join.state, join.changed_at = JoinState.PAID, now
    join.save(update_fields=["state", "changed_at"])

    fee_minor = share_bps(paid_minor, terms.fee_bps)
    settlement = Settlement.objects.create(
        rally_id=terms.rally_id, number=number, charged=1, released=0, gross_minor=paid_minor, fee_minor=fee_minor,
        created_at=now,
    )  # fmt: skip
    same = {"kind": ledger_rules.PLAIN, "held_minor": 0, "currency": terms.currency, "subject_id": terms.rally_id}
    Transfer.objects.create(
        id=settlement.id, journal_id=settlement.id, debit_account_id=terms.escrow_account_id,
        credit_account_id=terms.proceeds_account_id,
        amount_minor=paid_minor, code="proceeds", at=now, recorded_at=now, **same,
    )  # fmt: skip
    Transfer.objects.create(
        journal_id=settlement.id, debit_account_id=terms.proceeds_account_id, credit_account_id=terms.fees_account_id,
        amount_minor=fee_minor, code="fee", at=now, recorded_at=now, **same,
    )  # fmt: skip


# The floor

# What settling leaves of each joiner: the join, the transfer that ended its hold, the wallet. In the order of fans, so that
# the three parts of a chunk belong to the same joiners.
FLOOR_ROWS = {
    "rallies_join": """
        SELECT rallies_join.* FROM rallies_join WHERE rally_id = %(rally_id)s ORDER BY fan_id
    """,
    "ledger_transfer": """
        SELECT ledger_transfer.* FROM rallies_join JOIN ledger_transfer ON ledger_transfer.pending_id = transfer_id
         WHERE rally_id = %(rally_id)s AND credit_account_id = %(escrow_id)s ORDER BY fan_id
    """,
    "ledger_account": """
        SELECT ledger_account.* FROM rallies_join JOIN ledger_account ON owner_id = fan_id AND kind = 'wallet'
         WHERE rally_id = %(rally_id)s ORDER BY fan_id
    """,
}


def floor_s(rally_id: UUID) -> float:
    """Seconds to insert the settled rows into empty tables made like ours: chunks of the same size, each one round trip and
    one commit, with everything worked out beforehand. Nothing is read, decided or updated.
    """
    terms = in_transaction(partial(loading.load_terms, rally_id), name="bench.terms")
    with database() as beside:
        copy_tables(beside, FLOOR_SCHEMA, list(FLOOR_ROWS))
        beside.execute("ANALYZE")
        statements = ";".join(insert_of(beside, table) for table in FLOOR_ROWS)
        named = {"rally_id": rally_id, "escrow_id": terms.escrow_account_id}
        tables = [beside.execute(sql, named).fetchall() for sql in FLOOR_ROWS.values()]
        assert len({len(rows) for rows in tables}) == 1, [len(rows) for rows in tables]
        seconds = 0.0
        for start in range(0, len(tables[0]), RallyRules.settle_chunk):
            chunk = [columns_of(rows[start : start + RallyRules.settle_chunk]) for rows in tables]
            began_at = time.perf_counter()
            beside.execute(statements, [column for columns in chunk for column in columns])
            seconds += time.perf_counter() - began_at
        beside.execute(f"DROP SCHEMA {FLOOR_SCHEMA} CASCADE")
    return seconds


def columns_of(rows: Sequence[Sequence[Any]]) -> list[str | list[Any]]:
    return [array(column) for column in zip(*rows, strict=True)]


def insert_of(beside: psycopg.Connection[Any], table: str) -> str:
    types = [
        type
        for (type,) in beside.execute(
            "SELECT format_type(atttypid, NULL) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [f"public.{table}"],
        )
    ]
    arrays = ", ".join(f"%s::{type}[]" for type in types)
    return f"INSERT INTO {FLOOR_SCHEMA}.{table} SELECT * FROM unnest({arrays})"


def database() -> psycopg.Connection[Any]:
    """A connection past Django, for what a statement of the product must not wait for. Several statements go in one text, which
    the server takes as one transaction.
    """
    given = connection.settings_dict
    place = {"host": given["HOST"], "port": given["PORT"], "dbname": given["NAME"]}
    login = {"user": given["USER"], "password": given["PASSWORD"]}
    named = {name: value for name, value in (place | login).items() if value}
    return psycopg.connect(**named, autocommit=True, cursor_factory=psycopg.ClientCursor)
