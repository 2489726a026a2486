"""The database is killed under a stampede: answers get lost, orders do not, and the shop comes back by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.audit import Log, answers, audit, read_log, read_orders
from tests.e2e.site import Site
from tests.e2e.stampede import Stampede

UNITS = 600
FANS = 1_000
BACK_WITHIN_S = 30.0

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc"),
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
]


def test_the_shop_is_back_by_itself_when_postgresql_is_killed(site: Site, tmp_path: Path) -> None:
    sale_id = site.open_drop(units=UNITS)
    fans = site.mint_fans(sale_id, count=FANS)

    async def kill_postgres() -> None:
        os.kill(postmaster_pid(site.data), signal.SIGKILL)

    with Log(tmp_path / "log.jsonl") as log:
        stampede = Stampede(site.port, sale_id, log)
        asyncio.run(stampede.run(fans, blow=kill_postgres, after=UNITS // 3))
    stories = read_log(tmp_path / "log.jsonl")
    told = answers(stories)

    print(f"slowest purchase {stampede.slowest_s:.1f} s, {dict(told)}")
    assert audit(stories, read_orders(site.database_url, sale_id), units=UNITS) == []
    assert site.broken_checks(sale_id) == []
    assert stampede.slowest_s < BACK_WITHIN_S
    assert told["503 busy"] + told["200"] > 0, "no order was under way"
    # A shop without its database is busy, not broken.
    assert set(told) <= {"201", "200", "409 sold_out", "503 busy", "lost"}


def postmaster_pid(data: Path) -> int:
    return int((data / "postgres" / "postmaster.pid").read_text().splitlines()[0])
