"""Asynchronous index builds and validations: their jobs, and what a build that failed or is not done leaves."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from dsql.tests.strict import answer


def start(raw: Any, sql: str) -> str:
    """Run an asynchronous statement; the id of its job."""
    (job_id,) = raw.execute(sql).fetchone()
    assert len(job_id) == 26
    return job_id


def job(raw: Any, job_id: str) -> Any:
    return raw.execute("SELECT status, details FROM sys.jobs WHERE job_id = %s", [job_id]).fetchone()


def is_valid(raw: Any, index: str = "x_i") -> bool | None:
    """None when there is no such index."""
    row = raw.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [index]).fetchone()
    return row and row[0]


def is_validated(raw: Any, constraint: str) -> bool:
    (row,) = raw.execute("SELECT convalidated FROM pg_constraint WHERE conname = %s", [constraint]).fetchall()
    return row[0]


# -- at once


def test_an_index_build_answers_a_job_that_can_be_waited_for(raw: Any) -> None:
    job_id = start(raw, "CREATE INDEX ASYNC x_i ON x_t (v)")
    raw.execute("CALL sys.wait_for_job(%s)", [job_id])

    columns = "status, details, job_type, class_id = 'pg_class'::regclass, object_id = 'x_i'::regclass, object_name"
    row = raw.execute(f"SELECT {columns} FROM sys.jobs WHERE job_id = %s", [job_id]).fetchone()
    assert row == ("completed", "", "INDEX_BUILD", True, True, "x_i")


def test_the_columns_of_jobs(raw: Any) -> None:
    names = [column.name for column in raw.execute("SELECT * FROM sys.jobs").description]

    assert names == [
        *("job_id", "status", "details", "job_type", "class_id"),
        *("object_id", "object_name", "start_time", "update_time"),
    ]


def test_each_build_has_its_own_job(raw: Any) -> None:
    build = "CREATE INDEX ASYNC ON x_t (v)"

    assert start(raw, build) != start(raw, build)


def test_a_build_inside_a_block(raw: Any) -> None:
    raw.execute("BEGIN")
    job_id = start(raw, "CREATE INDEX ASYNC x_i ON x_t (v)")
    raw.execute("COMMIT")

    assert (job(raw, job_id), is_valid(raw)) == (("completed", ""), True)


@pytest.mark.parametrize(
    ("call", "sqlstate"),
    [
        ("CALL sys.wait_for_job('no-such-job')", "22P02"),
        ("CALL sys.wait_for_job((SELECT max(job_id) FROM sys.jobs))", "0A000"),
        ("SELECT sys.wait_for_job('x')", "42809"),
    ],
)
def test_waiting_wrongly(raw: Any, call: str, sqlstate: str) -> None:
    assert answer(raw, call) == sqlstate


def test_a_unique_build_over_duplicates_is_a_failed_job_and_an_invalid_index(raw: Any) -> None:
    raw.execute("INSERT INTO x_t VALUES (2, 'a')")

    job_id = start(raw, "CREATE UNIQUE INDEX ASYNC x_i ON x_t (v)")

    assert job(raw, job_id) == ("failed", "found duplicate key(s) while validating index uniqueness")
    assert is_valid(raw) is False
    assert answer(raw, "ALTER TABLE x_t ADD CONSTRAINT x_k UNIQUE USING INDEX x_i") == "55000"
    assert answer(raw, "CALL sys.wait_for_job(%s)", [job_id]) == "CALL"
    assert answer(raw, "CREATE INDEX ASYNC x_i ON x_t (v)") == "42P07"
    assert answer(raw, "DROP INDEX x_i") == "DROP INDEX"


@pytest.mark.parametrize(("end", "leaves"), [("COMMIT", False), ("ROLLBACK", None)])
def test_a_build_that_fails_inside_a_block(raw: Any, end: str, leaves: bool | None) -> None:
    raw.execute("INSERT INTO x_t VALUES (2, 'a')")
    raw.execute("BEGIN")
    job_id = start(raw, "CREATE UNIQUE INDEX ASYNC x_i ON x_t (v)")
    raw.execute(end)

    assert is_valid(raw) is leaves
    assert job(raw, job_id) == (
        None if leaves is None else ("failed", "found duplicate key(s) while validating index uniqueness")
    )


def test_an_expression_that_fails_on_a_row_fails_the_job(raw: Any) -> None:
    job_id = start(raw, "CREATE INDEX ASYNC x_i ON x_t ((v::int))")

    assert job(raw, job_id) == ("failed", 'invalid input syntax for type integer: "a"')
    assert is_valid(raw) is False


def test_a_validation_that_fails_is_a_failed_job(raw: Any) -> None:
    raw.execute("ALTER TABLE x_t ADD CONSTRAINT x_k CHECK (v = 'b') NOT VALID")

    job_id = start(raw, "ALTER TABLE ASYNC x_t VALIDATE CONSTRAINT x_k")

    assert job(raw, job_id) == ("failed", 'check constraint "x_k" of relation "x_t" is violated by some row')
    assert not is_validated(raw, "x_k")


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("CREATE INDEX ASYNC x_i ON x_none (v)", "42P01"),
        ("CREATE INDEX ASYNC x_i ON x_t (nothing)", "42703"),
        ("ALTER TABLE ASYNC x_t VALIDATE CONSTRAINT x_none", "42704"),
    ],
)
@pytest.mark.parametrize("slow", [False, True])
def test_a_mistake_in_the_statement_is_raised_by_it(raw: Any, sql: str, sqlstate: str, slow: bool) -> None:
    raw.session.configure({"slow_builds": slow})

    assert answer(raw, sql) == sqlstate


# -- slow builds


@pytest.fixture
def slow(raw: Any) -> Any:
    raw.session.configure({"slow_builds": 600})
    return raw


def test_a_slow_index_is_not_valid_until_it_is_waited_for(slow: Any) -> None:
    job_id = start(slow, "CREATE UNIQUE INDEX ASYNC x_i ON x_t (v)")

    assert (job(slow, job_id), is_valid(slow)) == (("submitted", ""), False)
    assert answer(slow, "ALTER TABLE x_t ADD CONSTRAINT x_k UNIQUE USING INDEX x_i") == "55000"
    assert answer(slow, "INSERT INTO x_t VALUES (2, 'a')") == "23505"  # it refuses duplicates already
    slow.execute("CALL sys.wait_for_job(%s)", [job_id])
    assert (job(slow, job_id), is_valid(slow)) == (("completed", ""), True)
    assert answer(slow, "ALTER TABLE x_t ADD CONSTRAINT x_k UNIQUE USING INDEX x_i") == "ALTER TABLE"


def test_waiting_for_one_leaves_the_others(slow: Any) -> None:
    start(slow, "CREATE INDEX ASYNC x_i ON x_t (v)")
    other = start(slow, "CREATE INDEX ASYNC x_j ON x_t (v)")

    slow.execute("CALL sys.wait_for_job(%s)", [other])

    assert (is_valid(slow, "x_i"), is_valid(slow, "x_j")) == (False, True)


def test_a_slow_build_is_done_after_its_time(slow: Any) -> None:
    slow.session.configure({"slow_builds": 2})
    job_id = start(slow, "CREATE INDEX ASYNC x_i ON x_t (v)")
    seen = {job(slow, job_id)[0]}
    deadline = time.monotonic() + 15
    while "completed" not in seen and time.monotonic() < deadline:
        seen.add(job(slow, job_id)[0])

    assert seen == {"submitted", "processing", "completed"}
    assert is_valid(slow)


def test_a_slow_unique_build_over_duplicates_fails_in_the_end(slow: Any) -> None:
    slow.execute("INSERT INTO x_t VALUES (2, 'a')")

    job_id = start(slow, "CREATE UNIQUE INDEX ASYNC x_i ON x_t (v)")

    assert (job(slow, job_id), is_valid(slow)) == (("submitted", ""), False)
    slow.execute("CALL sys.wait_for_job(%s)", [job_id])
    assert (job(slow, job_id), is_valid(slow)) == (
        ("failed", "found duplicate key(s) while validating index uniqueness"),
        False,
    )


def test_dropping_an_index_cancels_its_build(slow: Any) -> None:
    job_id = start(slow, "CREATE INDEX ASYNC x_i ON x_t (v)")

    assert answer(slow, "DROP INDEX x_i") == "DROP INDEX"

    assert job(slow, job_id) == ("failed", "cancelled: the index was dropped")


def test_a_slow_validation(slow: Any) -> None:
    slow.execute("ALTER TABLE x_t ADD CONSTRAINT x_k CHECK (v = 'a') NOT VALID")
    job_id = start(slow, "ALTER TABLE ASYNC x_t VALIDATE CONSTRAINT x_k")

    assert (job(slow, job_id), is_validated(slow, "x_k")) == (("submitted", ""), False)
    slow.execute("CALL sys.wait_for_job(%s)", [job_id])
    assert (job(slow, job_id), is_validated(slow, "x_k")) == (("completed", ""), True)


def test_a_slow_validation_that_fails(slow: Any) -> None:
    slow.execute("ALTER TABLE x_t ADD CONSTRAINT x_k CHECK (v = 'b') NOT VALID")
    job_id = start(slow, "ALTER TABLE ASYNC x_t VALIDATE CONSTRAINT x_k")

    assert job(slow, job_id) == ("submitted", "")
    slow.execute("CALL sys.wait_for_job(%s)", [job_id])
    assert job(slow, job_id) == ("failed", 'check constraint "x_k" of relation "x_t" is violated by some row')


def test_a_slow_build_outside_the_public_schema(slow: Any) -> None:
    slow.execute("CREATE SCHEMA x_s")
    try:
        slow.execute("SET search_path TO x_s, public")
        slow.execute("CREATE TABLE things (id int)")
        job_id = start(slow, "CREATE INDEX ASYNC x_i ON things (id)")
        slow.execute("CALL sys.wait_for_job(%s)", [job_id])
        assert is_valid(slow, "x_s.x_i")
    finally:
        slow.execute("SET search_path TO public")
        slow.execute("DROP SCHEMA x_s CASCADE")


def test_another_connection_may_wait(slow: Any, second: Any) -> None:
    second.session.configure({"slow_builds": 600})
    job_id = start(slow, "CREATE INDEX ASYNC x_i ON x_t (v)")

    second.execute("CALL sys.wait_for_job(%s)", [job_id])

    assert is_valid(slow)


def test_a_slow_build_meets_an_open_transaction(slow: Any, second: Any) -> None:
    second.execute("BEGIN")
    second.execute("INSERT INTO x_t VALUES (5, 'e')")

    job_id = start(slow, "CREATE INDEX ASYNC x_i ON x_t (v)")
    second.execute("COMMIT")
    slow.execute("CALL sys.wait_for_job(%s)", [job_id])

    assert is_valid(slow)
    with pytest.raises(psycopg.errors.UndefinedObject):
        slow.execute("CALL sys.wait_for_job('aaaaaaaaaaaaaaaaaaaaaaaaaa')")
