"""A drop's whole life on a machine that only ran `bin/up`: nobody looks, and it opens, closes and settles at its times."""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.audit import Log, Story, answers, audit, read_log, read_orders
from tests.e2e.shop import HANGS_AFTER_S, wait_until
from tests.e2e.site import Site
from tests.e2e.stampede import Stampede, run_to_the_end

UNITS = 20
FANS = 30
QUICK_S = 4.0  # on an idle machine fans are there in this time, and answered in this time
GRACE_S = 2.0  # a purchase received in time may take this long to commit, so closing waits for it
CLOCKS_S = 0.5  # the shop goes by the database's clock, which it knows to within an exchange with it
RETRY_AFTER_S = 2.0
PROOF_TRIES = 30

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the chaos tests beside it need Linux, and share its site"),
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
]


def test_a_scheduled_drop_opens_sells_out_closes_and_settles_by_itself(site: Site, tmp_path: Path) -> None:
    sale_id, stories = sold_in_time(site, tmp_path / "log.jsonl")

    assert audit(stories, read_orders(site.database_url, sale_id), units=UNITS) == []
    told = answers(stories)
    assert set(told) <= {"201", "200", "409 sold_out", "503 busy", "lost"}
    assert (told["201"] + told["200"], told["409 sold_out"]) == (UNITS, FANS - UNITS)

    wait_until(lambda: is_over(site, sale_id), "the drop is announced and settled")
    opens_at, closes_at, closed_at, settled_at = one_row(
        site, "SELECT opens_at, closes_at, closed_at, settled_at FROM sales_sale WHERE id = %s", sale_id
    )
    announced_at = announced_at_of(site, sale_id)
    closes_for_good_at = closes_at + dt.timedelta(seconds=GRACE_S)
    print(f"{announced_at - opens_at}, {closed_at - closes_for_good_at}, {settled_at - closed_at}: how late it was")
    assert opens_at <= announced_at
    assert closes_for_good_at <= closed_at <= settled_at
    proof = read_proof(site, sale_id)
    assert proof["holds"] is True
    assert all(check["holds"] and "SELECT" in check["sql"] for check in proof["checks"])


def sold_in_time(site: Site, path: Path) -> tuple[str, dict[str, Story]]:
    """A drop, and what its fans were told while it was open. A machine that is too slow gets another one, with more time."""
    pace_s = QUICK_S
    while pace_s < HANGS_AFTER_S:
        began_at = time.monotonic()
        sale_id = site.open_drop(units=UNITS, opens_in_s=pace_s, closes_in_s=2 * pace_s)
        fans = site.mint_fans(sale_id, count=FANS)
        opens_at, closes_at = one_row(site, "SELECT opens_at, closes_at FROM sales_sale WHERE id = %s", sale_id)
        sleep_until(opens_at + dt.timedelta(seconds=CLOCKS_S))
        with Log(path) as log:
            run_to_the_end(Stampede(site.port, sale_id, log).run(fans))
        if dt.datetime.now(dt.UTC) < closes_at - dt.timedelta(seconds=CLOCKS_S):
            return sale_id, read_log(path)
        pace_s = time.monotonic() - began_at
    raise AssertionError("fans are not answered before a drop closes, however long it is open")


def is_over(site: Site, sale_id: str) -> bool:
    (state,) = one_row(site, "SELECT state FROM sales_sale WHERE id = %s", sale_id)
    return state == "settled" and announced_at_of(site, sale_id) is not None


def announced_at_of(site: Site, sale_id: str) -> Any:
    sql = "SELECT done_at FROM core_duework WHERE kind = 'sales.announce' AND subject_id = %s"
    return one_row(site, sql, sale_id)[0]


def read_proof(site: Site, sale_id: str) -> dict[str, Any]:
    """The proof, once the worker has run the checks of the settled sale. Asked as seldom as the answer says."""
    for _ in range(PROOF_TRIES):
        status, proof = site.get(f"/api/v1/sales/{sale_id}/proof")
        if status != 503:
            break
        time.sleep(RETRY_AFTER_S)
    assert status == 200
    return dict(proof)


def one_row(site: Site, sql: str, sale_id: str) -> Sequence[Any]:
    with psycopg.connect(site.database_url) as connection:
        row = connection.execute(sql, [sale_id]).fetchone()
    assert row is not None
    return row


def sleep_until(at: dt.datetime) -> None:
    time.sleep(max(0.0, (at - dt.datetime.now(dt.UTC)).total_seconds()))
