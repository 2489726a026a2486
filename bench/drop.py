"""`bench drop`: a stampede on a drop."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import psycopg

from bench import floors, stampede
from bench.load import Client, Load
from bench.servers import Stack, scratch_stack
from bench.stampede import SELLER, WARM_UP_FANS, Findings, Format, say


@dataclass(frozen=True)
class Scenario:
    """One drop, and fans who each send one order for one unit."""

    name: str
    units: int
    fans: int
    processes: int

    @property
    def sold_expected(self) -> int:
        return min(self.units, self.fans)


SELL_OUT = Scenario("5,000 units, 2 processes", 5_000, 20_000, 2)
UNLIMITED = Scenario("unlimited, 2 processes", 1_000_000, 20_000, 2)
UNLIMITED_ONE = Scenario("unlimited, 1 process", 1_000_000, 20_000, 1)


def run(*, rounds: int, data: Path | None = None) -> Findings[Scenario]:
    """Measure everything `rounds` times on scratch servers, in `data` or a folder of their own. Raises StartError."""
    findings = Findings.of(FORMAT)
    with scratch_stack(data) as stack, Client() as client:
        say(f"Scratch servers are up in {stack.data}.")
        stampede.open_shop(stack)
        for number in range(1, rounds + 1):
            say(f"Round {number} of {rounds}")
            stampede.measure_round(FORMAT, stack, client, findings)
        stampede.check(stack, findings)
    return findings


def open_drop(stack: Stack, scenario: Scenario) -> str:
    """A drop that is open now, one unit a fan: so that each purchase writes every row it can."""
    opened = stack.manage_json(
        "open_drop", "--seller", SELLER, "--units", str(scenario.units), "--price", "10.00", "--limit", "1"
    )
    return str(opened["sale_id"])


def audit(stack: Stack, sale_id: str, scenario: Scenario, load: Load) -> list[str]:
    """What the buyers were told, against what the database holds. Gives a sentence for each promise that was broken."""
    told = [json.loads(load.bodies[number])["id"] for number in load.numbers(HTTPStatus.CREATED)]
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute("SELECT id::text, quantity FROM drops_order WHERE drop_id = %s", [sale_id]).fetchall()
    stored = Counter(order_id for order_id, _ in rows)
    sold = sum(quantity for _, quantity in rows)
    unclear = len(load.statuses) - len(told) - load.answers()["409 sold_out"]
    problems = stampede.unknown_to_buyers(stored, told, unclear, thing="order")
    if not scenario.sold_expected - unclear <= sold <= scenario.sold_expected:
        problems.append(f"{sold} units were sold and {scenario.sold_expected} should have been")
    return problems


FORMAT = Format(
    lane="drops.order",
    scenarios=[SELL_OUT, UNLIMITED, UNLIMITED_ONE],
    warm_up=Scenario("warm-up", WARM_UP_FANS * 2, WARM_UP_FANS, 2),
    hot_row=floors.hot_row_of_a_drop,
    open_sale=open_drop,
    path="/api/v1/drops/{sale_id}/orders",
    audit=audit,
)
