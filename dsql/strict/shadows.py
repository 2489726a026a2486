"""How a transaction goes on after a conflict that DSQL would report only at COMMIT.

On DSQL a write that conflicts reports success, and so does all that follows, until COMMIT fails. PostgreSQL refuses the
write itself. It is then taken back to a savepoint, each table that it writes or locks is copied, as this transaction
sees it, into a temporary table of the same name, and the statement runs again. Unqualified names mean temporary tables
first, so this and every later statement works on the copies, with PostgreSQL's own row counts, RETURNING, constraints
and cascades. COMMIT then rolls everything back, the copies too, and raises the conflict.

Tables that foreign keys link are copied together. What cannot be copied or could show the real table beside its copy
(a schema-qualified name, a view, a function of the user's, more than `BYTES_MAX` bytes) is Impossible: the caller
raises the conflict right there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import postgast
import psycopg

from dsql.strict.tree import nodes, qualified_name

BYTES_MAX = 16 * 1024 * 1024
TABLES_MAX = 50

_WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt"})

# Everything that foreign keys link to the wanted tables, and what it takes to copy them. Read before the first copy is
# made, because the definitions name other tables the way the search path shows them at that moment.
_PLAN_SQL = """
WITH RECURSIVE linked(oid) AS (
    SELECT to_regclass(name)::oid FROM unnest(%s::text[]) AS name
    UNION
    SELECT CASE WHEN k.conrelid = l.oid THEN k.confrelid ELSE k.conrelid END
    FROM linked l JOIN pg_constraint k ON k.contype = 'f' AND l.oid IN (k.conrelid, k.confrelid)
),
wanted AS (
    SELECT c.oid, c.relname, quote_ident(c.relname) AS name, quote_ident(n.nspname) AS schema,
        c.relkind = 'r' AND c.relpersistence = 'p' AND pg_table_is_visible(c.oid) AS fits, pg_relation_size(c.oid) AS bytes
    FROM linked l JOIN pg_class c ON c.oid = l.oid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relpersistence <> 't'
),
columns AS (
    SELECT a.attrelid, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS names
    FROM pg_attribute a JOIN wanted w ON w.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    GROUP BY a.attrelid
),
steps(step, oid, sql) AS (
    SELECT 1, oid, format('CREATE TEMPORARY TABLE %%s (LIKE %%s.%%s INCLUDING ALL EXCLUDING IDENTITY EXCLUDING INDEXES '
        'EXCLUDING STATISTICS EXCLUDING COMMENTS)', name, schema, name) FROM wanted
    UNION ALL
    -- Both draw from the one sequence: a number that the copy gives out is one the table would have given.
    SELECT 2, w.oid, format('ALTER TABLE pg_temp.%%s ALTER %%I SET DEFAULT nextval(%%L)', w.name, a.attname,
        pg_get_serial_sequence(w.schema || '.' || w.name, a.attname))
    FROM wanted w JOIN pg_attribute a ON a.attrelid = w.oid AND a.attidentity <> ''
    UNION ALL
    SELECT 3, w.oid, format('INSERT INTO pg_temp.%%s (%%s) SELECT %%s FROM %%s.%%s', w.name, c.names, c.names, w.schema, w.name)
    FROM wanted w JOIN columns c ON c.attrelid = w.oid
    UNION ALL
    SELECT CASE k.contype WHEN 'f' THEN 5 ELSE 4 END, w.oid,
        format('ALTER TABLE pg_temp.%%s ADD CONSTRAINT %%I %%s', w.name, k.conname, pg_get_constraintdef(k.oid))
    FROM wanted w JOIN pg_constraint k ON k.conrelid = w.oid AND k.contype IN ('p', 'u', 'f')
    UNION ALL
    SELECT 4, w.oid, replace(pg_get_indexdef(i.indexrelid), format(' ON %%s.%%s USING ', w.schema, w.name),
        format(' ON pg_temp.%%s USING ', w.name))
    FROM wanted w JOIN pg_index i ON i.indrelid = w.oid AND i.indisunique AND i.indisready
    WHERE NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u'))
)
SELECT coalesce((SELECT bool_and(fits) FROM wanted), true), coalesce((SELECT sum(bytes) FROM wanted), 0)::bigint,
    (SELECT count(*) FROM wanted), (SELECT array_agg(relname ORDER BY relname) FROM wanted),
    (SELECT string_agg(sql, '; ' ORDER BY step, oid) FROM steps)
"""
_ARE_COPIES_SQL = """
SELECT bool_and(c.relpersistence = 't') FROM unnest(%s::text[]) AS name JOIN pg_class c ON c.oid = to_regclass(quote_ident(name))
"""
# Views and functions were bound to the real tables when they were made.
_SEES_PAST_COPIES_SQL = """
SELECT EXISTS (
    SELECT 1 FROM unnest(%s::text[]) AS name JOIN pg_class c ON c.oid = to_regclass(name)
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind <> 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
) OR EXISTS (
    SELECT 1 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.proname = ANY (%s) AND n.nspname NOT IN ('pg_catalog', 'information_schema')
)
"""


class Impossible(Exception):
    """The transaction cannot go on without showing something untrue."""


def make(connection: Any, text: str) -> None:
    """Put copies in front of the tables that the statement `text` writes or locks. `text` has no placeholders.

    The transaction must be healthy. Raises Impossible, or whatever the server says to a copy that cannot be made.
    """
    statement = _parsed(text)
    check(connection, text)
    names = sorted({qualified_name(relation) for relation in _changed(statement)})
    row = _own_cursor(connection).execute(_PLAN_SQL, [names]).fetchone()
    assert row is not None
    fits, size_bytes, count, tables, sql = row
    if not fits or size_bytes > BYTES_MAX or count > TABLES_MAX:
        raise Impossible(f"cannot copy {tables}")
    if not tables:
        return  # all of them are copies already
    _own_cursor(connection).execute(sql)
    if _own_cursor(connection).execute(_ARE_COPIES_SQL, [tables]).fetchone() != (True,):
        raise Impossible("the search path does not show temporary tables first")
    connection.session.shadows.update(tables)


def check(connection: Any, text: str) -> None:
    """Raise Impossible when the statement `text`, without placeholders, could see past the copies."""
    statement = _parsed(text)
    relations: list[Any] = []
    functions: set[str] = set()
    for kind, node in nodes(statement):
        if kind == "RangeVar":
            relations.append(node)
        elif kind == "FuncCall" and node.funcname:
            functions.add(node.funcname[-1].string.sval)
    changed = {relation.relname for relation in _changed(statement)} | connection.session.shadows
    if any(relation.schemaname and relation.relname in changed for relation in relations):
        raise Impossible("a qualified name means the table itself, not its copy")
    names = sorted({qualified_name(relation) for relation in relations})
    if _own_cursor(connection).execute(_SEES_PAST_COPIES_SQL, [names, sorted(functions)]).fetchone() != (False,):
        raise Impossible("views and functions see the tables themselves, not their copies")


def _changed(statement: Any) -> Iterator[Any]:
    """The tables (RangeVar) that `statement` writes, or locks rows of."""
    for kind, node in nodes(statement):
        if kind in _WRITES:
            yield node.relation
        elif kind == "SelectStmt" and node.locking_clause:
            for source in node.from_clause:
                yield from (relation for inner, relation in nodes(source) if inner == "RangeVar")


def _parsed(text: str) -> Any:
    try:
        statements: Sequence[Any] = postgast.parse(text).stmts
    except postgast.PgQueryError as error:
        raise Impossible(str(error)) from error
    if len(statements) != 1:
        raise Impossible("several statements")
    return statements[0]


def _own_cursor(connection: Any) -> psycopg.ClientCursor[Any]:
    return psycopg.ClientCursor(connection)
