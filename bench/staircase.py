"""The rally that is measured: its price falls from 100.00 to 52.00, the last step only when all of the stress run are in."""

from __future__ import annotations

from bench.servers import Stack
from bench.stampede import SELLER

LANE = "rallies.join"
PATH = "/api/v1/rallies/{sale_id}/joins"
TIERS = [(1, "100.00"), (500, "80.00"), (1_000, "65.00"), (2_000, "52.00")]  # (from how many joiners, price)


def open_rally(stack: Stack) -> str:
    """A rally that is open now, without a cap, one unit a fan; its sale's id."""
    tiers = [f"{count}:{price}" for count, price in TIERS]
    opened = stack.manage_json("open_rally", "--seller", SELLER, "--tiers", *tiers)
    return str(opened["sale_id"])
