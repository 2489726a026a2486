"""What the benchmarks of all formats share: a stampede on one sale over HTTP, from the first byte of a request to the
last of its answer. A format adds its scenarios, its requests, its audit and its floor.
"""

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
from typing import Generic, Protocol, TypeVar

import psycopg

from bench import floors
from bench.figures import Spread, percentile
from bench.load import Client, Load, request
from bench.servers import Cpu, Metrics, Stack, Web

SELLER = "bench"
FUNDS = "100.00"  # of a fan: what the dearest unit costs
WARM_UP_FANS = 3_000
PROCESSES = [2, 1]


class Scenario(Protocol):
    """One sale, and fans who each send one request for one unit."""

    @property
    def name(self) -> str: ...
    @property
    def fans(self) -> int: ...
    @property
    def processes(self) -> int: ...


S = TypeVar("S", bound=Scenario)


@dataclass(frozen=True)
class Beside(Generic[S]):
    """Another way to do the same, measured in each round right after the scenario that it is held against."""

    name: str
    against: S
    measure: Callable[[Stack, Client], Rate]


@dataclass(frozen=True)
class Format(Generic[S]):
    """What is measured, and how it is told apart from the other formats."""

    lane: str  # whose batches and conflicts are counted
    scenarios: Sequence[S]
    warm_up: S
    hot_row: Callable[[Stack], floors.HotRow]
    open_sale: Callable[[Stack, S], str]  # gives the sale's id
    path: str  # of the requests, with {sale_id}
    audit: Callable[[Stack, str, S, Load], list[str]]  # a sentence for each broken promise
    beside: Sequence[Beside[S]] = ()


@dataclass(frozen=True)
class Latency:
    p50_ms: float
    p99_ms: float
    longest_ms: float

    @classmethod
    def of(cls, ordered_ms: Sequence[float]) -> Latency:
        return cls(percentile(ordered_ms, 50), percentile(ordered_ms, 99), percentile(ordered_ms, 100))


@dataclass(frozen=True)
class Rate:
    """What another way did in one round."""

    per_s: float
    latency: Latency


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
        """Answers that are neither accepted nor "sold out", and requests without an answer."""
        return self.answers.total() - self.answers["201"] - self.answers["409 sold_out"]


@dataclass
class Findings(Generic[S]):
    """All rounds of everything."""

    measured: dict[S, list[Measured]]
    hot_row: list[floors.HotRow]
    empty: dict[int, list[float]]  # web processes → answers a second
    checks: int = 0  # of `check_invariants`
    problems: list[str] = field(default_factory=list)
    beside: dict[str, list[Rate]] = field(default_factory=dict)

    @classmethod
    def of(cls, format: Format[S]) -> Findings[S]:
        return cls({scenario: [] for scenario in format.scenarios}, [], {processes: [] for processes in PROCESSES})

    def spread(self, scenario: S, figure: Callable[[Measured], float]) -> Spread:
        return Spread.of([figure(measured) for measured in self.measured[scenario]])


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def open_shop(stack: Stack) -> None:
    stack.manage("open_shop", "--handle", SELLER, "--name", "Bench")


def measure_round(format: Format[S], stack: Stack, client: Client, findings: Findings[S]) -> None:
    """Floors and scenarios close together in time, so that a slow moment of the machine hits both."""
    findings.hot_row.append(format.hot_row(stack))
    say(f"  one hot row, pgbench: {findings.hot_row[-1].per_s:,.0f}/s")
    for processes in PROCESSES:
        with stack.web(processes) as web:
            warm_up(format, web, client)
            findings.empty[processes].append(floors.empty_endpoint(web, client))
            say(f"  empty endpoint, {processes} process(es): {findings.empty[processes][-1]:,.0f}/s")
            for scenario in findings.measured:
                if scenario.processes == processes:
                    measured = measure(format, web, client, scenario)
                    findings.measured[scenario].append(measured)
                    findings.problems += measured.problems
                    say(f"  {scenario.name}: {measured.accepted_per_s:,.0f} accepted/s, {dict(measured.answers)}")
        for other in format.beside:
            if other.against.processes == processes:
                rate = other.measure(stack, client)
                findings.beside.setdefault(other.name, []).append(rate)
                say(f"  {other.name}: {rate.per_s:,.0f}/s")


def warm_up(format: Format[S], web: Web, client: Client) -> None:
    """Requests that are not counted: they open connections and load what is loaded late."""
    sale_id = format.open_sale(web.stack, format.warm_up)
    load = client.run(web.port, requests_of(format, web.stack, sale_id, fans=format.warm_up.fans))
    if len(load.numbers(HTTPStatus.CREATED)) < format.warm_up.fans:
        say(f"  the warm-up was answered {dict(load.answers())}")


def measure(format: Format[S], web: Web, client: Client, scenario: S) -> Measured:
    sale_id = format.open_sale(web.stack, scenario)
    requests = requests_of(format, web.stack, sale_id, fans=scenario.fans)
    metrics_before = web.metrics()
    cpu_before, began_at = web.cpu_s(), time.monotonic()
    load = client.run(web.port, requests)
    cpu, elapsed_s = web.cpu_s().since(cpu_before, client=load.client_cpu_s), time.monotonic() - began_at
    measured = read(load, web.metrics().since(metrics_before), cpu, elapsed_s, lane=format.lane)
    measured.problems = [f"{scenario.name}: {problem}" for problem in format.audit(web.stack, sale_id, scenario, load)]
    return measured


# Requests


def requests_of(format: Format[S], stack: Stack, sale_id: str, *, fans: int) -> list[bytes]:
    """One prebuilt request for one unit from each of that many new fans with money."""
    path = format.path.format(sale_id=sale_id)
    return [purchase(path, buy_token, uuid.uuid4()) for _, buy_token in minted(stack, sale_id, fans=fans)]


def minted(stack: Stack, sale_id: str, *, fans: int) -> list[tuple[str, str]]:
    """(fan's id, buy token) of that many new fans with money."""
    lines = [json.loads(line) for line in mint(stack, sale_id, fans=fans).read_text().splitlines()]
    return [(line["fan_id"], line["buy_token"]) for line in lines]


def mint(stack: Stack, sale_id: str, *, fans: int) -> Path:
    """A file with a line for each of that many new fans with money: a JSON object with `fan_id` and `buy_token`."""
    file = stack.data / "fans.jsonl"
    stack.manage("mint_fans", "--count", str(fans), "--funds", FUNDS, "--sale", sale_id, "--out", str(file))
    return file


def purchase(path: str, buy_token: str, key: uuid.UUID) -> bytes:
    headers = {"X-Buy-Token": buy_token, "Idempotency-Key": str(key), "Content-Type": "application/json"}
    return request("POST", path, headers=headers, body=b'{"quantity": 1}')


# Reading what happened


def read(load: Load, metrics: Metrics, cpu: Cpu, elapsed_s: float, *, lane: str) -> Measured:
    accepted, refused = load.numbers(HTTPStatus.CREATED), load.numbers(HTTPStatus.CONFLICT)
    # The last unit divides the run: before it, what selling costs; after it, what saying no costs.
    sold_out_s = max((load.ended_s(number) for number in accepted), default=0.0)
    after = [ended_s for number in refused if (ended_s := load.ended_s(number)) > sold_out_s]
    batches = metrics.total("dropfront_lane_batch_size_count", lane=lane)
    return Measured(
        accepted_per_s=len(accepted) / sold_out_s if accepted else 0.0,
        refused_per_s=len(after) / (max(after) - sold_out_s) if after else 0.0,
        accepted=Latency.of(load.latencies_ms(HTTPStatus.CREATED)),
        refused=Latency.of(load.latencies_ms(HTTPStatus.CONFLICT)),
        answers=load.answers(),
        conflicts=conflicts(metrics, lane),
        batch_mean=metrics.total("dropfront_lane_batch_size_sum", lane=lane) / batches if batches else 0.0,
        batch_p95_max=bound_of(metrics.buckets("dropfront_lane_batch_size", lane=lane), 95),
        cpu=cpu,
        elapsed_s=elapsed_s,
    )


def conflicts(metrics: Metrics, lane: str) -> int:
    """Transactions of the lane that the database refused and that ran again."""
    return int(metrics.total("dropfront_transaction_attempts_total", name=lane, event="conflict"))


def bound_of(buckets: Sequence[tuple[float, float]], percent: float) -> float:
    """The upper bound of the histogram's step in which this percentile lies."""
    if not buckets or not buckets[-1][1]:
        return 0.0
    wanted = buckets[-1][1] * percent / 100
    return next(bound for bound, count in buckets if count >= wanted)


# Promises


class Checked(Protocol):
    checks: int
    problems: list[str]


def check(stack: Stack, findings: Checked) -> None:
    """The product's own list of promises, over all sales of this run."""
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        # Statistics from the middle of a stampede lead the planner to nested loops over all of it.
        connection.execute("ANALYZE")
    report = stack.manage_json("check_invariants")
    for subject, checks in report["checks"].items():
        findings.checks += len(checks)
        findings.problems += [
            f"{subject}: {found['name']} should be {found['expected']} and is {found['found']}"
            for found in checks
            if not found["holds"]
        ]


def unknown_to_buyers(stored: Counter[str], told: Sequence[str], unclear: int, *, thing: str) -> list[str]:
    """Accepted requests (by the id in their answers) against the ids in the database; `unclear` got no clear answer.

    A buyer without a clear answer may or may not have a row; all others must be told what the database holds.
    """
    missing = [id for id in told if stored[id] != 1]
    untold = len(stored.keys() - set(told))
    problems = []
    if len(set(told)) < len(told):
        problems.append(f"{len(told) - len(set(told))} accepted {thing}s were given to more than one buyer")
    if missing:
        problems.append(f"{len(missing)} accepted {thing}s are not in the database exactly once, {missing[0]} for one")
    if untold > unclear:
        problems.append(f"{untold} {thing}s are in the database that no buyer was told of")
    return problems
