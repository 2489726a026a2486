"""Strict mode against a real PostgreSQL: sequences of statements, limits and conflicts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import NotSupportedError, OperationalError, ProgrammingError, connection, transaction
from django.db.utils import DataError, InternalError

from dsql.strict.session import Caps


@pytest.fixture
def raw(transactional_db: None) -> Iterator[Any]:
    """A strict connection in autocommit, with the tables t(id, v) and big(id)."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE x_t (id int PRIMARY KEY, v text)")
        cursor.execute("CREATE TABLE x_big (id int)")
        cursor.execute("INSERT INTO x_t VALUES (1, 'a')")
    yield connection.connection
    if connection.connection is not None:
        connection.connection.rollback()
        connection.connection.session.caps = Caps()
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'x\\_%'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'DROP TABLE "{table}" CASCADE')


@pytest.fixture
def second(raw: Any) -> Iterator[Any]:
    """Another strict connection, in autocommit."""
    with other_connection() as made:
        yield made


def other_connection() -> Any:
    params = connection.get_connection_params()
    return connection._connection_class.connect(**params, autocommit=True)


def answer(raw: Any, sql: str) -> str:
    """The SQLSTATE of a statement; its tag when it was admitted."""
    try:
        return raw.execute(sql).statusmessage
    except psycopg.Error as error:
        return error.sqlstate or repr(error)


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


def test_an_index_build_answers_a_job_that_can_be_waited_for(raw: Any) -> None:
    (job_id,) = raw.execute("CREATE INDEX ASYNC x_i ON x_t (v)").fetchone()
    raw.execute("CALL sys.wait_for_job(%s)", [job_id])

    assert len(job_id) == 26
    row = raw.execute("SELECT status, job_type, object_name FROM sys.jobs WHERE job_id = %s", [job_id]).fetchone()
    assert row == ("completed", "INDEX_BUILD", "x_i")


def test_each_build_has_its_own_job(raw: Any) -> None:
    build = "CREATE INDEX ASYNC ON x_t (v)"

    assert raw.execute(build).fetchone() != raw.execute(build).fetchone()


def test_a_build_inside_a_block(raw: Any) -> None:
    raw.execute("BEGIN")
    assert raw.execute("CREATE INDEX ASYNC x_i ON x_t (v)").fetchone() is not None
    raw.execute("COMMIT")


def test_a_unique_build_over_duplicates_fails(raw: Any) -> None:
    raw.execute("INSERT INTO x_t VALUES (2, 'a')")

    assert answer(raw, "CREATE UNIQUE INDEX ASYNC x_i ON x_t (v)") == "23505"


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


@pytest.mark.parametrize("first_ends", ["COMMIT", None], ids=["committed", "still open"])
def test_two_updates_of_one_row(raw: Any, second: Any, first_ends: str | None) -> None:
    second.execute("BEGIN")
    second.execute("SELECT * FROM x_t")
    raw.execute("BEGIN")
    raw.execute("UPDATE x_t SET v = 'first'")
    if first_ends:
        raw.execute(first_ends)

    with pytest.raises(psycopg.errors.SerializationFailure, match=r"\(OC000\)"):
        second.execute("UPDATE x_t SET v = 'second'")


def test_updates_of_different_rows_do_not_conflict(raw: Any, second: Any) -> None:
    raw.execute("INSERT INTO x_t VALUES (2, 'b')")
    for one, key in ((raw, 1), (second, 2)):
        one.execute("BEGIN")
        one.execute(f"UPDATE x_t SET v = 'c' WHERE id = {key}")
    assert (answer(raw, "COMMIT"), answer(second, "COMMIT")) == ("COMMIT", "COMMIT")


def test_write_skew_is_possible_as_on_dsql(raw: Any, second: Any) -> None:
    for one in (raw, second):
        one.execute("BEGIN")
        one.execute("SELECT * FROM x_t WHERE id = 1")
    raw.execute("INSERT INTO x_big VALUES (1)")
    second.execute("INSERT INTO x_big VALUES (2)")

    assert (answer(raw, "COMMIT"), answer(second, "COMMIT")) == ("COMMIT", "COMMIT")


GUARDS = [
    "SELECT * FROM x_t WHERE id = 1 FOR UPDATE",
    "SELECT v FROM x_t AS guard WHERE id IN (SELECT id FROM x_t) ORDER BY id LIMIT 1 FOR UPDATE OF guard",
    "SELECT b.id FROM x_big b JOIN x_t ON x_t.id = b.id FOR UPDATE",
    "SELECT (SELECT max(id) FROM x_big) FROM x_t FOR UPDATE",
]


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_row_locked_by_both_lets_one_commit(raw: Any, second: Any, guard: str) -> None:
    raw.execute("INSERT INTO x_big VALUES (1)")
    for one in (raw, second):
        one.execute("BEGIN")
        one.execute("SELECT 1 FROM x_t")
    raw.execute(guard)
    raw.execute("INSERT INTO x_big VALUES (2)")
    raw.execute("COMMIT")

    with pytest.raises(psycopg.errors.SerializationFailure, match=r"\(OC000\)"):
        second.execute(guard)


def test_a_guard_with_parameters(raw: Any, second: Any) -> None:
    guard = "SELECT %s::int, v FROM x_t WHERE id = %s AND v <> %s FOR UPDATE"
    for one in (raw, second):
        one.execute("BEGIN")
        one.execute("SELECT 1 FROM x_t")
    assert raw.execute(guard, [7, 1, "z"]).fetchall() == [(7, "a")]
    raw.execute("COMMIT")

    with pytest.raises(psycopg.errors.SerializationFailure):
        second.execute(guard, [7, 1, "z"])


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
