"""Stored proofs: what viewers see, who runs the checks, and who is alarmed."""

from __future__ import annotations

import datetime as dt
import threading
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from prometheus_client import REGISTRY

from core import clock, invariants
from core.transactions import in_transaction
from drops.invariants import CHECKS
from drops.models import Drop, Order
from live import publisher
from sales import proof, prover, tasks
from sales import services as sales
from sales.models import ProofRun
from sales.proof import BOOKS, BOOKS_WHOLE, Proof
from sales.readings import shared_readings
from tests.tools import shop
from tests.tools.race import race

pytestmark = pytest.mark.django_db(transaction=True)

VIEWERS = 12
LONG_AGO = dt.timedelta(days=3)


@pytest.fixture
def drop() -> Drop:
    """An open drop with one order."""
    drop = shop.make_drop(now=clock.now(), units_total=5)
    shop.buy(drop, shop.make_fan(funds=1_000), at=clock.now())
    assert publisher.flush(10)
    return drop


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The sales that were proved, in order."""
    proved: list[Any] = []
    prove = proof.prove_sale

    def counted(sale: Any, **options: Any) -> Proof:
        proved.append(sale.id)
        return prove(sale, **options)

    monkeypatch.setattr(proof, "prove_sale", counted)
    return proved


def settle(drop: Drop) -> None:
    sales.close_sale_early(seller_id=drop.sale.seller_id, sale_id=drop.sale_id, now=clock.now())
    while sales.settle_step(sale_id=drop.sale_id, now=clock.now()):
        pass  # ends: there is one order
    assert publisher.flush(10)


def page(drop: Drop) -> str:
    return Client().get(f"/proof/{drop.sale_id}/").content.decode()


def run_of(drop: Drop) -> ProofRun:
    return ProofRun.objects.get(subject_id=drop.sale_id)


# Viewers


def test_a_crowd_leaves_one_wish_and_causes_one_run(drop, runs, monkeypatch):
    wishes: list[Any] = []
    wish = prover.wish
    monkeypatch.setattr(prover, "FRESH_S", 3_600)
    monkeypatch.setattr(
        prover, "wish", lambda subject_id, **more: (wishes.append(subject_id), wish(subject_id, **more))
    )

    first = race(*[partial(page, drop)] * VIEWERS)
    race(*[prover.fulfil_wishes] * 3)
    second = race(*[partial(page, drop)] * VIEWERS)
    prover.fulfil_wishes()

    assert all("Being checked now, for the first time" in shown for shown in first)
    assert all(f"All {len(CHECKS)} checks hold." in shown for shown in second)
    assert wishes.count(drop.sale_id) == 1
    assert runs == [drop.sale_id]


def test_while_one_process_proves_the_others_leave_its_wishes_alone(drop, runs, monkeypatch):
    is_running, may_end = threading.Event(), threading.Event()
    prove = proof.prove_sale
    monkeypatch.setattr(
        proof, "prove_sale", lambda *args, **more: (is_running.set(), may_end.wait(30), prove(*args, **more))[-1]
    )
    prover.wish(drop.sale_id, now=clock.now())

    def another() -> int:
        assert is_running.wait(30)
        try:
            return prover.fulfil_wishes()
        finally:
            may_end.set()

    assert race(prover.fulfil_wishes, another) == [1, 0]
    assert runs == [drop.sale_id]


def test_a_settled_sales_page_runs_nothing_and_asks_for_nothing(drop, runs):
    settle(drop)
    prover.fulfil_wishes()
    runs.clear()
    ProofRun.objects.update(tried_at=clock.now() - LONG_AGO)

    assert f"All {len(CHECKS)} checks hold." in page(drop)
    assert run_of(drop).asked_at is None
    prover.fulfil_wishes()
    assert runs == []


def test_a_sale_is_proved_once_it_has_settled(drop, runs):
    settle(drop)

    assert prover.fulfil_wishes() == 1
    assert prover.fulfil_wishes() == 0
    assert run_of(drop).holds is True


def test_a_page_of_an_old_run_shows_it_and_says_that_it_is_checked_again(drop):
    prover.prove_now(drop.sale)
    ProofRun.objects.update(tried_at=clock.now() - LONG_AGO)

    shown = page(drop)

    assert f"All {len(CHECKS)} checks hold." in shown
    assert "Being checked again" in shown
    assert 'id="proof-run" data-refresh data-being-checked' in shown


def test_the_button_has_a_settled_sale_checked_again(drop, runs):
    settle(drop)
    prover.fulfil_wishes()
    url = f"/proof/{drop.sale_id}/again/"
    assert Client().post(url)["Location"] == f"/proof/{drop.sale_id}/"
    assert prover.fulfil_wishes() == 0  # it was checked just now
    ProofRun.objects.update(tried_at=clock.now() - LONG_AGO)

    race(*[partial(Client().post, url)] * 5)

    assert prover.fulfil_wishes() == 1
    assert Client().get(url).status_code == 405


def test_the_button_is_not_for_pressing_without_end(drop):
    # Twice what a minute allows, because the minute may end in between.
    statuses = {
        Client().post(f"/proof/{drop.sale_id}/again/", REMOTE_ADDR="203.0.113.78").status_code for _ in range(21)
    }
    assert statuses == {302, 429}


@pytest.mark.parametrize(
    ("age_s", "took_ms", "is_old"), [(4, 10, False), (6, 10, True), (500, 60_000, False), (601, 60_000, True)]
)
def test_a_run_that_took_long_stays_for_longer(age_s, took_ms, is_old):
    now = clock.now()
    run = ProofRun(tried_at=now - dt.timedelta(seconds=age_s), tried_ms=took_ms)
    assert prover.is_old(run, now) is is_old


def test_readings_of_every_endpoint_are_made_once_for_a_crowd(drop, monkeypatch):
    from sales import readings

    made: list[Any] = []
    monkeypatch.setattr(readings, "_read_everywhere", made.append)
    monkeypatch.setattr(readings, "SHARED_S", 3_600)

    race(*[partial(shared_readings, drop.sale)] * VIEWERS)

    assert made == [drop.sale]


# Runs and wishes


def test_a_run_under_way_does_not_fulfil_a_wish_that_came_later(drop, monkeypatch):
    prove = proof.prove_sale

    def wished_meanwhile(*args: Any, **more: Any) -> Proof:
        found = prove(*args, **more)
        in_transaction(partial(prover.wish_anew, drop.sale_id, now=clock.now()), name="test")
        return found

    prover.wish(drop.sale_id, now=clock.now())
    with monkeypatch.context() as patch:
        patch.setattr(proof, "prove_sale", wished_meanwhile)
        prover.fulfil_wishes()

    assert run_of(drop).asked_at is not None
    assert prover.fulfil_wishes() == 1
    assert run_of(drop).asked_at is None


def test_an_older_run_never_takes_the_place_of_a_newer_one(drop):
    newer = prover.prove_now(drop.sale)

    prover._store(drop.sale_id, Proof([], newer.ran_at - dt.timedelta(seconds=1), 1), None)

    assert run_of(drop).ran_at == newer.ran_at
    assert len(prover.read_proof(run_of(drop)).findings) == len(CHECKS)


def test_a_stored_run_reads_as_it_was(drop):
    found = prover.prove_now(drop.sale)
    stored = prover.read_proof(run_of(drop))

    assert [finding.as_json() for finding in stored.findings] == [finding.as_json() for finding in found.findings]
    assert (stored.ran_at, stored.took_ms, stored.snapshots) == (found.ran_at, found.took_ms, 1)


def test_a_run_that_fails_is_told_and_does_not_stop_the_next(drop, monkeypatch):
    other = shop.make_drop(now=clock.now())
    assert publisher.flush(10)
    prove = proof.prove_sale

    def failing(sale: Any, **more: Any) -> Proof:
        if sale.id == drop.sale_id:
            raise OperationalError("No answer within 120 s")
        return prove(sale, **more)

    for sale_id in (drop.sale_id, other.sale_id):
        prover.wish(sale_id, now=clock.now())

    with monkeypatch.context() as patch:
        patch.setattr(proof, "prove_sale", failing)
        assert prover.fulfil_wishes() == 2

    assert run_of(other).holds is True
    assert (run_of(drop).holds, run_of(drop).asked_at) == (None, None)
    assert "did not come to its end" in page(drop)


def test_a_long_run_goes_on_in_a_new_snapshot(drop, monkeypatch):
    monkeypatch.setattr(proof, "SNAPSHOT_S", -1)

    found = proof.prove_sale(drop.sale, books=False)

    assert found.holds
    assert found.snapshots == len(CHECKS) + 1


# Buying goes on


def test_a_purchase_goes_through_while_proofs_hold_all_they_can(drop, monkeypatch):
    """As many proofs at once as the pool has connections: two run, the others are told to come back, buyers notice nothing."""
    may_end, told_off = threading.Event(), threading.Semaphore(0)
    proofs = connection.pool.max_size
    run = invariants.run
    monkeypatch.setattr(proof._apart, "timeout_s", 0.01)
    monkeypatch.setattr(invariants, "run", lambda *args: (may_end.wait(30), run(*args))[-1])

    def prove() -> bool:
        try:
            return proof.prove_sale(drop.sale, books=False).holds
        finally:
            told_off.release()
            connection.close()

    fan = shop.make_fan(funds=1_000)
    with ExitStack() as stack:
        stack.callback(may_end.set)
        provers = [threading.Thread(target=prove, daemon=True) for _ in range(proofs)]
        monkeypatch.setattr(threading, "excepthook", lambda told: None)
        for thread in provers:
            thread.start()
        for _ in range(proofs - 2):
            assert told_off.acquire(timeout=30)

        assert shop.buy(drop, fan, at=clock.now()).state == "paid"
    for thread in provers:
        thread.join(30)
        assert not thread.is_alive()


# Beat


def broken_gauge(check: str) -> float | None:
    return REGISTRY.get_sample_value("dropfront_invariant_broken", {"check": check})


@pytest.fixture
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prover, "FRESH_S", 0)
    monkeypatch.setattr(prover, "REST_FACTOR", 0)


def test_beat_finds_a_tampered_sale_and_raises_the_gauge_until_it_is_mended(drop, no_rest):
    Order.objects.update(quantity=2)
    tasks.prove_in_turn()

    assert broken_gauge("sold_is_stock_or_demand") == 1
    assert broken_gauge("terms_hash") == 0
    assert run_of(drop).holds is False

    Order.objects.update(quantity=1)
    tasks.prove_in_turn()

    assert broken_gauge("sold_is_stock_or_demand") == 0


def test_beat_goes_through_running_sales_newest_first_and_then_through_settled_ones(drop, runs, no_rest):
    settled, newer = shop.make_drop(now=clock.now()), shop.make_drop(now=clock.now() + dt.timedelta(seconds=30))
    shop.make_drop(opens_at=clock.now() + shop.HOUR, closes_at=clock.now() + 2 * shop.HOUR, now=clock.now())
    settle(settled)

    prover.prove_in_turn()

    assert runs == [newer.sale_id, drop.sale_id, settled.sale_id]


def test_beat_proves_settled_sales_again_the_oldest_run_first(runs):
    drops = [shop.make_drop(now=clock.now()) for _ in range(3)]
    for drop in drops:
        settle(drop)
    prover.fulfil_wishes()
    runs.clear()
    for days, drop in enumerate(drops[:2]):
        ProofRun.objects.filter(subject_id=drop.sale_id).update(tried_at=clock.now() - dt.timedelta(days=days + 1))

    prover.prove_in_turn()

    assert runs == [drops[1].sale_id, drops[0].sale_id]


def test_beat_keeps_to_its_time(drop, runs, no_rest):
    assert prover.prove_in_turn(budget_s=0) == 0
    assert runs == []
    assert prover.prove_in_turn() == 1


def test_beat_leaves_a_large_sale_to_a_wish(drop, runs, no_rest):
    prover.prove_now(drop.sale)
    runs.clear()
    ProofRun.objects.update(tried_ms=60_000)

    assert prover.prove_in_turn() == 0
    assert runs == []
    assert run_of(drop).asked_at is not None


def test_beat_has_the_books_news_checked_and_now_and_then_all_of_them(drop):
    def wished() -> set[Any]:
        tasks.check_books()
        found = set(ProofRun.objects.filter(asked_at__isnull=False).values_list("subject_id", flat=True))
        tasks.fulfil_proof_wishes()
        return found

    assert wished() == {BOOKS_WHOLE}
    assert wished() == {BOOKS}
    ProofRun.objects.filter(subject_id=BOOKS_WHOLE).update(tried_at=clock.now() - LONG_AGO)
    assert wished() == {BOOKS_WHOLE}
    ProofRun.objects.filter(subject_id=BOOKS_WHOLE).update(holds=False)
    assert wished() == {BOOKS_WHOLE}
    assert ProofRun.objects.get(subject_id=BOOKS).since is not None
    assert {broken_gauge(name) for name in ("drift_in_total", "holds_end_once")} == {0}


def fails(*_: Any, **__: Any) -> None:
    raise AssertionError("a page ran a check")


@pytest.mark.parametrize("path", ["/proof/", "/proof/{sale_id}/", "/api/v1/sales/{sale_id}/proof"])
def test_nothing_that_is_looked_at_runs_a_check(drop, monkeypatch, path):
    with monkeypatch.context() as patch:
        for name in ("prove_sale", "prove_books", "prove_books_since"):
            patch.setattr(proof, name, fails)
        statuses = {Client().get(path.format(sale_id=drop.sale_id)).status_code for _ in range(2)}

    assert statuses <= {200, 503}
