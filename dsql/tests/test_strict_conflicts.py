"""Conflicts between transactions: what each statement reports, and which COMMIT fails."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from dsql.strict import shadows
from dsql.tests.strict import answer

CONFLICT = r"change conflicts with another transaction \(OC000\)"


def snapshots(*connections: Any) -> None:
    """Open a transaction on each, with its snapshot taken."""
    for one in connections:
        one.execute("BEGIN")
        one.execute("SELECT 1 FROM x_t")


def answers(raw: Any, *statements: str) -> list[str]:
    return [answer(raw, sql) for sql in statements]


def rows(raw: Any, sql: str) -> list[Any]:
    return raw.execute(sql).fetchall()


def lost(raw: Any) -> bool:
    """Whether COMMIT fails with the conflict and ends the transaction."""
    with pytest.raises(psycopg.errors.SerializationFailure, match=CONFLICT):
        raw.execute("COMMIT")
    return raw.info.transaction_status is psycopg.pq.TransactionStatus.IDLE


# -- conflicts that COMMIT reports


@pytest.mark.parametrize("first_ends", ["COMMIT", None], ids=["committed", "still open"])
@pytest.mark.parametrize(
    ("first", "then", "tag"),
    [
        ("UPDATE x_t SET v = 'first'", "UPDATE x_t SET v = 'second'", "UPDATE 1"),
        ("UPDATE x_t SET v = 'first'", "DELETE FROM x_t WHERE id = 1", "DELETE 1"),
        ("DELETE FROM x_t", "UPDATE x_t SET v = 'second' WHERE v = 'a'", "UPDATE 1"),
        ("DELETE FROM x_t", "DELETE FROM x_t", "DELETE 1"),
        ("UPDATE x_t SET v = 'first'", "SELECT * FROM x_t WHERE id = 1 FOR UPDATE", "SELECT 1"),
        ("DELETE FROM x_t", "SELECT * FROM x_t FOR KEY SHARE", "SELECT 1"),
        ("SELECT * FROM x_t FOR UPDATE", "UPDATE x_t SET v = 'second'", "UPDATE 1"),
        ("INSERT INTO x_t VALUES (2, 'b')", "INSERT INTO x_t VALUES (2, 'c')", "INSERT 0 1"),
        ("INSERT INTO x_t VALUES (2, 'b')", "UPDATE x_t SET id = 2", "UPDATE 1"),
        ("INSERT INTO x_t VALUES (2, 'b')", "INSERT INTO x_t VALUES (2, 'c') ON CONFLICT DO NOTHING", "INSERT 0 1"),
        (
            "UPDATE x_t SET v = 'first'",
            "WITH w AS (DELETE FROM x_t RETURNING id) INSERT INTO x_big SELECT id FROM w",
            "INSERT 0 1",
        ),
    ],
)
def test_the_statement_reports_success_and_commit_the_conflict(
    raw: Any, second: Any, first: str, then: str, tag: str, first_ends: str | None
) -> None:
    snapshots(raw, second)
    raw.execute(first)
    if first_ends:
        raw.execute(first_ends)

    assert answer(second, then) == tag
    assert answer(second, "SELECT 1") == "SELECT 1"
    assert lost(second)
    assert answers(raw, *([] if first_ends else ["COMMIT"]), "SELECT 1")[-1] == "SELECT 1"
    assert rows(second, "SELECT count(*) FROM x_big") == [(0,)]


def test_a_doomed_transaction_sees_what_it_wrote(raw: Any, second: Any) -> None:
    raw.execute("INSERT INTO x_t VALUES (2, 'b'), (3, 'c')")
    snapshots(raw, second)
    second.execute("INSERT INTO x_t VALUES (9, 'own')")
    raw.execute("UPDATE x_t SET v = 'theirs'")
    raw.execute("COMMIT")

    assert rows(second, "UPDATE x_t SET v = v || '!' WHERE id < 3 RETURNING id, v") == [(1, "a!"), (2, "b!")]
    assert rows(second, "SELECT id, v FROM x_t ORDER BY id") == [(1, "a!"), (2, "b!"), (3, "c"), (9, "own")]
    assert answer(second, "DELETE FROM x_t WHERE v LIKE '%%!'") == "DELETE 2"
    assert rows(second, "SELECT count(*) FROM x_t") == [(2,)]
    assert lost(second)
    assert rows(raw, "SELECT id, v FROM x_t ORDER BY id") == [(1, "theirs"), (2, "theirs"), (3, "theirs")]


def test_it_keeps_its_snapshot(raw: Any, second: Any) -> None:
    snapshots(raw, second)
    raw.execute("UPDATE x_t SET v = 'b'")
    raw.execute("INSERT INTO x_big VALUES (1)")
    raw.execute("COMMIT")

    second.execute("UPDATE x_t SET v = 'c'")

    assert rows(second, "SELECT count(*) FROM x_big") == [(0,)]
    assert lost(second)


def test_constraints_hold_on_what_a_doomed_transaction_writes(raw: Any, second: Any) -> None:
    raw.execute("CREATE TABLE x_c (id int PRIMARY KEY, n numeric(6, 2) NOT NULL CHECK (n > 0))")
    raw.execute("CREATE UNIQUE INDEX ASYNC x_ci ON x_c ((n * 10)) WHERE n < 50")
    raw.execute("INSERT INTO x_c VALUES (1, 1), (2, 2)")
    for sql, expected in [
        ("UPDATE x_c SET n = 7.777 WHERE id = 2", "UPDATE 1"),
        ("UPDATE x_c SET n = -1 WHERE id = 2", "23514"),
        ("INSERT INTO x_c VALUES (1, 9)", "23505"),
        ("INSERT INTO x_c VALUES (9, 1)", "23505"),
        ("INSERT INTO x_c VALUES (9, 1) ON CONFLICT ON CONSTRAINT x_c_pkey DO NOTHING", "23505"),
        ("INSERT INTO x_c VALUES (1, 99) ON CONFLICT ON CONSTRAINT x_c_pkey DO NOTHING", "INSERT 0 0"),
        ("UPDATE x_c SET n = 'x' WHERE id = 2", "22P02"),
    ]:
        snapshots(raw, second)
        raw.execute("UPDATE x_c SET n = n + 50")
        raw.execute("COMMIT")
        second.execute("UPDATE x_c SET id = id")
        assert (sql, answer(second, sql)) == (sql, expected)
        second.execute("ROLLBACK")
        raw.execute("UPDATE x_c SET n = n - 50")


def test_rounded_values_and_generated_columns_are_returned(raw: Any, second: Any) -> None:
    raw.execute(
        "CREATE TABLE x_c (id int PRIMARY KEY, n numeric(6, 2), twice numeric GENERATED ALWAYS AS (n * 2) STORED)"
    )
    raw.execute("INSERT INTO x_c VALUES (1, 1)")
    snapshots(raw, second)
    raw.execute("UPDATE x_c SET n = 3")
    raw.execute("COMMIT")

    (row,) = rows(second, "UPDATE x_c SET n = 7.777 RETURNING n::text, twice::text")
    assert row == ("7.78", "15.56")
    assert lost(second)


def test_identity_numbers_go_on(raw: Any, second: Any) -> None:
    raw.execute("CREATE TABLE x_n (id bigint GENERATED BY DEFAULT AS IDENTITY (CACHE 1) PRIMARY KEY, v text UNIQUE)")
    raw.execute("INSERT INTO x_n (v) VALUES ('a'), ('b')")
    snapshots(raw, second)
    raw.execute("INSERT INTO x_n (v) VALUES ('c')")
    raw.execute("COMMIT")

    (row,) = rows(second, "INSERT INTO x_n (v) VALUES ('c') RETURNING id")
    assert row[0] > 3
    assert lost(second)


# -- duplicate keys


def test_a_duplicate_that_the_snapshot_shows_is_no_conflict(raw: Any, second: Any) -> None:
    snapshots(second)

    with pytest.raises(psycopg.errors.UniqueViolation, match="x_t_pkey"):
        second.execute("INSERT INTO x_t VALUES (1, 'b')")
    assert answers(second, "SELECT 1", "COMMIT") == ["25P02", "ROLLBACK"]


def test_a_duplicate_of_ones_own_row_is_no_conflict(raw: Any, second: Any) -> None:
    assert answers(second, "BEGIN", "INSERT INTO x_t VALUES (2, 'b')", "INSERT INTO x_t VALUES (2, 'c')")[-1] == "23505"


def test_a_duplicate_beside_a_conflict_is_still_a_duplicate(raw: Any, second: Any) -> None:
    snapshots(raw, second)
    raw.execute("INSERT INTO x_t VALUES (2, 'b')")
    raw.execute("COMMIT")

    assert answer(second, "INSERT INTO x_t VALUES (2, 'b'), (1, 'b')") == "23505"


def test_a_duplicate_of_a_deleted_row_that_the_snapshot_shows(raw: Any, second: Any) -> None:
    snapshots(raw, second)
    raw.execute("DELETE FROM x_t")
    raw.execute("COMMIT")

    # PostgreSQL finds no row in the way and lets this insert stand; DSQL says 23505, or OC000 at COMMIT.
    assert answer(second, "INSERT INTO x_t VALUES (1, 'b')") in ("INSERT 0 1", "23505")


# -- foreign keys


@pytest.fixture
def family(raw: Any) -> Any:
    raw.execute("CREATE TABLE x_p (id int PRIMARY KEY, name text)")
    raw.execute("CREATE TABLE x_c (id int PRIMARY KEY, pid int REFERENCES x_p ON DELETE CASCADE)")
    raw.execute("INSERT INTO x_p VALUES (1, 'p'), (2, 'q')")
    raw.execute("INSERT INTO x_c VALUES (1, 1), (2, 1)")
    return raw


@pytest.mark.parametrize("first_ends", ["COMMIT", None], ids=["committed", "still open"])
def test_a_parent_is_deleted_while_a_child_comes(family: Any, second: Any, first_ends: str | None) -> None:
    snapshots(family, second)
    family.execute("INSERT INTO x_c VALUES (3, 2)")
    if first_ends:
        family.execute(first_ends)

    assert answer(second, "DELETE FROM x_p WHERE id = 2") == "DELETE 1"
    assert lost(second)


@pytest.mark.parametrize("first_ends", ["COMMIT", None], ids=["committed", "still open"])
def test_a_child_comes_while_its_parent_is_deleted(family: Any, second: Any, first_ends: str | None) -> None:
    snapshots(family, second)
    family.execute("DELETE FROM x_p WHERE id = 2")
    if first_ends:
        family.execute(first_ends)

    assert answer(second, "INSERT INTO x_c VALUES (3, 2)") == "INSERT 0 1"
    assert lost(second)


def test_a_childs_update_meets_the_cascade(family: Any, second: Any) -> None:
    snapshots(family, second)
    family.execute("DELETE FROM x_p WHERE id = 1")
    family.execute("COMMIT")

    assert answer(second, "UPDATE x_c SET pid = 2 WHERE id = 1") == "UPDATE 1"
    assert lost(second)


def test_cascades_and_references_of_a_doomed_transaction(family: Any, second: Any) -> None:
    snapshots(family, second)
    family.execute("UPDATE x_p SET name = 'z'")
    family.execute("COMMIT")

    assert answer(second, "DELETE FROM x_p WHERE id = 1") == "DELETE 1"
    assert rows(second, "SELECT count(*) FROM x_c") == [(0,)]
    assert answer(second, "INSERT INTO x_c VALUES (9, 2)") == "INSERT 0 1"
    assert answer(second, "INSERT INTO x_c VALUES (10, 1)") == "23503"


def test_a_parents_plain_update_does_not_disturb_a_child(family: Any, second: Any) -> None:
    snapshots(family, second)
    family.execute("UPDATE x_p SET name = 'z' WHERE id = 2")

    assert answers(second, "INSERT INTO x_c VALUES (3, 2)", "COMMIT") == ["INSERT 0 1", "COMMIT"]
    assert answer(family, "COMMIT") == "COMMIT"


# -- what cannot be told truly is raised where it is met


@pytest.mark.parametrize(
    "then",
    [
        "UPDATE public.x_t SET v = 'b'",
        "UPDATE x_t SET v = (SELECT max(v) FROM x_view)",
        "UPDATE x_t SET v = x_latest()",
        "UPDATE x_t SET v = 'b'; SELECT 1",
    ],
    ids=["a qualified name", "a view", "a function", "several statements"],
)
def test_a_conflict_that_cannot_be_hidden(raw: Any, second: Any, then: str) -> None:
    raw.execute("CREATE VIEW x_view AS SELECT * FROM x_t")
    raw.execute("CREATE OR REPLACE FUNCTION x_latest() RETURNS text LANGUAGE sql AS 'SELECT max(v) FROM x_t'")
    snapshots(raw, second)
    raw.execute("UPDATE x_t SET v = 'first'")
    raw.execute("COMMIT")

    with pytest.raises(psycopg.errors.SerializationFailure, match=CONFLICT):
        second.execute(then)
    assert answers(second, "SELECT 1", "COMMIT") == ["25P02", "ROLLBACK"]


@pytest.mark.parametrize(
    "look",
    [
        "SELECT * FROM public.x_t",
        "SELECT * FROM x_view",
        "SELECT 1; SELECT v FROM x_t",
        "SELECT x_latest()",
        "CREATE TABLE x_3 (id int)",
    ],
)
def test_a_later_look_past_the_copies_raises_the_conflict(raw: Any, second: Any, look: str) -> None:
    raw.execute("CREATE VIEW x_view AS SELECT * FROM x_t")
    raw.execute("CREATE OR REPLACE FUNCTION x_latest() RETURNS text LANGUAGE sql AS 'SELECT max(v) FROM x_t'")
    snapshots(raw, second)
    raw.execute("UPDATE x_t SET v = 'first'")
    raw.execute("COMMIT")

    second.execute("SELECT * FROM x_t FOR UPDATE")

    with pytest.raises(psycopg.errors.SerializationFailure, match=CONFLICT):
        second.execute(look)


def test_a_large_table_is_not_copied(raw: Any, second: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadows, "BYTES_MAX", 8191)
    snapshots(raw, second)
    raw.execute("UPDATE x_t SET v = 'first'")
    raw.execute("COMMIT")

    with pytest.raises(psycopg.errors.SerializationFailure, match=CONFLICT):
        second.execute("UPDATE x_t SET v = 'second'")


def test_executemany_raises_the_conflict(raw: Any, second: Any) -> None:
    snapshots(raw, second)
    raw.execute("UPDATE x_t SET v = 'first'")
    raw.execute("COMMIT")

    with pytest.raises(psycopg.errors.SerializationFailure, match=CONFLICT), second.cursor() as cursor:
        cursor.executemany("UPDATE x_t SET v = %s", [("a",), ("b",)])


def test_a_server_binding_cursor_raises_the_conflict(raw: Any, second: Any) -> None:
    from dsql.strict.cursor import StrictServerBindingCursor

    snapshots(raw, second)
    raw.execute("UPDATE x_t SET v = 'first'")
    raw.execute("COMMIT")

    with pytest.raises(psycopg.errors.SerializationFailure, match=CONFLICT):
        StrictServerBindingCursor(second).execute("UPDATE x_t SET v = %s", ["b"])


def test_outside_a_block_the_statement_raises(raw: Any, second: Any) -> None:
    raw.execute("BEGIN")
    raw.execute("UPDATE x_t SET v = 'first'")

    with pytest.raises(psycopg.errors.SerializationFailure, match=CONFLICT):
        second.execute("UPDATE x_t SET v = 'second'")
    assert answer(second, "SELECT 1") == "SELECT 1"


def test_conflicts_at_the_statement_on_request(raw: Any, second: Any) -> None:
    second.session.configure({"conflicts_at": "statement"})
    snapshots(raw, second)
    raw.execute("UPDATE x_t SET v = 'first'")
    raw.execute("COMMIT")

    with pytest.raises(psycopg.errors.SerializationFailure, match=CONFLICT):
        second.execute("UPDATE x_t SET v = 'second'")


# -- around it


def test_atomic_raises_the_conflict_as_it_ends(raw: Any, second: Any) -> None:
    seen: list[int] = []

    def update() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT v FROM x_t")
            second.execute("UPDATE x_t SET v = 'theirs'")
            cursor.execute("UPDATE x_t SET v = %s", ["ours"])
            seen.append(cursor.rowcount)

    with pytest.raises(OperationalError, match=CONFLICT):
        transaction.atomic(update)()

    assert seen == [1]
    assert rows(raw, "SELECT v FROM x_t") == [("theirs",)]


def test_rollback_leaves_no_copies(raw: Any, second: Any) -> None:
    snapshots(raw, second)
    raw.execute("UPDATE x_t SET v = 'first'")
    raw.execute("COMMIT")
    second.execute("UPDATE x_t SET v = 'second'")

    second.execute("ROLLBACK")

    assert rows(second, "SELECT v FROM x_t") == [("first",)]
    assert answers(second, "BEGIN", "UPDATE x_t SET v = 'third'", "COMMIT") == ["BEGIN", "UPDATE 1", "COMMIT"]


def test_rows_of_a_doomed_transaction_count(raw: Any, second: Any) -> None:
    raw.execute("INSERT INTO x_big SELECT generate_series(1, 2000)")
    snapshots(raw, second)
    raw.execute("UPDATE x_big SET id = id WHERE id = 1")
    raw.execute("COMMIT")

    assert answer(second, "WITH w AS (UPDATE x_big SET id = id RETURNING 1) SELECT count(*) FROM w") == "SELECT 1"
    assert answer(second, "DELETE FROM x_big WHERE id <= 1000") == "DELETE 1000"
    assert answer(second, "DELETE FROM x_big WHERE id = 1001") == "54000"


def test_a_result_is_the_statements_own(raw: Any) -> None:
    raw.execute("BEGIN")
    cursor = raw.execute("UPDATE x_t SET v = 'b' RETURNING v -- the end")

    assert (cursor.rowcount, cursor.fetchall(), cursor.nextset(), cursor.statusmessage) == (
        1,
        [("b",)],
        None,
        "UPDATE 1",
    )


# -- no conflict


def test_updates_of_different_rows_do_not_conflict(raw: Any, second: Any) -> None:
    raw.execute("INSERT INTO x_t VALUES (2, 'b')")
    for one, key in ((raw, 1), (second, 2)):
        one.execute("BEGIN")
        one.execute(f"UPDATE x_t SET v = 'c' WHERE id = {key}")
    assert (answer(raw, "COMMIT"), answer(second, "COMMIT")) == ("COMMIT", "COMMIT")


def test_write_skew_is_possible_as_on_dsql(raw: Any, second: Any) -> None:
    snapshots(raw, second)
    raw.execute("INSERT INTO x_big VALUES (1)")
    second.execute("INSERT INTO x_big VALUES (2)")

    assert (answer(raw, "COMMIT"), answer(second, "COMMIT")) == ("COMMIT", "COMMIT")


# -- row locks


GUARDS = [
    "SELECT * FROM x_t WHERE id = 1 FOR UPDATE",
    "SELECT v FROM x_t AS guard WHERE id IN (SELECT id FROM x_t) ORDER BY id LIMIT 1 FOR UPDATE OF guard",
    "SELECT b.id FROM x_big b JOIN x_t ON x_t.id = b.id FOR UPDATE",
    "SELECT (SELECT max(id) FROM x_big) FROM x_t FOR UPDATE",
    "SELECT id AS n FROM x_t ORDER BY n LIMIT 1 FOR UPDATE",
    "SELECT id FROM x_t ORDER BY 1 FOR UPDATE",
    "WITH w AS (SELECT 1 AS one) SELECT id FROM x_t JOIN w ON one = id FOR UPDATE OF x_t",
    "WITH w AS (SELECT id FROM x_t FOR UPDATE) SELECT * FROM w",
    "WITH k AS (SELECT 1 AS id), w AS (SELECT id FROM x_t WHERE id IN (SELECT id FROM k) FOR UPDATE) SELECT * FROM w",
    "SELECT * FROM (SELECT id FROM x_t WHERE v = 'a' FOR UPDATE) AS q",
    "SELECT * FROM x_big WHERE id IN (SELECT id FROM x_t FOR UPDATE)",
    "UPDATE x_big SET id = 5 WHERE id IN (SELECT id FROM x_t FOR UPDATE)",
    "INSERT INTO x_big SELECT id FROM x_t FOR UPDATE",
]


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_row_locked_by_both_lets_one_commit(raw: Any, second: Any, guard: str) -> None:
    raw.execute("INSERT INTO x_big VALUES (1)")
    snapshots(raw, second)
    raw.execute(guard)
    raw.execute("INSERT INTO x_big VALUES (2)")
    raw.execute("COMMIT")

    second.execute(guard)

    assert lost(second)


def test_a_guard_with_parameters(raw: Any, second: Any) -> None:
    guard = "SELECT %s::int, v FROM x_t WHERE id = %s AND v <> %s FOR UPDATE"
    snapshots(raw, second)
    assert raw.execute(guard, [7, 1, "z"]).fetchall() == [(7, "a")]
    raw.execute("COMMIT")

    assert second.execute(guard, [7, 1, "z"]).fetchall() == [(7, "a")]
    assert lost(second)


def test_key_shares_disturb_neither_each_other_nor_a_plain_update(raw: Any, second: Any) -> None:
    snapshots(raw, second)
    for one in (raw, second):
        one.execute("SELECT * FROM x_t FOR KEY SHARE")

    assert answers(raw, "COMMIT") == ["COMMIT"]
    assert answers(second, "UPDATE x_t SET v = 'b'", "COMMIT") == ["UPDATE 1", "COMMIT"]


def test_a_correlated_subquery_that_locks_still_runs(raw: Any) -> None:
    raw.execute("INSERT INTO x_big VALUES (1)")
    raw.execute("BEGIN")

    sql = "SELECT (SELECT v FROM x_t WHERE x_t.id = x_big.id FOR UPDATE) FROM x_big"
    assert rows(raw, sql) == [("a",)]
    assert answer(raw, "COMMIT") == "COMMIT"


def test_a_mistake_beside_a_lock_is_the_callers(raw: Any) -> None:
    raw.execute("BEGIN")

    assert answer(raw, "SELECT * FROM (SELECT nothing FROM x_t FOR UPDATE) q") == "42703"
    with contextlib.suppress(psycopg.Error):
        raw.execute("ROLLBACK")
