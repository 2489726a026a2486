"""`bench proof`: what the proof of a sale costs, for its viewers, in the background, and for those who buy elsewhere meanwhile."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from bench import drop, stampede
from bench.figures import Spread, table
from bench.load import Client
from bench.servers import ROOT, Stack, Web, scratch_stack
from bench.stampede import say
from embedded.errors import StartError

SIZES = [10_000, 100_000, 1_000_000]
PAGE_VIEWS = 15  # of each; an address may look 60 times a minute
VIEWS_MEANWHILE = 10
FANS = 10_000
PAGE_S_MAX = 1.0
RUN_S_MAX = 60.0


@dataclass
class Proved:
    """One sale and its proof; seconds."""

    orders: int
    sale_id: str
    made_s: float
    count_orders_s: float
    count_transfers_s: float
    run_s: float
    books_whole_s: float
    books_since_s: float
    holds: bool
    checks_s: dict[str, float]
    page_s: list[float] = field(default_factory=list)


@dataclass
class Purchases:
    """A stampede on another sale."""

    per_s: float
    answers: Counter[str]
    page_s: list[float]  # of the large sale's proof, looked at meanwhile


@dataclass
class Findings:
    proved: list[Proved]
    alone: Purchases
    beside_a_run: Purchases

    @property
    def problems(self) -> list[str]:
        broken = [
            f"a check of the sale of {each.orders:,} orders does not hold" for each in self.proved if not each.holds
        ]
        for name, purchases in (("alone", self.alone), ("beside a run", self.beside_a_run)):
            if purchases.answers != Counter({"201": FANS}):
                broken.append(f"purchases {name} were answered {dict(purchases.answers)}")
        return broken


def run(*, sizes: list[int], data: Path | None = None) -> Findings:
    """Prove a drop of each size, then sell another one without and beside a run. Raises StartError."""
    with scratch_stack(data) as stack, Client() as client:
        say(f"Scratch servers are up in {stack.data}.")
        stampede.open_shop(stack)
        proved = [prove(stack, orders) for orders in sizes]
        with stack.web(2) as web:
            for each in proved:
                each.page_s = [page_s(web, each.sale_id) for _ in range(PAGE_VIEWS)]
            stampede.warm_up(drop.FORMAT, web, client)
            alone = sell(stack, web, client, proved[-1])
            with runs_without_end(proved[-1]):
                beside_a_run = sell(stack, web, client, proved[-1])
    return Findings(proved, alone, beside_a_run)


def prove(stack: Stack, orders: int) -> Proved:
    proved = Proved(orders, **stack.in_django("proving", orders))
    say(f"  {orders:,} orders: made in {proved.made_s:.1f} s, proved in {proved.run_s:.2f} s")
    return proved


def page_s(web: Web, sale_id: str) -> float:
    began_at = time.perf_counter()
    status, _ = web.get(f"/proof/{sale_id}/")
    assert status == HTTPStatus.OK, status
    return time.perf_counter() - began_at


@contextlib.contextmanager
def runs_without_end(proved: Proved) -> Iterator[None]:
    """A process that proves the sale again and again, as the worker would once."""
    command = [sys.executable, "-m", "bench.in_django", "proving_on", str(proved.orders)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "proving":
            raise StartError("The process that proves the sale without end did not start.")
        yield
        if process.poll() is not None:
            raise StartError("The process that proves the sale without end has ended.")
    finally:
        process.kill()
        process.wait()


def sell(stack: Stack, web: Web, client: Client, looked_at: Proved) -> Purchases:
    sale_id = drop.open_drop(stack, drop.UNLIMITED)
    requests = stampede.requests_of(drop.FORMAT, stack, sale_id, fans=FANS)
    seen: list[float] = []
    is_over = threading.Event()
    looking = threading.Thread(target=look_until, args=[is_over, web, looked_at.sale_id, seen])
    looking.start()
    load = client.run(web.port, requests)
    is_over.set()
    looking.join()
    accepted = load.numbers(HTTPStatus.CREATED)
    lasted_s = max((load.ended_s(number) for number in accepted), default=1.0)
    say(f"  {len(accepted) / lasted_s:,.0f} purchases/s, {dict(load.answers())}")
    return Purchases(len(accepted) / lasted_s, load.answers(), seen)


def look_until(is_over: threading.Event, web: Web, sale_id: str, seen: list[float]) -> None:
    """A viewer of the large sale's proof; fewer views than an address may have in a minute."""
    while len(seen) < VIEWS_MEANWHILE and not is_over.wait(0.2):
        seen.append(page_s(web, sale_id))


# What is printed


def as_text(findings: Findings) -> str:
    return "\n\n".join([sizes_text(findings), checks_text(findings), purchases_text(findings), aims_text(findings)])


def sizes_text(findings: Findings) -> str:
    rows = [["orders", *(f"{each.orders:,}" for each in findings.proved)]]
    rows += [
        ["the page, ms: median (lowest to highest)", *(spread_ms(each.page_s) for each in findings.proved)],
        ["the run in the background, s", *(f"{each.run_s:.2f}" for each in findings.proved)],
        ["  beside: count(*) of its orders, s", *(f"{each.count_orders_s:.2f}" for each in findings.proved)],
        ["  beside: count(*) of its transfers, s", *(f"{each.count_transfers_s:.2f}" for each in findings.proved)],
        ["the books, all transfers so far, s", *(f"{each.books_whole_s:.2f}" for each in findings.proved)],
        ["the books, what is new, s", *(f"{each.books_since_s:.2f}" for each in findings.proved)],
    ]
    return table(rows)


def checks_text(findings: Findings) -> str:
    largest = findings.proved[-1]
    rows = [["each check, s", *(f"{each.orders:,}" for each in findings.proved)]]
    for name in sorted(largest.checks_s, key=lambda name: -largest.checks_s[name]):
        rows.append([name, *(f"{each.checks_s[name]:.2f}" for each in findings.proved)])
    return table(rows)


def purchases_text(findings: Findings) -> str:
    both = (findings.alone, findings.beside_a_run)
    rows = [
        ["purchases in another sale", "alone", "beside a run"],
        ["accepted/s", *(f"{each.per_s:,.0f}" for each in both)],
        ["answers", *(", ".join(f"{count:,} x {name}" for name, count in each.answers.items()) for each in both)],
        ["the large sale's page meanwhile, ms", *(spread_ms(each.page_s) for each in both)],
    ]
    return table(rows)


def spread_ms(seconds: list[float]) -> str:
    return Spread.of([1000 * each for each in seconds]).text(1) if seconds else "not looked at"


def aims(findings: Findings) -> dict[str, tuple[float, float]]:
    """What is aimed at: (at most, measured), of the largest sale, in seconds."""
    largest = findings.proved[-1]
    return {
        "the page, median, s": (PAGE_S_MAX, Spread.of(largest.page_s).median),
        "the run, s": (RUN_S_MAX, largest.run_s),
    }


def aims_text(findings: Findings) -> str:
    rows = [["aim", "at most", "measured", ""]]
    rows += [
        [name, f"{most:g}", f"{got:.3f}", "yes" if got <= most else "NO"]
        for name, (most, got) in aims(findings).items()
    ]
    promises = findings.problems or ["Every check held and every purchase was accepted."]
    return "\n".join([table(rows), "", *promises])


def as_json(findings: Findings) -> str:
    report: dict[str, Any] = {
        "proved": [vars(each) for each in findings.proved],
        "purchases": {"alone": vars(findings.alone), "beside_a_run": vars(findings.beside_a_run)},
        "aims": {name: {"at_most": most, "measured": got} for name, (most, got) in aims(findings).items()},
        "problems": findings.problems,
    }
    return json.dumps(report)
