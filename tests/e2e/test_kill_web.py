"""Processes are killed with orders under way: whatever a fan was told stays true, and every fan is told something."""

from __future__ import annotations

import asyncio
import functools
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from itertools import islice

import psycopg
import pytest

from tests.e2e.audit import Log, Row, Story, answers, audit, read_log, read_orders
from tests.e2e.shop import wait_until
from tests.e2e.stack import Stack, Web
from tests.e2e.stampede import Blow, Fan, Stampede, run_to_the_end

UNITS = 4_500
FANS = 7_000
BACKEND = "backend"  # of PostgreSQL; the other victims are slots of web processes
VICTIMS = [0, 1, 0, BACKEND, 1, 0, 1]
WAVE_FANS = 150
ROUNDS_MAX = 4  # the stock outlasts the victims even when all have to die this often
BATCH_S = 0.01  # about what one takes: a kill may fall anywhere in it

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc"),
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
]


@dataclass(frozen=True)
class Run:
    """What is left of a stampede: the drop, and what its fans wrote down."""

    sale_id: str
    stories: dict[str, Story]


@pytest.fixture(scope="module")
def run(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """7,000 fans want 4,500 units while web processes are killed. All of those have ended when this returns."""
    sale_id = stack.open_drop(units=UNITS)
    fans = stack.mint_fans(sale_id, count=FANS)
    path = tmp_path_factory.mktemp("audit") / "log.jsonl"
    with stack.web(processes=2) as web, Log(path) as log:
        stampede = Stampede(web.port, sale_id, log)
        began_at = time.monotonic()
        run_to_the_end(rush(stampede, web, fans))
        took_s = time.monotonic() - began_at
    stories = read_log(path)
    print(f"killed for {took_s:.1f} s, slowest purchase {stampede.slowest_s:.1f} s, {dict(answers(stories))}")
    return Run(sale_id, stories)


async def rush(stampede: Stampede, web: Web, fans: list[Fan]) -> None:
    """Fans come in waves, and in the midst of each one a process dies: a full queue is where a kill can do harm.

    A web process needs a second or two to come back, so some waves have another one to go on with, and others meet a shop
    that is gone altogether for a moment. PostgreSQL answers the death of a backend by ending all, and recovers from its log.
    """
    waiting = iter(fans)
    for number, victim in enumerate(VICTIMS * ROUNDS_MAX):
        if number >= len(VICTIMS) and stampede.repeats:
            break  # some kill fell between a COMMIT and its answer, which is the hard case
        await until_serving(web, victim)
        wave = list(islice(waiting, WAVE_FANS))
        await stampede.run(wave, blow=blow(web, victim), after=random.randint(5, WAVE_FANS // 2))
    await stampede.run(list(waiting))


async def until_serving(web: Web, victim: int | str) -> None:
    """The victim must have something to lose."""
    slots = [victim] if isinstance(victim, int) else range(len(web.processes))
    await asyncio.to_thread(wait_until, lambda: any(map(web.serves, slots)), "the next victim serves")


def blow(web: Web, victim: int | str) -> Blow:
    if isinstance(victim, int):
        return functools.partial(restart, web, victim)
    return functools.partial(asyncio.to_thread, kill_a_backend, web.stack)  # finding it takes time: fans must not wait


async def restart(web: Web, slot: int) -> None:
    await asyncio.sleep(random.uniform(0, BATCH_S))
    # Without a thread: what a thread starts ends with it.
    web.kill(slot)
    web.spawn(slot)


def kill_a_backend(stack: Stack) -> None:
    os.kill(stack.backend(), signal.SIGKILL)


def test_what_was_acknowledged_is_there_once_and_everybody_was_told(stack: Stack, run: Run) -> None:
    orders = read_orders(stack.database_url, run.sale_id)

    assert audit(run.stories, orders, units=UNITS) == []
    assert stack.broken_checks(run.sale_id) == []
    told = answers(run.stories)
    assert set(told) <= {"201", "200", "409 sold_out", "503 busy", "lost"}
    assert told["201"] + told["200"] == UNITS
    assert told["409 sold_out"] == FANS - UNITS
    assert told["200"] > 0, "no kill fell between a COMMIT and its answer, so the hard case was not tried"


@pytest.mark.usefixtures("run")
def test_the_audit_and_the_checks_see_a_lost_and_a_doubled_order(stack: Stack, run: Run) -> None:
    """The positive control: a harness that has never failed proves nothing."""
    tampered = stack.copy_database("tampered")
    lost, doubled = read_orders(tampered, run.sale_id)[:2]
    with psycopg.connect(tampered) as connection:
        tamper(connection, lost, doubled)

    findings = audit(run.stories, read_orders(tampered, run.sale_id), units=UNITS)

    assert findings == [
        f"lost: order {lost.id} was acknowledged and is there 0 times",
        f"double: fan {doubled.fan_id} has 2 orders under key {doubled.key}",
        f"double: fan {doubled.fan_id} wanted one order and has 2",
    ]
    broken = stack.broken_checks(run.sale_id, database_url=tampered)
    assert "one_order_per_key" in broken
    assert "each_order_paid_once" in broken


def tamper(connection: psycopg.Connection[tuple[object, ...]], lost: Row, doubled: Row) -> None:
    """Delete the one and double the other, which takes breaking the constraint that stands in the way."""
    connection.execute("DELETE FROM drops_order WHERE id = %s", [lost.id])
    connection.execute("ALTER TABLE drops_order DROP CONSTRAINT one_order_per_fan_and_key")
    connection.execute(
        """INSERT INTO drops_order
           SELECT (jsonb_populate_record(drops_order, jsonb_build_object('id', gen_random_uuid()))).*
             FROM drops_order WHERE id = %s""",
        [doubled.id],
    )
