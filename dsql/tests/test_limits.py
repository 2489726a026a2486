"""Strict mode's rules that need the catalog or the values: keys, columns, indexes and sizes, against a real PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

KIB = 1024
MIB = 1024 * 1024
PRINTABLE = bytes(33 + n % 94 for n in range(256))


@pytest.fixture
def raw(transactional_db: None) -> Iterator[Any]:
    """A strict connection in autocommit. Tables that are called l_… are dropped afterwards."""
    connection.ensure_connection()
    yield connection.connection
    connection.connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'l\\_%'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'DROP TABLE "{table}" CASCADE')
        cursor.execute("DROP DOMAIN IF EXISTS l_domain CASCADE")


def random_text(size_bytes: int) -> str:
    return random.randbytes(size_bytes).translate(PRINTABLE).decode()


def answer(raw: Any, sql: str, *params: Any) -> str:
    """The SQLSTATE and the words of a refusal; the tag of what was admitted."""
    try:
        return raw.execute(sql, params or None).statusmessage
    except psycopg.Error as error:
        return f"{error.sqlstate} {error.diag.message_primary or error}"


# -- the catalog


def test_a_primary_key_column_cannot_be_dropped(raw: Any) -> None:
    raw.execute("CREATE TABLE l_t (a int, b int, c int, PRIMARY KEY (a, b))")

    assert answer(raw, "ALTER TABLE l_t DROP COLUMN b CASCADE") == "0A000 cannot drop primary key column b"
    assert answer(raw, "ALTER TABLE l_t DROP COLUMN c") == "ALTER TABLE"
    assert answer(raw, "ALTER TABLE l_missing DROP COLUMN c").startswith("42P01")
    assert answer(raw, "ALTER TABLE IF EXISTS l_missing DROP COLUMN c") == "ALTER TABLE"


def test_a_refusal_of_the_catalog_aborts_the_block(raw: Any) -> None:
    raw.execute("CREATE TABLE l_t (a int PRIMARY KEY)")
    raw.execute("BEGIN")

    assert answer(raw, "ALTER TABLE l_t DROP COLUMN a").startswith("0A000")
    assert answer(raw, "SELECT 1").startswith("25P02")


def test_the_25th_index(raw: Any) -> None:
    raw.execute("CREATE TABLE l_t (a int PRIMARY KEY, b int)")
    for _ in range(23):
        raw.execute("CREATE INDEX ASYNC ON l_t (b)")

    assert answer(raw, "CREATE INDEX ASYNC ON l_t (b)").startswith("54000 more than 24 indexes")
    raw.execute("DROP INDEX l_t_b_idx")
    assert answer(raw, "CREATE INDEX ASYNC ON l_t (b)") == "CREATE INDEX"


def test_what_an_index_key_cannot_hold(raw: Any) -> None:
    raw.execute("CREATE DOMAIN l_domain AS jsonb")
    raw.execute(
        "CREATE TABLE l_t (id int, j jsonb, d l_domain, v varchar(2001), w varchar(2000), x varchar(1), t text)"
    )

    assert answer(raw, "CREATE INDEX ASYNC ON l_t (id, j)") == "0A000 datatype jsonb is not supported in a key"
    assert answer(raw, "CREATE INDEX ASYNC ON l_t (d)") == "0A000 datatype jsonb is not supported in a key"
    too_wide = "54000 key size greater than 2000 bytes not supported"
    assert answer(raw, "CREATE INDEX ASYNC ON l_t (v)") == too_wide
    assert answer(raw, "CREATE INDEX ASYNC ON l_t (w, x)") == too_wide
    for key in ("w", "x, t", "(j ->> 'k')", "t) INCLUDE (j, v"):
        assert answer(raw, f"CREATE INDEX ASYNC ON l_t ({key})") == "CREATE INDEX"


@pytest.mark.parametrize(
    ("key", "refused"),
    [
        ("iv", "interval"),
        ("tz", "time with time zone"),
        ("b", "bytea"),
        ("id, j", "json"),
        ("i2", "interval"),
        ("(jb -> 'k')", "jsonb"),
        ("(jb #> '{a}')", "jsonb"),
        ("id, (iv * 2)", "interval"),
        ("(t::bytea)", "bytea"),
        ("(string_to_array(t, ','))", "text[]"),
        ("(int4range(id, id))", "int4range"),
        ("(jb ->> 'k')", None),
        ("(octet_length(b))", None),
        ("(lower(t)), (id + 1), (t IS NULL), ts, d, ti, u, n, f, c, v", None),
    ],
)
def test_the_types_that_cannot_be_in_an_index(raw: Any, key: str, refused: str | None) -> None:
    raw.execute("CREATE DOMAIN l_domain AS interval")
    raw.execute("CREATE DOMAIN l_other AS l_domain")
    raw.execute(
        "CREATE TABLE l_t (id int, j json, jb jsonb, iv interval, tz timetz, b bytea, i2 l_other, t text, ts timestamptz, "
        "d date, ti time, u uuid, n numeric(9, 2), f real, c char(3), v varchar(9))"
    )

    keys = [key] if refused else key.split(", ")
    for key in keys:
        assert answer(raw, f"CREATE INDEX ASYNC ON l_t ({key})") == (
            f"0A000 datatype {refused} is not supported in a key" if refused else "CREATE INDEX"
        )


@pytest.mark.parametrize("type_name", ["json", "jsonb", "bytea", "interval", "timetz", "l_domain"])
@pytest.mark.parametrize(
    "key", ["k {} PRIMARY KEY", "k {} UNIQUE", "id int, k {}, UNIQUE (id, k)", "k {}, PRIMARY KEY (k)"]
)
def test_the_types_that_cannot_be_in_a_key_of_a_new_table(raw: Any, type_name: str, key: str) -> None:
    raw.execute("CREATE DOMAIN l_domain AS bytea NOT NULL")
    displayed = {"timetz": "time with time zone", "l_domain": "bytea"}.get(type_name, type_name)

    refusal = f"0A000 datatype {displayed} is not supported in a key"
    assert answer(raw, f"CREATE TABLE l_t ({key.format(type_name)})") == refusal


def test_a_domain_over_text_can_be_in_a_key(raw: Any) -> None:
    raw.execute("CREATE DOMAIN l_domain AS text")

    assert answer(raw, "CREATE TABLE l_t (id l_domain PRIMARY KEY, other l_domain UNIQUE)") == "CREATE TABLE"


def test_the_257th_column(raw: Any) -> None:
    raw.execute(f"CREATE TABLE l_t ({', '.join(f'c{n} int' for n in range(255))})")

    assert answer(raw, "ALTER TABLE l_t ADD COLUMN d int, ADD COLUMN e int").startswith("54011")
    assert answer(raw, "ALTER TABLE l_t ADD COLUMN d int") == "ALTER TABLE"
    assert answer(raw, "ALTER TABLE l_t ADD COLUMN e int").startswith("54011")
    raw.execute("ALTER TABLE l_t DROP COLUMN c1")
    assert answer(raw, "ALTER TABLE l_t ADD COLUMN e int") == "ALTER TABLE"


# -- values

TOO_LARGE = "54000 datatype limit greater than 1048576 bytes"


def test_a_value_counts_as_it_is_stored(raw: Any) -> None:
    raw.execute("CREATE TABLE l_t (id int PRIMARY KEY, v text, b bytea, j jsonb)")
    large = random_text(3 * MIB // 2)

    assert answer(raw, "INSERT INTO l_t VALUES (1, %s)", large) == TOO_LARGE
    assert answer(raw, "INSERT INTO l_t VALUES (1, '', %s)", random.randbytes(MIB + 1)) == TOO_LARGE
    assert answer(raw, "INSERT INTO l_t VALUES (1, '', '', %s)", psycopg.types.json.Jsonb([large])) == TOO_LARGE
    assert answer(raw, "INSERT INTO l_t VALUES (1, %s)", "a" * 2 * MIB) == "INSERT 0 1"
    assert answer(raw, "UPDATE l_t SET b = %s", random.randbytes(MIB)) == "UPDATE 1"
    assert answer(raw, "UPDATE l_t SET v = %s", large) == TOO_LARGE
    assert answer(raw, "SELECT length(%s)", large) == "SELECT 1"
    assert raw.execute("SELECT count(*) FROM l_t WHERE length(v) = %s", [2 * MIB]).fetchone() == (1,)


def test_values_inside_arrays_are_looked_at_one_by_one(raw: Any) -> None:
    raw.execute("CREATE TABLE l_t (id int PRIMARY KEY, v text)")
    insert = "INSERT INTO l_t SELECT * FROM unnest(%s::int[], %s::text[])"

    assert answer(raw, insert, [1, 2], [random_text(900 * KIB), random_text(900 * KIB)]) == "INSERT 0 2"
    assert answer(raw, insert, [3, 4], ["a", random_text(3 * MIB // 2)]) == TOO_LARGE


def test_a_row_of_more_than_2_mib(raw: Any) -> None:
    raw.execute("CREATE TABLE l_t (id int PRIMARY KEY, a bytea, b bytea, c bytea)")
    part = random.randbytes(900 * KIB)
    too_large = "54000 row size greater than 2097152 bytes not supported"

    assert answer(raw, "INSERT INTO l_t VALUES (%s, %s, %s, %s)", 1, part, part, part) == too_large
    two_rows = "INSERT INTO l_t VALUES (%s, %s, %s, %s), (%s, %s, %s, %s)"
    assert answer(raw, two_rows, 1, part, part, b"", 2, part, b"", part) == "INSERT 0 2"
    assert answer(raw, two_rows, 3, b"", b"", b"", 4, part, part, part) == too_large
    arrays = "INSERT INTO l_t SELECT * FROM unnest(%s::int[], %s::bytea[], %s::bytea[], %s::bytea[])"
    assert answer(raw, arrays, [5, 6], [part, b""], [part, b""], [b"", part]) == "INSERT 0 2"
    assert answer(raw, arrays, [7, 8], [part, b""], [part, b""], [part, b""]) == too_large


def test_binary_values_count_once_in_their_transaction(raw: Any) -> None:
    raw.execute("CREATE TABLE l_t (id int PRIMARY KEY, v bytea)")
    for key, count, end in ((0, 30, "COMMIT"), (100, 50, "54000 transaction size limit 10mb exceeded")):
        raw.execute("BEGIN")
        for n in range(count):
            raw.execute("INSERT INTO l_t VALUES (%s, %s)", [key + n, random.randbytes(256 * KIB)])
        assert answer(raw, "COMMIT") == end


def test_a_message_of_more_than_10_mib(raw: Any) -> None:
    assert answer(raw, "SELECT length(%s)", "a" * 10 * MIB).startswith("08P01 message size limit")
    assert answer(raw, "SELECT length(%s)", "a" * (10 * MIB - 100)) == "SELECT 1"


# -- keys

KEY_TOO_LARGE = "54000 key size too large"


@pytest.fixture
def keyed(raw: Any) -> Any:
    raw.execute("CREATE TABLE l_k (tenant text, id int, slug text, body text, PRIMARY KEY (tenant, id))")
    raw.execute("CREATE UNIQUE INDEX ASYNC l_slug ON l_k (slug)")
    return raw


def test_a_value_that_is_too_large_for_its_key(keyed: Any) -> None:
    insert = "INSERT INTO l_k (tenant, id, slug, body) VALUES (%s, %s, %s, %s)"
    long = random_text(2_000)

    assert answer(keyed, insert, "t", 1, "s", long) == "INSERT 0 1"
    assert answer(keyed, insert, "t", 2, long, "") == KEY_TOO_LARGE
    assert answer(keyed, insert, long, 2, "s2", "") == KEY_TOO_LARGE
    assert answer(keyed, "INSERT INTO l_k VALUES (%s, 3, %s)", "t", long) == KEY_TOO_LARGE
    assert answer(keyed, "UPDATE l_k SET slug = %s WHERE id = %s", long, 1) == KEY_TOO_LARGE
    assert answer(keyed, "UPDATE l_k SET body = %s WHERE id = %s", long, 1) == "UPDATE 1"
    assert keyed.execute("SELECT count(*) FROM l_k").fetchone() == (1,)


def test_a_secondary_key_ends_with_the_primary_key(keyed: Any) -> None:
    insert = "INSERT INTO l_k (tenant, id, slug) VALUES (%s, %s, %s)"
    slug = random_text(1_960)

    assert answer(keyed, insert, "t", 1, slug) == "INSERT 0 1"
    assert answer(keyed, insert, "a tenant with a longer name", 2, slug[::-1]) == KEY_TOO_LARGE


def test_a_key_that_is_too_large_for_postgresql_too(keyed: Any) -> None:
    with pytest.raises(psycopg.errors.ProgramLimitExceeded, match=r"^key size too large$"):
        keyed.execute("INSERT INTO l_k (tenant, id, slug) VALUES ('t', 1, %s)", [random_text(4_000)])


def test_a_new_index_is_noticed(keyed: Any) -> None:
    insert = "INSERT INTO l_k (tenant, id, body) VALUES ('t', %s, %s)"
    assert answer(keyed, insert, 1, random_text(1_990)) == "INSERT 0 1"

    keyed.execute("CREATE INDEX ASYNC l_body ON l_k (body)")

    assert answer(keyed, insert, 2, random_text(1_990)) == KEY_TOO_LARGE


def test_an_array_in_braces_is_no_value(keyed: Any) -> None:
    insert = "INSERT INTO l_k (tenant, id, {0}) SELECT 't', n, v FROM unnest(%s::int[], %s::text[]) AS x (n, v)"
    bodies = [random_text(8 * KIB).translate({ord(c): "x" for c in '{}"\\,'}) for _ in range(200)]
    written_out = "{" + ",".join(f'"{body}"' for body in bodies) + "}"

    numbers = "{" + ",".join(map(str, range(200))) + "}"
    assert answer(keyed, insert.format("body"), numbers, written_out) == "INSERT 0 200"
    assert answer(keyed, insert.format("slug"), [200, 201], ["a", random_text(2_000)]) == KEY_TOO_LARGE
    assert answer(keyed, "INSERT INTO l_k VALUES ('t', 500, %s)", "{" + random_text(2_000)) == KEY_TOO_LARGE


# -- start options


@pytest.mark.parametrize(
    "options", ["-c statement_timeout=1", "-cwork_mem=4MB", "-c search_path=x -c role=r", "--lock-timeouts=1"]
)
def test_start_options_that_dsql_refuses(raw: Any, options: str) -> None:
    params = connection.get_connection_params()
    params["options"] += f" {options}"

    with pytest.raises(psycopg.OperationalError, match="setting configuration parameter"):
        connection._connection_class.connect(**params)


def test_start_options_that_dsql_takes(raw: Any) -> None:
    params = connection.get_connection_params()
    params["options"] += " -c search_path=l_x -c enable_seqscan=off"

    with connection._connection_class.connect(**params) as made:
        assert made.execute("SHOW search_path").fetchone() == ("l_x",)
