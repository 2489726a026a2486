"""What the same machine does without our design: the floors that a benchmark's figures are held against."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

import psycopg

from bench.load import Client, request
from bench.servers import Stack, Web
from embedded.errors import StartError
from embedded.postgres import find_binaries

HOT_ROW_CLIENTS = 128
HOT_ROW_S = 5
WALLETS = 20_000
EMPTY_REQUESTS = 30_000

SCHEMA = "floor"
SALE_ID = UUID(int=1)
ESCROW_ID = UUID(int=2)
# A wallet's id is its number, so that pgbench, which only knows numbers, can name one.
WALLET = "lpad(to_hex(:fan::int), 32, '0')::uuid"
FIRST_WALLET = 1_000
PICK_A_WALLET = f"\\set fan random({FIRST_WALLET}, {FIRST_WALLET + WALLETS - 1})"


@dataclass(frozen=True)
class Purchase:
    """A purchase as one would write it: each buyer a transaction, with the rows and guards that the product writes. Reads
    (price, earlier orders, balance) are left out, which favours the floor.
    """

    copied: Sequence[str]  # the product's tables that it writes
    hot_row: str  # the statement that makes the one row all buyers write
    script: str  # for pgbench


ORDER = Purchase(
    copied=["drops_bucket", "drops_fanlimit", "drops_order", "ledger_account", "ledger_transfer"],
    hot_row=f"""
INSERT INTO {SCHEMA}.drops_bucket (drop_id, number, units_left)
VALUES ('{SALE_ID}', 0, 10000000)
""",
    script=f"""
{PICK_A_WALLET}
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE drops_bucket SET units_left = units_left - 1
 WHERE drop_id = '{SALE_ID}' AND number = 0 AND units_left >= 1;
INSERT INTO drops_fanlimit AS fan_limit (drop_id, fan_id, units) VALUES ('{SALE_ID}', {WALLET}, 1)
    ON CONFLICT (drop_id, fan_id) DO UPDATE SET units = fan_limit.units + excluded.units;
INSERT INTO drops_order (id, drop_id, fan_id, idempotency_key, quantity, unit_price_minor, currency, state, is_hold,
                         transfer_id, terms_sha256, placed_at, frozen_ms, changed_at)
VALUES (uuidv7(), '{SALE_ID}', {WALLET}, gen_random_uuid(), 1, 1000, 'EUR', 'paid', FALSE,
        uuidv7(), repeat('0', 64), now(), 0, now());
UPDATE ledger_account SET available_minor = available_minor - 1000 WHERE id = {WALLET} AND keeps_balance;
INSERT INTO ledger_transfer (id, journal_id, kind, debit_account_id, credit_account_id, amount_minor, held_minor,
                             currency, code, subject_id, at, recorded_at)
VALUES (uuidv7(), uuidv7(), 'plain', {WALLET}, '{ESCROW_ID}', 1000, 0, 'EUR', 'purchase', uuidv7(), now(), now());
COMMIT;
""",
)

# Every join is another fan's, by a new id: a fan who is in already would be refused by the primary key.
JOIN = Purchase(
    copied=["rallies_bucket", "rallies_join", "ledger_account", "ledger_transfer"],
    hot_row=f"""
INSERT INTO {SCHEMA}.rallies_bucket (rally_id, number, joiners, units, units_left)
VALUES ('{SALE_ID}', 0, 0, 0, NULL)
""",
    script=f"""
{PICK_A_WALLET}
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE rallies_bucket SET joiners = joiners + 1, units = units + 1
 WHERE rally_id = '{SALE_ID}' AND number = 0;
INSERT INTO rallies_join (rally_id, fan_id, id, idempotency_key, quantity, level, bucket, state, transfer_id,
                          invite_code, stays_counted, terms_sha256, joined_at, changed_at)
VALUES ('{SALE_ID}', uuidv7(), uuidv7(), gen_random_uuid(), 1, 0, 0, 'joined', uuidv7(),
        left(replace(gen_random_uuid()::text, '-', ''), 12), FALSE, repeat('0', 64), now(), now());
UPDATE ledger_account SET available_minor = available_minor - 1000, held_minor = held_minor + 1000
 WHERE id = {WALLET} AND keeps_balance;
INSERT INTO ledger_transfer (id, journal_id, kind, debit_account_id, credit_account_id, amount_minor, held_minor,
                             currency, code, subject_id, expires_at, at, recorded_at)
VALUES (uuidv7(), uuidv7(), 'pending', {WALLET}, '{ESCROW_ID}', 0, 1000, 'EUR', 'hold', uuidv7(), now(), now(), now());
COMMIT;
""",
)


@dataclass(frozen=True)
class HotRow:
    """Floor 1: buyers who each write the one stock row in a transaction of their own, and try again when refused."""

    per_s: float
    latency_ms: float  # the mean, tries included
    tries: float  # per purchase


def hot_row_of_a_drop(stack: Stack) -> HotRow:
    return hot_row(stack, ORDER)


def hot_row_of_a_rally(stack: Stack) -> HotRow:
    return hot_row(stack, JOIN)


def hot_row(stack: Stack, purchase: Purchase) -> HotRow:
    """Run pgbench for HOT_ROW_S seconds on tables made like ours. Raises StartError when purchases failed."""
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        make_tables(connection, purchase)
        script = stack.data / "purchase.sql"
        script.write_text(purchase.script)
        command = [str(find_binaries() / "pgbench"), "--no-vacuum", "--file", str(script), "--protocol", "prepared"]
        command += ["--client", str(HOT_ROW_CLIENTS), "--jobs", "2", "--time", str(HOT_ROW_S), "--max-tries", "0"]
        done = subprocess.run(
            [*command, stack.database_url],
            env={**os.environ, "PGOPTIONS": f"-c search_path={SCHEMA}"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StartError(f"pgbench failed: {done.stderr.strip()}")
        floor = read_report(done.stdout)
        connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    return floor


def make_tables(connection: psycopg.Connection[Any], purchase: Purchase) -> None:
    """Our tables' columns, constraints and indexes, in a schema of their own, with the one hot row and full wallets."""
    copy_tables(connection, SCHEMA, purchase.copied)
    connection.execute(purchase.hot_row)
    connection.execute(
        f"""
        INSERT INTO {SCHEMA}.ledger_account (id, owner_id, kind, currency, keeps_balance, available_minor, held_minor,
                                             created_at)
        SELECT lpad(to_hex(n), 32, '0')::uuid, gen_random_uuid(), 'wallet', 'EUR', TRUE, 1000000000, 0, now()
          FROM generate_series(%s::int, %s::int) AS n
        """,
        [FIRST_WALLET, FIRST_WALLET + WALLETS - 1],
    )
    connection.execute("ANALYZE")


def copy_tables(connection: psycopg.Connection[Any], schema: str, names: Sequence[str]) -> None:
    """Empty tables made like ours, in a new schema."""
    connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    connection.execute(f"CREATE SCHEMA {schema}")
    for name in names:
        connection.execute(f"CREATE TABLE {schema}.{name} (LIKE public.{name} INCLUDING ALL)")


def read_report(report: str) -> HotRow:
    """What pgbench prints at its end."""

    def figure(pattern: str) -> float:
        found = re.search(pattern, report)
        assert found, (pattern, report)
        return float(found[1])

    processed = figure(r"transactions actually processed: (\d+)")
    if figure(r"number of failed transactions: (\d+)") or not processed:
        raise StartError(f"pgbench's purchases failed:\n{report}")
    retries = figure(r"total number of retries: (\d+)")
    return HotRow(
        per_s=figure(r"tps = ([\d.]+) \(without initial"),
        latency_ms=figure(r"latency average = ([\d.]+) ms"),
        tries=1 + retries / processed,
    )


def empty_endpoint(web: Web, client: Client) -> float:
    """Floor 2: answers a second of `/healthz`, which does nothing, from the same server to the same client."""
    load = client.run(web.port, [request("GET", "/healthz")] * EMPTY_REQUESTS)
    answered = load.numbers(HTTPStatus.OK)
    if len(answered) < EMPTY_REQUESTS:
        raise StartError(f"/healthz did not answer every time: {dict(load.answers())}")
    return EMPTY_REQUESTS / max(load.ended_s(number) for number in answered)
