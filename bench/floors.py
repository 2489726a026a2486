"""What the same machine does without our design: the floors that a benchmark's figures are held against."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

import psycopg

from bench.load import Client, request
from bench.servers import Stack, Web
from core.embedded.errors import StartError
from core.embedded.postgres import find_binaries

HOT_ROW_CLIENTS = 128
HOT_ROW_S = 5
WALLETS = 20_000
EMPTY_REQUESTS = 30_000

SCHEMA = "floor"
COPIED = ("drops_bucket", "drops_fanlimit", "drops_order", "ledger_account", "ledger_transfer")
DROP_ID = UUID(int=1)
ESCROW_ID = UUID(int=2)
# A wallet's id is its number, so that pgbench, which only knows numbers, can name one.
WALLET = "lpad(to_hex(:fan::int), 32, '0')::uuid"
FIRST_WALLET = 1_000

# A purchase as one would write it: each buyer a transaction, with the rows and guards that the product writes. Reads
# (price, earlier orders, balance) are left out, which favours the floor.
PURCHASE = f"""
\\set fan random({FIRST_WALLET}, {FIRST_WALLET + WALLETS - 1})
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE drops_bucket SET units_left = units_left - 1, version = version + 1
 WHERE drop_id = '{DROP_ID}' AND number = 0 AND units_left >= 1 AND NOT is_closed;
INSERT INTO drops_fanlimit AS fan_limit (drop_id, fan_id, units) VALUES ('{DROP_ID}', {WALLET}, 1)
    ON CONFLICT (drop_id, fan_id) DO UPDATE SET units = fan_limit.units + excluded.units;
INSERT INTO drops_order (id, drop_id, fan_id, idempotency_key, quantity, unit_price_minor, currency, state, is_hold,
                         transfer_id, terms_sha256, placed_at, changed_at)
VALUES (uuidv7(), '{DROP_ID}', {WALLET}, gen_random_uuid(), 1, 1000, 'EUR', 'paid', FALSE,
        uuidv7(), repeat('0', 64), now(), now());
UPDATE ledger_account SET available_minor = available_minor - 1000 WHERE id = {WALLET} AND keeps_balance;
INSERT INTO ledger_transfer (id, journal_id, kind, debit_account_id, credit_account_id, amount_minor, held_minor,
                             currency, code, subject_id, at, recorded_at)
VALUES (uuidv7(), uuidv7(), 'plain', {WALLET}, '{ESCROW_ID}', 1000, 0, 'EUR', 'purchase', uuidv7(), now(), now());
COMMIT;
"""


@dataclass(frozen=True)
class HotRow:
    """Floor 1: buyers who each write the one stock row in a transaction of their own, and try again when refused."""

    per_s: float
    latency_ms: float  # the mean, tries included
    tries: float  # per purchase


def hot_row(stack: Stack) -> HotRow:
    """Run pgbench for HOT_ROW_S seconds on tables made like ours. Raises StartError when purchases failed."""
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        make_tables(connection)
        script = stack.data / "purchase.sql"
        script.write_text(PURCHASE)
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


def make_tables(connection: psycopg.Connection[Any]) -> None:
    """Our tables' columns, constraints and indexes, in a schema of their own, with one stock row and full wallets."""
    connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    connection.execute(f"CREATE SCHEMA {SCHEMA}")
    for name in COPIED:
        connection.execute(f"CREATE TABLE {SCHEMA}.{name} (LIKE public.{name} INCLUDING ALL)")
    connection.execute(
        f"INSERT INTO {SCHEMA}.drops_bucket (drop_id, number, units_left, is_closed, version)"
        " VALUES (%s, 0, 10000000, FALSE, 0)",
        [DROP_ID],
    )
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
