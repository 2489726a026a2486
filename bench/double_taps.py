"""The stress run of a rally: more taps than fans, over HTTP, then the close and the settling.

2,000 fans send 2,500 requests, because 500 of them tap twice. The last step of the price is reached by the last fan only, so
one join lost, or one counted twice, shows in the price or in the count.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import psycopg

from bench import stampede
from bench.load import Client, Load
from bench.servers import Stack, Web
from bench.staircase import LANE, PATH, TIERS, open_rally

FANS = 2_000
SECOND_TAPS = 500
PROCESSES = 2
FINAL_MINOR = 5_200

SHOWN_WITHIN_S = 2.0


@dataclass(frozen=True)
class Tap:
    fan: int  # its number
    key: uuid.UUID


def taps(fans: int = FANS, second_taps: int = SECOND_TAPS) -> list[Tap]:
    """One tap of each fan, and a second one right behind it of `second_taps` fans: so that the two are under way together.

    Every other second tap has the same key, as when a client asks again; the rest have another, as from another tab.
    """
    made = []
    doubled = 0
    for fan in range(fans):
        first = Tap(fan, uuid.uuid4())
        made.append(first)
        if (fan + 1) * second_taps // fans > doubled:  # spread evenly
            made.append(first if doubled % 2 else Tap(fan, uuid.uuid4()))
            doubled += 1
    return made


@dataclass
class DoubleTaps:
    """What became of one run. Prices are minor units."""

    answers: Counter[str]
    joins_per_s: float
    conflicts: int
    joiners: int = 0  # rows
    counted: int = 0  # by the buckets
    double_joins: int = 0
    shown_minor: int = 0  # the price that viewers saw at the end
    final_minor: int = 0
    prices: int = 0  # different ones that were paid
    paid_by: int = 0
    drift_minor: int = 0
    state: str = ""
    problems: list[str] = field(default_factory=list)


def run(stack: Stack, client: Client) -> DoubleTaps:
    sale_id = open_rally(stack)
    fans = stampede.minted(stack, sale_id, fans=FANS)
    made = taps()
    path = PATH.format(sale_id=sale_id)
    with stack.web(PROCESSES) as web:
        before = web.metrics()
        load = client.run(web.port, [stampede.purchase(path, fans[tap.fan][1], tap.key) for tap in made])
        done = DoubleTaps(
            answers=load.answers(),
            joins_per_s=FANS / max(load.ended_s(number) for number in range(len(made))),
            conflicts=stampede.conflicts(web.metrics().since(before), LANE),
        )
        done.shown_minor = shown_minor(web, sale_id)
    count(stack, sale_id, done)
    end(stack, sale_id, done)
    done.problems = [f"double taps: {problem}" for problem in [*audit(done), *two_answers(load, made)]]
    return done


def shown_minor(web: Web, sale_id: str) -> int:
    """The price that viewers have once the last frame is there: frames come a moment after the answers, 20 a second at most."""
    deadline = time.monotonic() + SHOWN_WITHIN_S
    while True:
        status, text = web.get(f"/api/v1/sales/{sale_id}/frame")
        price_minor = int(json.loads(text)["price_minor"]) if status == HTTPStatus.OK else 0
        if price_minor == FINAL_MINOR or time.monotonic() > deadline:
            return price_minor
        time.sleep(0.05)


def count(stack: Stack, sale_id: str, done: DoubleTaps) -> None:
    with psycopg.connect(stack.database_url) as connection:
        done.joiners, fans = row_of(
            connection, "SELECT count(*), count(DISTINCT fan_id) FROM rallies_join WHERE rally_id = %s", sale_id
        )
        done.double_joins = done.joiners - fans
        (done.counted,) = row_of(connection, "SELECT sum(joiners) FROM rallies_bucket WHERE rally_id = %s", sale_id)


def end(stack: Stack, sale_id: str, done: DoubleTaps) -> None:
    """Close and settle the rally, and look at what was paid in the books."""
    came_to = stack.manage_json("end_rally", "--sale", sale_id)
    done.state, done.final_minor = came_to["state"], came_to["price_minor"]
    with psycopg.connect(stack.database_url) as connection:
        done.prices, done.paid_by = row_of(
            connection,
            """
            SELECT count(DISTINCT amount_minor), count(DISTINCT debit_account_id)
              FROM rallies_join JOIN ledger_transfer ON ledger_transfer.pending_id = rallies_join.transfer_id
             WHERE rally_id = %s AND kind = 'posted'
            """,
            sale_id,
        )
    report = stack.manage_json("check_invariants", "--sale", sale_id)
    books = {check["name"]: check for check in report["checks"]["books"]}
    done.drift_minor = sum(
        abs(books[name]["found"] - books[name]["expected"]) for name in ("drift_per_account", "drift_in_total")
    )


def row_of(connection: psycopg.Connection[Any], sql: str, *params: Any) -> tuple[Any, ...]:
    row = connection.execute(sql, params).fetchone()
    assert row is not None, sql
    return row


def audit(done: DoubleTaps) -> list[str]:
    """A sentence for everything that is not exactly as it must be."""
    assert TIERS[-1][0] == FANS, "the last step is the last fan's"
    wanted = {
        "answers": (done.answers, Counter({"201": FANS, "200": SECOND_TAPS})),
        "joiners in the database": (done.joiners, FANS),
        "the sum of the buckets": (done.counted, FANS),
        "double joins": (done.double_joins, 0),
        "the price shown": (done.shown_minor, FINAL_MINOR),
        "the final price": (done.final_minor, FINAL_MINOR),
        "different prices paid": (done.prices, 1),
        "fans who paid": (done.paid_by, FANS),
        "the books' drift": (done.drift_minor, 0),
        "the state": (done.state, "settled"),
    }
    return [f"{name}: {found}, should be {want}" for name, (found, want) in wanted.items() if found != want]


def two_answers(load: Load, made: Sequence[Tap]) -> list[str]:
    """Both taps of a fan must be answered with the same join."""
    ids: dict[int, set[str]] = {}
    for tap, status, body in zip(made, load.statuses, load.bodies, strict=True):
        if status in (HTTPStatus.OK, HTTPStatus.CREATED):
            ids.setdefault(tap.fan, set()).add(json.loads(body)["id"])
    several = sum(len(found) > 1 for found in ids.values())
    return [f"{several} fans were told of two joins"] if several else []
