"""`bench strict`: what strict mode adds to a statement, beside plain Django and plain psycopg on the same server.

Every figure is the time of one statement inside an open transaction, seen by the caller, with the statement's text met
before. The contenders take turns, a batch of statements each, so that a slow moment of the machine hits all of them.
What strict mode adds is the difference to plain Django within the same round.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
import psycopg
from django.conf import settings

from bench.figures import Spread, table
from bench.servers import scratch_folder
from embedded.servers import running_servers

ROWS = 1_000
BATCH = 50  # statements, in one transaction that is rolled back
BATCHES = 20  # of each contender in a round
WARM_UP_BATCHES = 2
MISSES = 200
CONFLICTS = 20
AIM_US = 30.0

FLOOR, PLAIN, STRICT, AT_STATEMENT = "psycopg", "Django", "strict", "strict, conflicts at the statement"


@dataclass(frozen=True)
class Case:
    """One statement; `params` makes its parameters from a running number."""

    name: str
    sql: str
    params: Callable[[int], list[Any]]
    reads: bool = False
    has_aim: bool = True


def key(n: int) -> int:
    return n % ROWS + 1


CASES = [
    Case("SELECT by key", "SELECT id, v FROM item WHERE id = %s", lambda n: [key(n)], reads=True),
    Case("INSERT", "INSERT INTO item (id, v) VALUES (%s, %s)", lambda n: [ROWS + 1 + n, "new"]),
    Case("UPDATE by key", "UPDATE item SET v = %s WHERE id = %s", lambda n: ["changed", key(n)]),
    Case("DELETE by key", "DELETE FROM item WHERE id = %s", lambda n: [key(n)]),
    Case(
        "three writes in one text",
        "UPDATE item SET v = %s WHERE id = %s;INSERT INTO item (id, v) VALUES (%s, %s);DELETE FROM item WHERE id = %s",
        lambda n: ["changed", key(n), ROWS + 1 + n, "new", key(n + 500)],
    ),
    # Strict mode writes each locked row as well: the cost of a second statement, not of looking at this one.
    Case(
        "SELECT FOR UPDATE",
        "SELECT id, v FROM item WHERE id = %s FOR UPDATE",
        lambda n: [key(n)],
        reads=True,
        has_aim=False,
    ),
]


@dataclass
class Findings:
    """Microseconds a statement: for each case and contender, the median of each round."""

    us: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    miss_us: dict[str, list[float]] = field(default_factory=dict)
    hit_us: list[float] = field(default_factory=list)
    conflict_ms: list[float] = field(default_factory=list)

    def added(self, case: Case, contender: str = STRICT) -> Spread:
        figures = self.us[case.name]
        return Spread.of([mine - plain for mine, plain in zip(figures[contender], figures[PLAIN], strict=True)])

    def ratio(self, case: Case) -> Spread:
        figures = self.us[case.name]
        return Spread.of([mine / plain for mine, plain in zip(figures[STRICT], figures[PLAIN], strict=True)])

    def of(self, case: Case, contender: str) -> Spread:
        return Spread.of(self.us[case.name][contender])


def run(rounds: int = 5, data: Path | None = None) -> Findings:
    """Measure on a PostgreSQL of its own. Raises StartError when that cannot be started."""
    with scratch_folder(data) as folder, running_servers(folder) as servers:
        assert servers.postgres is not None
        set_up_django(servers.postgres.url)
        make_rows(servers.postgres.url)
        with contenders(servers.postgres.url) as executors:
            findings = Findings()
            for number in range(1, rounds + 1):
                say(f"round {number} of {rounds}")
                measure_round(executors, findings, servers.postgres.url)
            measure_judging(findings)
            measure_conflicts(findings, servers.postgres.url)
        return findings


# -- one round

Execute = Callable[[Case, int], float]  # runs a batch from a number on; seconds


def measure_round(executors: dict[str, Execute], findings: Findings, url: str) -> None:
    for case in CASES:
        taken: dict[str, list[float]] = {name: [] for name in executors}
        for batch in range(WARM_UP_BATCHES + BATCHES):
            for name, execute in executors.items():
                elapsed_s = execute(case, batch * BATCH)
                if batch >= WARM_UP_BATCHES:
                    taken[name].append(elapsed_s / BATCH * 1e6)
        for name, values in taken.items():
            findings.us.setdefault(case.name, {}).setdefault(name, []).append(statistics.median(values))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM item")  # what was rolled back must not slow the next case down


def run_batch(cursor: Any, case: Case, first: int) -> float:
    begun = time.perf_counter()
    for n in range(first, first + BATCH):
        cursor.execute(case.sql, case.params(n))
        if case.reads:
            cursor.fetchall()
    return time.perf_counter() - begun


@contextmanager
def contenders(url: str) -> Iterator[dict[str, Execute]]:
    from django.db import connections, transaction

    def of_alias(alias: str) -> Execute:
        def execute(case: Case, first: int) -> float:
            with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
                cursor.execute("SELECT 1")  # BEGIN is sent with the first statement
                elapsed_s = run_batch(cursor, case, first)
                transaction.set_rollback(True, using=alias)
            return elapsed_s

        return execute

    with psycopg.connect(url) as floor:
        floor.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

        def execute_plainly(case: Case, first: int) -> float:
            with psycopg.ClientCursor(floor) as cursor:
                cursor.execute("SELECT 1")
                elapsed_s = run_batch(cursor, case, first)
            floor.rollback()
            return elapsed_s

        yield {
            FLOOR: execute_plainly,
            PLAIN: of_alias("plain"),
            STRICT: of_alias("default"),
            AT_STATEMENT: of_alias("at_statement"),
        }
    connections.close_all()


# -- beside the statements


def measure_judging(findings: Findings) -> None:
    """What a text costs that was never met, and one that was: parsing and judging alone."""
    from dsql.strict.rules import judge

    for case in CASES:
        texts = [f"{case.sql} /* {n} */" for n in range(MISSES)]
        findings.miss_us[case.name] = [timed_us(partial(judge, text, True)) for text in texts]
        findings.hit_us += [timed_us(partial(judge, text, True)) for text in texts]


def measure_conflicts(findings: Findings, url: str) -> None:
    """An UPDATE whose row another transaction has changed and committed: it goes on with a copy of its table."""
    from django.db import DatabaseError, connection, transaction

    for n in range(CONFLICTS):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM item")
                with psycopg.connect(url, autocommit=True) as other:
                    other.execute("UPDATE item SET v = %s WHERE id = 1", [f"theirs {n}"])
                begun = time.perf_counter()
                cursor.execute(CASES[2].sql, ["ours", 1])
                findings.conflict_ms.append((time.perf_counter() - begun) * 1e3)
        except DatabaseError as error:
            if "(OC000)" not in str(error):
                raise
        else:
            raise AssertionError("COMMIT did not fail")


def timed_us(what: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    what()
    return (time.perf_counter() - begun) * 1e6


# -- setting up


def set_up_django(url: str) -> None:
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    place = {
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username or "",
        "PASSWORD": parts.password or "",
        "HOST": query.get("host") or parts.hostname or "",
        "PORT": query.get("port") or parts.port or "",
    }
    repeatable_read = {"isolation_level": psycopg.IsolationLevel.REPEATABLE_READ}
    settings.configure(
        USE_TZ=True,
        DATABASES={
            "default": {"ENGINE": "dsql", **place},
            "at_statement": {"ENGINE": "dsql", **place, "OPTIONS": {"conflicts_at": "statement"}},
            "plain": {"ENGINE": "django.db.backends.postgresql", **place, "OPTIONS": repeatable_read},
        },
    )
    django.setup()


def make_rows(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE item (id int PRIMARY KEY, v text)")
        connection.execute("INSERT INTO item SELECT n, 'first' FROM generate_series(1, %s) AS n", [ROWS])


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# -- printing


def as_text(findings: Findings) -> str:
    rows = [
        ["us a statement", FLOOR, PLAIN, STRICT, "strict adds", "ratio", f"aim {AIM_US:.0f}", "at the statement adds"]
    ]
    for case in CASES:
        added = findings.added(case)
        rows.append(
            [
                case.name,
                findings.of(case, FLOOR).text(1),
                findings.of(case, PLAIN).text(1),
                findings.of(case, STRICT).text(1),
                added.text(1),
                f"{findings.ratio(case).median:.2f}",
                ("yes" if added.median <= AIM_US else "NO") if case.has_aim else "",
                findings.added(case, AT_STATEMENT).text(1),
            ]
        )
    misses = [[f"judging a text, {MISSES} of each", "us"], ["met before", Spread.of(findings.hit_us).text(1)]]
    misses += [[f"never met: {name}", Spread.of(values).text(0)] for name, values in findings.miss_us.items()]
    conflict = Spread.of(findings.conflict_ms).text(1)
    return "\n\n".join(
        [
            table(rows),
            table(misses),
            f"An UPDATE that conflicts and goes on with a copy of its {ROWS:,} rows: {conflict} ms.",
            "Median (lowest to highest). A figure of the first table is the median of a round's batches.",
        ]
    )


def as_json(findings: Findings) -> str:
    cases = {
        case.name: {
            "us": {name: findings.of(case, name).as_json() for name in findings.us[case.name]},
            "strict_adds_us": findings.added(case).as_json(),
            "ratio": findings.ratio(case).as_json(),
            "miss_us": Spread.of(findings.miss_us[case.name]).as_json(),
        }
        for case in CASES
    }
    rest = {"hit_us": Spread.of(findings.hit_us).as_json(), "conflict_ms": Spread.of(findings.conflict_ms).as_json()}
    return json.dumps({"cases": cases, **rest})
