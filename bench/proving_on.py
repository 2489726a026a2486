"""Proving one large drop again and again, until this process is killed; see `bench/proof.py`."""

from __future__ import annotations

from drops.models import Drop
from sales import prover


def main(orders: int) -> None:
    drop = Drop.objects.select_related("sale").get(units_total=orders, sale__state="settled")
    print("proving", flush=True)
    while True:
        prover.prove_now(drop.sale)
