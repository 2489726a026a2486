"""Making and proving one large drop, in the product's own process; see `bench/proof.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench import many_orders
from bench.stampede import SELLER
from core import clock, invariants
from drops.models import Drop
from sales import proof, prover
from sales.formats import get_format


def main(orders: int) -> dict[str, Any]:
    clock.measure()
    made_s, drop = timed(lambda: many_orders.make(orders, shop=SELLER))
    prover.wish(drop.sale_id, now=clock.now())
    run_s, _ = timed(prover.fulfil_wishes)
    books_whole_s, books = timed(proof.prove_books)
    books_since_s, news = timed(proof.prove_books_since)
    run = prover.find_run(drop.sale_id)
    return {
        "sale_id": str(drop.sale_id),
        "made_s": made_s,
        "run_s": run_s,
        "books_whole_s": books_whole_s,
        "books_since_s": books_since_s,
        "holds": bool(run and run.holds and books.holds and news.holds),
        "checks_s": {check.name: timed_check(drop, check) for check in get_format("drop").checks},
        **counts_s(drop),
    }


def timed(do: Callable[[], Any]) -> tuple[float, Any]:
    began_at = time.perf_counter()
    result = do()
    return time.perf_counter() - began_at, result


def timed_check(drop: Drop, check: invariants.Check) -> float:
    with proof.read() as reader:
        return timed(lambda: reader.run([check], {"sale_id": drop.sale_id}))[0]


def counts_s(drop: Drop) -> dict[str, float]:
    """Seconds of a plain count of the rows that the checks read."""
    orders = "SELECT count(*) FROM drops_order WHERE drop_id = %(sale_id)s"
    transfers = """
        SELECT count(*) FROM ledger_transfer
         WHERE credit_account_id = (SELECT id FROM ledger_account WHERE owner_id = %(sale_id)s AND kind = 'escrow')
    """
    with proof.read() as reader:
        return {
            "count_orders_s": timed(lambda: reader.number(orders, {"sale_id": drop.sale_id}))[0],
            "count_transfers_s": timed(lambda: reader.number(transfers, {"sale_id": drop.sale_id}))[0],
        }
