"""`bench drop`: a stampede on a drop."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path

import psycopg

from bench import floors, recipe, stampede
from bench.load import Client, Load
from bench.servers import Stack, scratch_stack
from bench.stampede import SELLER, WARM_UP_FANS, Beside, Findings, Format, Latency, Rate, say

LANE = "drops.order"
PATH = "/api/v1/drops/{sale_id}/orders"
ORDERS = "drops_order"


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
        rows = connection.execute(f"SELECT id::text, quantity FROM {ORDERS} WHERE drop_id = %s", [sale_id]).fetchall()
    stored = Counter(order_id for order_id, _ in rows)
    sold = sum(quantity for _, quantity in rows)
    unclear = len(load.statuses) - len(told) - load.answers()["409 sold_out"]
    problems = stampede.unknown_to_buyers(stored, told, unclear, thing="order")
    if not scenario.sold_expected - unclear <= sold <= scenario.sold_expected:
        problems.append(f"{sold} units were sold and {scenario.sold_expected} should have been")
    return problems


# Other ways to sell, beside the product


def by_recipe(processes: int, stack: Stack, client: Client) -> Rate:
    load = recipe.run(stack, client, orders=ORDERS, processes=processes, fans=UNLIMITED.fans, warm_up_fans=WARM_UP_FANS)
    accepted = load.numbers(HTTPStatus.CREATED)
    per_s = len(accepted) / max(load.ended_s(number) for number in accepted)
    return Rate(per_s, Latency.of(load.latencies_ms(HTTPStatus.CREATED)))


def in_the_lane(stack: Stack, client: Client) -> Rate:
    """The client has nothing to do: no HTTP is spoken."""
    sale_id = open_drop(stack, UNLIMITED_ONE)
    file = stampede.mint(stack, sale_id, fans=WARM_UP_FANS + UNLIMITED_ONE.fans)
    figures = stack.in_django("in_lane", sale_id, str(file), WARM_UP_FANS)
    return Rate(figures.pop("per_s"), Latency(**figures))


RECIPE_TWO = Beside("recipe, 2 processes", UNLIMITED, partial(by_recipe, 2))
RECIPE_ONE = Beside("recipe, 1 process", UNLIMITED_ONE, partial(by_recipe, 1))
IN_LANE = Beside("the lane without HTTP, 1 process", UNLIMITED_ONE, in_the_lane)

FORMAT = Format(
    lane=LANE,
    scenarios=[SELL_OUT, UNLIMITED, UNLIMITED_ONE],
    warm_up=Scenario("warm-up", WARM_UP_FANS * 2, WARM_UP_FANS, 2),
    hot_row=floors.hot_row_of_a_drop,
    open_sale=open_drop,
    path=PATH,
    audit=audit,
    beside=[RECIPE_TWO, RECIPE_ONE, IN_LANE],
)
