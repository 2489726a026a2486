"""The database is killed under a stampede: answers get lost, orders do not, and the shop comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.audit import Log, answers, audit, read_log, read_orders
from tests.e2e.shop import wait_until
from tests.e2e.site import Site
from tests.e2e.stampede import Stampede, run_to_the_end

UNITS = 600
FANS = 1_000
STATUS_LINE = 8  # of postmaster.pid

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc"),
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
]


def test_the_shop_is_back_by_itself_when_postgresql_is_killed(site: Site, tmp_path: Path) -> None:
    sale_id = site.open_drop(units=UNITS)
    fans = site.mint_fans(sale_id, count=FANS)

    async def kill_twice() -> None:
        # The second time as soon as it is back: fans wait through both, longer than any one transaction is tried for.
        first = kill_postgres(site)
        await asyncio.to_thread(wait_until, lambda: pid_of_postgres(site) not in (None, first), "PostgreSQL is back")
        kill_postgres(site)

    with Log(tmp_path / "log.jsonl") as log:
        stampede = Stampede(site.port, sale_id, log)
        run_to_the_end(stampede.run(fans, blow=kill_twice, after=UNITS // 3))
    stories = read_log(tmp_path / "log.jsonl")
    told = answers(stories)

    print(f"slowest purchase {stampede.slowest_s:.1f} s, {dict(told)}")
    assert audit(stories, read_orders(site.database_url, sale_id), units=UNITS) == []
    assert site.broken_checks(sale_id) == []
    assert told["503 busy"] + told["200"] > 0, "no order was under way"
    # A shop without its database is busy, not broken.
    assert set(told) <= {"201", "200", "409 sold_out", "503 busy", "lost"}


def kill_postgres(site: Site) -> int:
    pid = pid_of_postgres(site)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def pid_of_postgres(site: Site) -> int | None:
    """The postmaster's, once it accepts connections."""
    with contextlib.suppress(FileNotFoundError):  # between two starts
        lines = (site.data / "postgres" / "postmaster.pid").read_text().splitlines()
        if len(lines) >= STATUS_LINE and lines[STATUS_LINE - 1].strip() == "ready":
            return int(lines[0])
    return None
