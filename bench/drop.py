"""`bench drop`: a stampede on a drop over HTTP, from the first byte of a request to the last of its answer."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import psycopg

from bench import floors
from bench.figures import Spread, percentile
from bench.load import Client, Load, request
from bench.servers import Cpu, Metrics, Stack, Web, scratch_stack

SELLER = "bench"
LANE = "drops.order"
WARM_UP_FANS = 3_000


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
SCENARIOS = [SELL_OUT, UNLIMITED, UNLIMITED_ONE]
PROCESSES = [2, 1]


@dataclass(frozen=True)
class Latency:
    p50_ms: float
    p99_ms: float
    longest_ms: float

    @classmethod
    def of(cls, ordered_ms: Sequence[float]) -> Latency:
        return cls(percentile(ordered_ms, 50), percentile(ordered_ms, 99), percentile(ordered_ms, 100))


@dataclass
class Measured:
    """One round of one scenario."""

    accepted_per_s: float
    refused_per_s: float
    accepted: Latency
    refused: Latency
    answers: Counter[str]
    conflicts: int
    batch_mean: float
    batch_p95_max: float  # the histogram only tells the upper end of the step that p95 falls in
    cpu: Cpu
    elapsed_s: float  # that `cpu` was used in
    problems: list[str] = field(default_factory=list)  # broken promises

    @property
    def failed(self) -> int:
        """Answers that are neither an order nor "sold out", and requests without an answer."""
        return self.answers.total() - self.answers["201"] - self.answers["409 sold_out"]


@dataclass
class Findings:
    """All rounds of everything."""

    measured: dict[Scenario, list[Measured]]
    hot_row: list[floors.HotRow]
    empty: dict[int, list[float]]  # web processes → answers a second
    checks: int = 0  # of `check_invariants`
    problems: list[str] = field(default_factory=list)

    def spread(self, scenario: Scenario, figure: Callable[[Measured], float]) -> Spread:
        return Spread.of([figure(measured) for measured in self.measured[scenario]])


# The run


def run(*, rounds: int, data: Path | None = None) -> Findings:
    """Measure everything `rounds` times on scratch servers, in `data` or a folder of their own. Raises StartError."""
    findings = Findings({scenario: [] for scenario in SCENARIOS}, [], {processes: [] for processes in PROCESSES})
    with scratch_stack(data) as stack, Client() as client:
        say(f"Scratch servers are up in {stack.data}.")
        stack.manage("open_shop", "--handle", SELLER, "--name", "Bench")
        for number in range(1, rounds + 1):
            say(f"Round {number} of {rounds}")
            measure_round(stack, client, findings)
        check(stack, findings)
    return findings


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def measure_round(stack: Stack, client: Client, findings: Findings) -> None:
    """Floors and scenarios close together in time, so that a slow moment of the machine hits both."""
    findings.hot_row.append(floors.hot_row(stack))
    say(f"  one hot row, pgbench: {findings.hot_row[-1].per_s:,.0f}/s")
    for processes in PROCESSES:
        with stack.web(processes) as web:
            warm_up(web, client)
            findings.empty[processes].append(floors.empty_endpoint(web, client))
            say(f"  empty endpoint, {processes} process(es): {findings.empty[processes][-1]:,.0f}/s")
            for scenario in findings.measured:
                if scenario.processes == processes:
                    measured = measure(web, client, scenario)
                    findings.measured[scenario].append(measured)
                    findings.problems += measured.problems
                    say(f"  {scenario.name}: {measured.accepted_per_s:,.0f} accepted/s, {dict(measured.answers)}")


def warm_up(web: Web, client: Client) -> None:
    """Orders that are not counted: they open connections and load what is loaded late."""
    sale_id = open_drop(web.stack, units=WARM_UP_FANS * 2)
    load = client.run(web.port, orders(web.stack, sale_id, fans=WARM_UP_FANS))
    if len(load.numbers(HTTPStatus.CREATED)) < WARM_UP_FANS:
        say(f"  the warm-up was answered {dict(load.answers())}")


def measure(web: Web, client: Client, scenario: Scenario) -> Measured:
    sale_id = open_drop(web.stack, units=scenario.units)
    requests = orders(web.stack, sale_id, fans=scenario.fans)
    metrics_before = web.metrics()
    cpu_before, began_at = web.cpu_s(), time.monotonic()
    load = client.run(web.port, requests)
    cpu, elapsed_s = web.cpu_s().since(cpu_before, client=load.client_cpu_s), time.monotonic() - began_at
    measured = read(load, web.metrics().since(metrics_before), cpu, elapsed_s)
    measured.problems = [f"{scenario.name}: {problem}" for problem in audit(web.stack, sale_id, scenario, load)]
    return measured


def open_drop(stack: Stack, *, units: int) -> str:
    """A drop that is open now, one unit a fan: so that each purchase writes every row it can."""
    opened = stack.manage_json(
        "open_drop", "--seller", SELLER, "--units", str(units), "--price", "10.00", "--limit", "1"
    )
    return str(opened["sale_id"])


def orders(stack: Stack, sale_id: str, *, fans: int) -> list[bytes]:
    """One prebuilt order from each of that many new fans with money."""
    tokens = stack.data / "fans.jsonl"
    stack.manage("mint_fans", "--count", str(fans), "--funds", "100.00", "--sale", sale_id, "--out", str(tokens))
    return [order(sale_id, json.loads(line)["buy_token"]) for line in tokens.read_text().splitlines()]


def order(sale_id: str, buy_token: str) -> bytes:
    headers = {
        "X-Buy-Token": buy_token,
        "Idempotency-Key": str(uuid.uuid4()),
        "Content-Type": "application/json",
    }
    return request("POST", f"/api/v1/drops/{sale_id}/orders", headers=headers, body=b'{"quantity": 1}')


# Reading what happened


def read(load: Load, metrics: Metrics, cpu: Cpu, elapsed_s: float) -> Measured:
    accepted, refused = load.numbers(HTTPStatus.CREATED), load.numbers(HTTPStatus.CONFLICT)
    # The last unit divides the run: before it, what selling costs; after it, what saying no costs.
    sold_out_s = max((load.ended_s(number) for number in accepted), default=0.0)
    after = [ended_s for number in refused if (ended_s := load.ended_s(number)) > sold_out_s]
    batches = metrics.total("dropfront_lane_batch_size_count", lane=LANE)
    return Measured(
        accepted_per_s=len(accepted) / sold_out_s if accepted else 0.0,
        refused_per_s=len(after) / (max(after) - sold_out_s) if after else 0.0,
        accepted=Latency.of(load.latencies_ms(HTTPStatus.CREATED)),
        refused=Latency.of(load.latencies_ms(HTTPStatus.CONFLICT)),
        answers=load.answers(),
        conflicts=int(metrics.total("dropfront_transaction_attempts_total", name=LANE, event="conflict")),
        batch_mean=metrics.total("dropfront_lane_batch_size_sum", lane=LANE) / batches if batches else 0.0,
        batch_p95_max=bound_of(metrics.buckets("dropfront_lane_batch_size", lane=LANE), 95),
        cpu=cpu,
        elapsed_s=elapsed_s,
    )


def bound_of(buckets: Sequence[tuple[float, float]], percent: float) -> float:
    """The upper bound of the histogram's step in which this percentile lies."""
    if not buckets or not buckets[-1][1]:
        return 0.0
    wanted = buckets[-1][1] * percent / 100
    return next(bound for bound, count in buckets if count >= wanted)


# Promises


def audit(stack: Stack, sale_id: str, scenario: Scenario, load: Load) -> list[str]:
    """What the buyers were told, against what the database holds. Gives a sentence for each promise that was broken."""
    told = [json.loads(load.bodies[number])["id"] for number in load.numbers(HTTPStatus.CREATED)]
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute("SELECT id::text, quantity FROM drops_order WHERE drop_id = %s", [sale_id]).fetchall()
    stored = Counter(order_id for order_id, _ in rows)
    sold = sum(quantity for _, quantity in rows)
    # A buyer who got no clear answer may or may not have an order; all others must be told what the database holds.
    unclear = len(load.statuses) - len(told) - load.answers()["409 sold_out"]
    missing = [order_id for order_id in told if stored[order_id] != 1]
    untold = len(stored.keys() - set(told))
    problems = []
    if len(set(told)) < len(told):
        problems.append(f"{len(told) - len(set(told))} accepted orders were given to more than one buyer")
    if missing:
        problems.append(f"{len(missing)} accepted orders are not in the database exactly once, {missing[0]} for one")
    if untold > unclear:
        problems.append(f"{untold} orders are in the database that no buyer was told of")
    if not scenario.sold_expected - unclear <= sold <= scenario.sold_expected:
        problems.append(f"{sold} units were sold and {scenario.sold_expected} should have been")
    return problems


def check(stack: Stack, findings: Findings) -> None:
    """The product's own list of promises, over all drops of this run."""
    report = stack.manage_json("check_invariants")
    for subject, checks in report["checks"].items():
        findings.checks += len(checks)
        findings.problems += [
            f"{subject}: {found['name']} should be {found['expected']} and is {found['found']}"
            for found in checks
            if not found["holds"]
        ]
