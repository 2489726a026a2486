"""`manage.py region_drill`: fans join a rally through two endpoints of the database, one is killed in the middle, and comes back.

Two relays before the one PostgreSQL stand in for the endpoints of two regions: two doors to one database, not two regions. Two web
processes serve the fans, each with another relay as its nearest. A fan's client asks again, with the same key, until it is
answered.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
from django.conf import settings
from django.db import connection

from core import clock
from core.ids import uuid7
from core.money import Money
from dsql.relay import Relay
from rallies import services
from rallies.pricing import PriceTier
from sales import minting, proof
from sales import services as sales
from sales.drafting import SaleDraft
from sales.models import Sale, SaleState
from sales.tokens import make_buy_token
from sellers import services as sellers
from sellers.models import Seller

HANDLE = "region-drill"
TIERS = [PriceTier(1, 1_000), PriceTier(100, 800), PriceTier(1_000, 520)]
CLIENTS_PER_REGION = 6
ASK_AGAIN_S = 0.02
REQUEST_TIMEOUT_S = 10.0
SERVER_READY_S = 30.0
WINDOW_MAX_S = 5.0


@dataclass
class Report:
    """What the drill saw. `counts` are the same sum, read through each endpoint at the same moment."""

    fans: int
    acknowledged: int = 0
    lost: int = 0  # acknowledged, and not in the database
    doubled: int = 0  # fans in it more than once, or counted more often than they are in it
    errors: Counter[str] = field(default_factory=Counter)
    window_s: float = 0.0  # from the kill to the last answer that was an error because of it
    longest_wait_s: float = 0.0  # of a fan, from the first try to the answer
    counts: dict[str, int] = field(default_factory=dict)
    counts_apart_ms: float = 0.0  # how far apart in time the two reads were begun
    broken_checks: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return (
            self.acknowledged == self.fans
            and self.lost == self.doubled == 0
            and self.window_s <= WINDOW_MAX_S
            and set(self.counts.values()) == {self.fans}
            and not self.broken_checks
        )


def run(*, fans: int, seconds: float, say: Callable[[str], None]) -> Report:
    """Have `fans` join spread over about `seconds`; the first relay is down for the middle third of it."""
    with Relay(_database_address()) as first, Relay(_database_address()) as second:
        relays = [first, second]
        rally_id, seller_id = _open_rally()
        tokens = _mint(fans, rally_id)
        with contextlib.ExitStack() as stack:
            ports = [stack.enter_context(_web_process(slot, relays)) for slot in range(2)]
            drill = _Drill(rally_id, tokens, ports, seconds)
            say(f"{fans} fans join through {first.address} and {second.address}.")
            report = drill.play(first, say)
        _read_counts(report, rally_id, relays)
    _audit(report, rally_id, drill.acknowledged)
    _settle(report, rally_id, seller_id)
    return report


class _Drill:
    """The fans' clients, and the one who pulls the plug."""

    def __init__(
        self, rally_id: UUID, tokens: Sequence[tuple[UUID, str]], ports: Sequence[int], seconds: float
    ) -> None:
        self.rally_id = rally_id
        self.tokens = tokens
        self.ports = ports
        self.seconds = seconds
        self.report = Report(fans=len(tokens))
        self.acknowledged: list[UUID] = []
        self.began_at = 0.0
        self.killed_at: float | None = None
        self.lock = threading.Lock()

    def play(self, victim: Relay, say: Callable[[str], None]) -> Report:
        self.began_at = time.monotonic()
        count = CLIENTS_PER_REGION * len(self.ports)
        threads = [threading.Thread(target=self._client, args=[number, count]) for number in range(count)]
        for thread in threads:
            thread.start()
        time.sleep(self.seconds / 3)
        self.killed_at = time.monotonic()
        victim.stop()
        say(f"After {self.killed_at - self.began_at:.1f} s {victim.address} is killed.")
        time.sleep(self.seconds / 3)
        victim.heal()
        say(f"After {time.monotonic() - self.began_at:.1f} s it is back.")
        for thread in threads:
            thread.join()
        self.report.seconds = time.monotonic() - self.began_at
        self.report.acknowledged = len(self.acknowledged)
        return self.report

    def _client(self, number: int, count: int) -> None:
        """Every `count`-th fan, at their times, at one of the two web processes."""
        port = self.ports[number % len(self.ports)]
        web = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_TIMEOUT_S)
        for place in range(number, len(self.tokens), count):
            due = self.began_at + self.seconds * place / len(self.tokens)
            time.sleep(max(0.0, due - time.monotonic()))
            self._join(web, *self.tokens[place])
        web.close()

    def _join(self, web: http.client.HTTPConnection, fan_id: UUID, token: str) -> None:
        first_try_at = time.monotonic()
        headers = {"X-Buy-Token": token, "Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
        deadline = first_try_at + self.seconds + SERVER_READY_S
        while time.monotonic() < deadline:
            problem = _ask(web, f"/api/v1/rallies/{self.rally_id}/joins", headers)
            now = time.monotonic()
            with self.lock:
                if problem is None:
                    self.acknowledged.append(fan_id)
                    self.report.longest_wait_s = max(self.report.longest_wait_s, now - first_try_at)
                    return
                self.report.errors[problem] += 1
                if self.killed_at is not None:
                    self.report.window_s = max(self.report.window_s, now - self.killed_at)
            time.sleep(ASK_AGAIN_S)


def _ask(web: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> str | None:
    """One try to join; None when it was acknowledged, else what went wrong."""
    try:
        web.request("POST", path, body=b'{"quantity": 1}', headers=headers)
        answer = web.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        web.close()
        return type(error).__name__
    if answer.status in (200, 201):
        return None
    with contextlib.suppress(ValueError, KeyError):
        return f"{answer.status} {json.loads(body)['code']}"
    return str(answer.status)


# The stage


def _database_address() -> str:
    """What a relay dials, in its words."""
    database = settings.DATABASES["default"]
    host, port = database.get("HOST") or "127.0.0.1", database.get("PORT") or "5432"
    return f"unix:{host}/.s.PGSQL.{port}" if str(host).startswith("/") else f"{host}:{port}"


def _open_rally() -> tuple[UUID, UUID]:
    now = clock.now()
    seller = Seller.objects.filter(handle=HANDLE).first()
    if seller is None:
        (owner,) = next(minting.mint_fans(count=1, funds=Money(100, "EUR"), now=now))
        seller = sellers.open_shop(seller_id=uuid7(), owner_id=owner, handle=HANDLE, name="Region drill")
    draft = SaleDraft(
        sale_id=uuid7(), seller_id=seller.id, title="Region drill", story="", currency="EUR", opens_at=now,
        closes_at=now + dt.timedelta(hours=1), now=now,
    )  # fmt: skip
    services.open_rally(draft, tiers=TIERS)
    return draft.sale_id, seller.id


def _mint(count: int, rally_id: UUID) -> list[tuple[UUID, str]]:
    """Fans with money and a token to join."""
    now = clock.now()
    return [
        (fan_id, make_buy_token(fan_id=fan_id, sale_id=rally_id, is_verified=True, now_s=now.timestamp()))
        for chunk in minting.mint_fans(count=count, funds=Money(2_000, "EUR"), now=now)
        for fan_id in chunk
    ]


@contextlib.contextmanager
def _web_process(slot: int, relays: Sequence[Relay]) -> Iterator[int]:
    """A web process that calls relay number `slot` its nearest; its port. Ready when entered, stopped afterwards."""
    port = _free_port()
    environment = {**os.environ, "DATABASE_ENDPOINTS": ",".join(relay.address for relay in relays)}
    if name := connection.settings_dict.get("NAME"):
        environment["DATABASE_URL"] = _url_of(str(name))
    command = [sys.executable, "-m", "dropfront.server", "--port", str(port), "--slot", str(slot)]
    process = subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR)
    try:
        deadline = time.monotonic() + SERVER_READY_S
        while not _is_ready(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("A web process of the drill did not start.")
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def _url_of(name: str) -> str:
    """The URL of the database we use ourselves: in a test it is another than the environment's."""
    given = connection.settings_dict
    user = given.get("USER") or ""
    password = f":{given['PASSWORD']}" if given.get("PASSWORD") else ""
    return f"postgres://{user}{password}@/{name}?host={given.get('HOST')}&port={given.get('PORT')}"


def _is_ready(port: int) -> bool:
    web = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        web.request("GET", "/readyz", headers={"Host": "localhost"})
        return web.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        web.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# The verdict


def _read_counts(report: Report, rally_id: UUID, relays: Sequence[Relay]) -> None:
    """The same count through both endpoints, begun at the same moment."""
    begun: dict[str, float] = {}
    start = threading.Barrier(len(relays))

    def read(relay: Relay) -> None:
        host, _, port = relay.address.rpartition(":")
        given = connection.settings_dict
        login = {"host": host, "port": port, "dbname": given["NAME"], "user": given.get("USER") or None}
        with psycopg.connect(**login, password=given.get("PASSWORD") or None, sslmode="disable") as door:
            start.wait()
            begun[relay.address] = time.monotonic()
            row: Any = door.execute(
                "SELECT sum(joiners) FROM rallies_bucket WHERE rally_id = %s", [rally_id]
            ).fetchone()
            report.counts[relay.address] = int(row[0])

    threads = [threading.Thread(target=read, args=[relay]) for relay in relays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.counts_apart_ms = (max(begun.values()) - min(begun.values())) * 1000


def _audit(report: Report, rally_id: UUID, acknowledged: Sequence[UUID]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT fan_id FROM rallies_join WHERE rally_id = %s AND state = 'joined'", [rally_id])
        stored = Counter(fan_id for (fan_id,) in cursor.fetchall())
        cursor.execute("SELECT sum(joiners) FROM rallies_bucket WHERE rally_id = %s", [rally_id])
        (counted,) = cursor.fetchone()
    report.lost = sum(fan_id not in stored for fan_id in acknowledged)
    report.doubled = sum(count - 1 for count in stored.values()) + max(0, counted - len(stored))


def _settle(report: Report, rally_id: UUID, seller_id: UUID) -> None:
    """The drill's rally ends as any: everybody pays one price, and its checks hold."""
    sales.close_sale_early(seller_id=seller_id, sale_id=rally_id, now=clock.now())
    while Sale.objects.filter(id=rally_id).exclude(state=SaleState.SETTLED).exists():
        sales.settle_step(sale_id=rally_id, now=clock.now())
    found = proof.prove_sale(Sale.objects.get(id=rally_id)).findings
    report.broken_checks = [finding.check.name for finding in found if not finding.holds]
