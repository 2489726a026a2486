"""Answers of strict mode that PostgreSQL would give in other words: tags, codes, and several statements in one text."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from dsql.tests.strict import answer


def tags(raw: Any, sql: str, params: Any = None) -> list[str]:
    """What each statement of one text is answered."""
    cursor = raw.execute(sql, params)
    found = [cursor.statusmessage]
    while cursor.nextset():
        found.append(cursor.statusmessage)
    return found


def test_an_asynchronous_statement_answers_its_own_tag_and_its_job(raw: Any) -> None:
    raw.execute("ALTER TABLE x_t ADD CONSTRAINT x_c CHECK (id > 0) NOT VALID")

    cursor = raw.execute("CREATE INDEX ASYNC x_i ON x_t (v)")
    assert (cursor.statusmessage, cursor.rowcount, len(cursor.fetchall())) == ("CREATE INDEX", 1, 1)
    assert answer(raw, "ALTER TABLE ASYNC x_t VALIDATE CONSTRAINT x_c") == "ALTER TABLE"
    cursor = raw.execute("INSERT INTO x_t VALUES (9, 'i')")
    assert cursor.statusmessage == "INSERT 0 1"
    assert cursor.execute("SELECT 1").statusmessage == "SELECT 1"


def test_a_failed_unique_build_answers_its_own_tag_too(raw: Any) -> None:
    raw.execute("INSERT INTO x_t VALUES (2, 'a')")

    assert answer(raw, "CREATE UNIQUE INDEX ASYNC x_i ON x_t (v)") == "CREATE INDEX"


@pytest.mark.parametrize("action", ["RESTRICT", "NO ACTION"])
def test_a_parent_that_is_still_needed_is_a_foreign_key_violation(raw: Any, action: str) -> None:
    raw.execute(f"CREATE TABLE x_c (id int PRIMARY KEY, t int REFERENCES x_t ON DELETE {action} ON UPDATE {action})")
    raw.execute("INSERT INTO x_c VALUES (1, 1)")

    for sql in ("DELETE FROM x_t WHERE id = 1", "UPDATE x_t SET id = 2 WHERE id = 1"):
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match="violates foreign key constraint") as caught:
            raw.execute(sql)
        assert caught.value.sqlstate == "23503"


def test_a_transaction_may_be_one_text(raw: Any) -> None:
    insert = "BEGIN; INSERT INTO x_t VALUES (2, 'a;b'); SELECT v FROM x_t WHERE id = 2; COMMIT"
    assert tags(raw, insert) == ["BEGIN", "INSERT 0 1", "SELECT 1", "COMMIT"]
    assert tags(raw, "START TRANSACTION; CREATE INDEX ASYNC x_i ON x_t (v); COMMIT;") == [
        "START TRANSACTION",
        "CREATE INDEX",
        "COMMIT",
    ]
    assert tags(raw, "BEGIN; INSERT INTO x_t VALUES (%s, %s); ROLLBACK", [3, "c"]) == [
        "BEGIN",
        "INSERT 0 1",
        "ROLLBACK",
    ]
    assert raw.execute("SELECT id FROM x_t ORDER BY id").fetchall() == [(1,), (2,)]
    assert raw.execute("SELECT count(*) FROM pg_index WHERE indexrelid = 'x_i'::regclass").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("BEGIN; INSERT INTO x_t VALUES (2); CREATE TABLE x_1 (id int); COMMIT", "0A000"),
        ("BEGIN; CREATE TABLE x_1 (id int); CREATE INDEX ASYNC ON x_t (v); COMMIT", "0A000"),
        ("BEGIN; INSERT INTO x_t VALUES (1, 'twice'); COMMIT", "23505"),
        ("BEGIN; INSERT INTO x_big SELECT generate_series(1, 3001); COMMIT", "54000"),
        ("BEGIN; SAVEPOINT s; COMMIT", "0A000"),
    ],
)
def test_a_text_stops_at_the_statement_that_is_refused(raw: Any, sql: str, sqlstate: str) -> None:
    assert answer(raw, sql) == sqlstate
    assert answer(raw, "SELECT 1") == "25P02"
    assert answer(raw, "ROLLBACK") == "ROLLBACK"
    assert raw.execute("SELECT count(*) FROM x_t").fetchall() == [(1,)]


@pytest.mark.parametrize("sql", ["INSERT INTO x_t VALUES (2); COMMIT", "SELECT 1; BEGIN; SELECT 1"])
def test_other_texts_with_transactions_in_them_are_not_judged(raw: Any, sql: str) -> None:
    assert answer(raw, sql) == "0A000"


def test_a_text_cannot_be_split_where_each_statement_takes_the_parameters(raw: Any) -> None:
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="not judged"):
        raw.cursor().executemany("BEGIN; INSERT INTO x_t VALUES (%s)", [[2], [3]])


def test_a_transaction_of_the_driver_within_another_is_refused_as_the_savepoint_it_is(raw: Any) -> None:
    def nested() -> None:
        with raw.transaction():
            raw.execute("INSERT INTO x_t VALUES (2)")
            with raw.transaction():
                raw.execute("INSERT INTO x_t VALUES (3)")

    def named() -> None:
        with raw.transaction("a_name"):
            raw.execute("INSERT INTO x_t VALUES (4)")

    for run in (nested, named):
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="unsupported transaction statement: SAVEPOINT"):
            run()
    assert raw.execute("SELECT id FROM x_t").fetchall() == [(1,)]
