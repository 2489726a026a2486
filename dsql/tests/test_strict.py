"""Strict mode against a real PostgreSQL: sequences of statements, limits and conflicts."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import psycopg
import pytest
from django.db import NotSupportedError, OperationalError, ProgrammingError, connection, transaction
from django.db.utils import DataError, InternalError

from dsql.strict.session import Caps
from dsql.tests.strict import answer

SEQUENCES = [
    (
        "an error aborts the block",
        [("BEGIN", "BEGIN"), ("TRUNCATE x_t", "0A000"), ("SELECT 1", "25P02"), ("COMMIT", "ROLLBACK")],
    ),
    ("autocommit goes on after an error", [("TRUNCATE x_t", "0A000"), ("SELECT 1", "SELECT 1")]),
    ("SET TRANSACTION aborts", [("BEGIN", "BEGIN"), ("SET TRANSACTION READ ONLY", "0A000"), ("SELECT 1", "25P02")]),
    (
        "one ddl a block",
        [("BEGIN", "BEGIN"), ("CREATE TABLE x_1(id int)", "CREATE TABLE"), ("CREATE TABLE x_2(id int)", "0A000")],
    ),
    (
        "ddl then dml",
        [("BEGIN", "BEGIN"), ("CREATE TABLE x_1(id int)", "CREATE TABLE"), ("INSERT INTO x_t VALUES (2)", "0A000")],
    ),
    (
        "dml then ddl",
        [("BEGIN", "BEGIN"), ("INSERT INTO x_t VALUES (2)", "INSERT 0 1"), ("CREATE TABLE x_1(id int)", "0A000")],
    ),
    (
        "ddl then select",
        [
            ("BEGIN", "BEGIN"),
            ("CREATE TABLE x_1(id int)", "CREATE TABLE"),
            ("SELECT 1", "SELECT 1"),
            ("COMMIT", "COMMIT"),
        ],
    ),
    (
        "two ddl in two transactions",
        [("CREATE TABLE x_1(id int)", "CREATE TABLE"), ("CREATE TABLE x_2(id int)", "CREATE TABLE")],
    ),
    (
        "grants are ddl",
        [("BEGIN", "BEGIN"), ("GRANT SELECT ON x_t TO public", "GRANT"), ("REVOKE SELECT ON x_t FROM public", "0A000")],
    ),
    ("read only", [("BEGIN READ ONLY", "BEGIN"), ("SELECT 1", "SELECT 1"), ("COMMIT", "COMMIT")]),
    ("3,000 rows", [("INSERT INTO x_big SELECT generate_series(1, 3000)", "INSERT 0 3000")]),
    ("3,001 rows", [("INSERT INTO x_big SELECT generate_series(1, 3001)", "54000")]),
    (
        "3,001 rows in two statements",
        [
            ("BEGIN", "BEGIN"),
            ("INSERT INTO x_big SELECT generate_series(1, 3000)", "INSERT 0 3000"),
            ("UPDATE x_t SET v = 'b'", "54000"),
            ("SELECT 1", "25P02"),
        ],
    ),
    (
        "rows written inside a WITH count",
        [
            (
                "WITH w AS (INSERT INTO x_big SELECT generate_series(1, 3001) RETURNING id) SELECT count(*) FROM w",
                "54000",
            )
        ],
    ),
    (
        "a WITH below the limit",
        [
            (
                "WITH w AS (INSERT INTO x_big SELECT generate_series(1, 9) RETURNING id) SELECT count(*) FROM w",
                "SELECT 1",
            )
        ],
    ),
    ("settings", [("SET search_path TO public", "SET"), ("SET lock_timeout = 1", "0A000"), ("RESET ALL", "RESET")]),
    ("an aborted insert", [("BEGIN", "BEGIN"), ("INSERT INTO x_t VALUES (1)", "23505"), ("SELECT 1", "25P02")]),
    ("a qualified index name", [("CREATE INDEX ASYNC public.x_i ON x_t(v)", "42601")]),
    ("a select of the procedure", [("SELECT sys.wait_for_job('x')", "42809")]),
    ("a malformed job", [("CALL sys.wait_for_job('no-such-job')", "22P02")]),
    ("locale", [("SHOW lc_collate", "42704")]),
    (
        "row locks outside a block",
        [("SELECT 1 FROM x_t FOR UPDATE", "SELECT 1"), ("SELECT 1 FROM x_t FOR KEY SHARE", "SELECT 1")],
    ),
]


@pytest.mark.parametrize(("name", "steps"), SEQUENCES, ids=[name for name, _ in SEQUENCES])
def test_sequence(raw: Any, name: str, steps: list[tuple[str, str]]) -> None:
    assert [(sql, answer(raw, sql)) for sql, _ in steps] == steps


def test_refused_rows_leave_nothing(raw: Any) -> None:
    answer(raw, "INSERT INTO x_big SELECT generate_series(1, 3001)")

    assert raw.execute("SELECT count(*) FROM x_big").fetchone() == (0,)


def test_executemany_counts_every_row(raw: Any) -> None:
    with pytest.raises(psycopg.errors.ProgramLimitExceeded), raw.cursor() as cursor:
        cursor.executemany("INSERT INTO x_big VALUES (%s)", [(n,) for n in range(3001)])


def test_a_transaction_that_sent_too_much_cannot_commit(raw: Any) -> None:
    raw.session.caps = Caps(size_bytes=1000)

    def insert() -> None:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO x_t VALUES (2, %s)", ["x" * 1001])

    with pytest.raises(OperationalError, match="transaction size limit 10mb exceeded"):
        transaction.atomic(insert)()

    assert raw.execute("SELECT count(*) FROM x_t").fetchone() == (1,)


def test_a_transaction_that_is_too_old_is_refused(raw: Any) -> None:
    raw.session.caps = Caps(age_s=0.01)
    raw.execute("BEGIN")
    raw.execute("SELECT 1")
    time.sleep(0.02)

    with pytest.raises(psycopg.errors.ProgramLimitExceeded, match=r"transaction age limit of 0\.01s exceeded"):
        raw.execute("SELECT 1")


def test_a_transaction_that_is_too_old_cannot_commit(raw: Any) -> None:
    raw.session.caps = Caps(age_s=0.05)
    assert [answer(raw, sql) for sql in ("BEGIN", "INSERT INTO x_t VALUES (2, 'b')")] == ["BEGIN", "INSERT 0 1"]
    time.sleep(0.06)

    assert [answer(raw, sql) for sql in ("COMMIT", "SELECT 1", "ROLLBACK")] == ["54000", "SELECT 1", "ROLLBACK"]
    assert raw.execute("SELECT count(*) FROM x_t").fetchone() == (1,)


def test_an_old_transaction_may_roll_back_and_the_next_is_young(raw: Any) -> None:
    raw.session.caps = Caps(age_s=0.05)
    raw.execute("BEGIN")
    time.sleep(0.06)

    steps = ["SELECT 1", "SELECT 1", "ROLLBACK", "BEGIN", "SELECT 1", "COMMIT"]
    assert [answer(raw, sql) for sql in steps] == ["54000", "25P02", "ROLLBACK", "BEGIN", "SELECT 1", "COMMIT"]


@pytest.mark.parametrize(("children", "expected"), [(2999, "DELETE 1"), (3000, "54000")])
def test_rows_deleted_by_a_cascade_count(raw: Any, children: int, expected: str) -> None:
    raw.execute("CREATE TABLE x_child (id int PRIMARY KEY, t int REFERENCES x_t ON DELETE CASCADE)")
    for first in range(0, children, 1000):
        raw.execute(
            f"INSERT INTO x_child SELECT n, 1 FROM generate_series({first}, {min(first + 1000, children) - 1}) n"
        )

    assert answer(raw, "DELETE FROM x_t") == expected


def test_rows_updated_by_a_cascade_count(raw: Any) -> None:
    raw.session.caps = Caps(rows=3)
    raw.execute("CREATE TABLE x_child (id int PRIMARY KEY, t int REFERENCES x_t ON UPDATE CASCADE)")
    raw.execute("INSERT INTO x_child VALUES (1, 1), (2, 1), (3, 1)")

    assert answer(raw, "UPDATE x_t SET id = 7") == "54000"
    assert answer(raw, "BEGIN; UPDATE x_t SET v = 'b'; COMMIT") == "BEGIN"
    assert answer(raw, "BEGIN; UPDATE x_t SET id = 8; COMMIT") == "54000"
    raw.execute("ROLLBACK")
    assert answer(raw, "UPDATE x_t SET v = 'b'; UPDATE x_t SET v = 'c'") == "UPDATE 1"
    assert answer(raw, "UPDATE x_t SET v = 'b'; UPDATE x_t SET id = 8") == "54000"


def test_rows_that_are_only_locked_do_not_count(raw: Any) -> None:
    raw.session.caps = Caps(rows=2)
    raw.execute("INSERT INTO x_t VALUES (2, 'b')")
    raw.execute("BEGIN")

    locked = "SELECT id FROM x_t FOR UPDATE"
    assert answer(raw, f"WITH w AS (INSERT INTO x_big {locked} RETURNING id) SELECT * FROM w") == "SELECT 2"
    assert answer(raw, locked) == "SELECT 2"
    assert answer(raw, "INSERT INTO x_big VALUES (3)") == "54000"


def test_a_psycopg_transaction_is_capped_as_it_ends(raw: Any) -> None:
    raw.session.caps = Caps(size_bytes=1000)

    with pytest.raises(psycopg.errors.ProgramLimitExceeded), raw.transaction():
        raw.execute("INSERT INTO x_t VALUES (2, %s)", ["x" * 1001])

    assert raw.execute("SELECT count(*) FROM x_t").fetchone() == (1,)


def test_a_refusal_is_a_django_error_of_the_right_kind(raw: Any) -> None:
    with connection.cursor() as cursor, pytest.raises(NotSupportedError, match="unsupported statement: Truncate"):
        cursor.execute("TRUNCATE x_t")
    with connection.cursor() as cursor, pytest.raises(ProgrammingError, match='type "serial" does not exist'):
        cursor.execute("CREATE TABLE x_1 (id serial)")


def test_transactions_are_repeatable_read(raw: Any, second: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("repeatable read",)
        cursor.execute("SELECT count(*) FROM x_t")
        second.execute("INSERT INTO x_t VALUES (2, 'b')")
        cursor.execute("SELECT count(*) FROM x_t")
        assert cursor.fetchone() == (1,)
    assert answer(second, "SHOW transaction_isolation") == "SHOW"
    assert second.execute("SHOW transaction_isolation").fetchone() == ("repeatable read",)


def test_a_swallowed_error_cannot_be_committed(raw: Any) -> None:
    def swallow() -> None:
        with connection.cursor() as cursor, contextlib.suppress(DataError):
            cursor.execute("SELECT 1 / 0")

    with pytest.raises(InternalError, match="cannot be committed"):
        transaction.atomic(swallow)()


def test_copy_from_is_refused(raw: Any) -> None:
    with raw.cursor() as cursor, pytest.raises(psycopg.errors.FeatureNotSupported), cursor.copy("COPY x_t FROM STDIN"):
        pass
    with raw.cursor() as cursor, cursor.copy("COPY x_t TO STDOUT") as copy:
        assert [bytes(row) for row in copy] == [b"1\ta\n"]
