"""What DSQL takes inside a query, and inside INSERT, UPDATE and DELETE. Called by `rules` with nodes of the parse tree."""

from __future__ import annotations

from typing import Any

from dsql.strict.refusals import SYNTAX_ERROR, Refusal, unsupported
from dsql.strict.sizes import WriteTarget
from dsql.strict.tree import enum_name, nodes, qualified_name

_WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt"})
# DSQL's parser and functions are PostgreSQL 16's, and strict mode may run on a newer one. What 17 and 18 added is not
# there, and a function of the user's own that has such a name has to be called with its schema.
_NEWER_SYNTAX = {
    "JsonFuncExpr": "JSON_VALUE, JSON_QUERY, JSON_EXISTS",
    "JsonTable": "JSON_TABLE",
    "JsonParseExpr": "JSON",
    "JsonScalarExpr": "JSON_SCALAR",
    "JsonSerializeExpr": "JSON_SERIALIZE",
    "ReturningOption": "RETURNING WITH",
}
_NEWER_FUNCTIONS = frozenset(
    {
        "array_reverse",
        "array_sort",
        "casefold",
        "crc32",
        "crc32c",
        "gamma",
        "icu_unicode_version",
        "lgamma",
        "pg_basetype",
        "to_bin",
        "to_oct",
        "to_regtypemod",
        "unicode_assigned",
        "unicode_version",
        "uuid_extract_timestamp",
        "uuid_extract_version",
        "uuidv4",
        "uuidv7",
        "xmltext",
    }
)
_TEXT_SEARCH = frozenset({"to_tsvector", "to_tsquery", "plainto_tsquery", "phraseto_tsquery", "websearch_to_tsquery"})


def look_inside(statement: Any) -> tuple[Refusal | None, bool]:
    """What a query or a write may not contain, at any depth; and whether there is a write below the statement.

    Such a write, in a WITH, is not in the outer statement's row count.
    """
    writes = False
    refusal = _refuse_node("SelectStmt", statement) if statement.DESCRIPTOR.name == "SelectStmt" else None
    for kind, node in nodes(statement):
        writes = writes or kind in _WRITES
        refusal = refusal or _refuse_node(kind, node)
    return refusal, writes


def write_targets(node: Any) -> tuple[WriteTarget, ...]:
    """What an INSERT or UPDATE stores values in; nothing for a DELETE."""
    if node.DESCRIPTOR.name == "DeleteStmt":
        return ()
    named = node.cols if node.DESCRIPTOR.name == "InsertStmt" else node.target_list
    return (WriteTarget(qualified_name(node.relation), tuple(target.res_target.name for target in named)),)


def refuse_returning(node: Any) -> Refusal | None:
    """RETURNING old.a came after PostgreSQL 16, where that is a table which is not in the query."""
    tables_named = {child.alias.aliasname or child.relname for kind, child in nodes(node) if kind == "RangeVar"}
    for kind, child in nodes(node.returning_clause):
        if kind == "ColumnRef" and len(child.fields) > 1:
            table = child.fields[0].string.sval
            if table in ("old", "new") and table not in tables_named:
                return Refusal("42P01", f'missing FROM-clause entry for table "{table}"')
    return None


def _refuse_node(kind: str, node: Any) -> Refusal | None:
    if kind == "LockingClause":
        return _refuse_locking(node)
    if kind == "FuncCall":
        return _refuse_function([part.string.sval for part in node.funcname])
    if kind == "RangeTableSample":
        return unsupported("TABLESAMPLE clause not supported")
    if kind == "SelectStmt" and node.HasField("into_clause"):
        return unsupported("unsupported statement: CreateTableAs")
    if kind == "MergeStmt":
        return unsupported("unsupported statement type: MERGE")
    if kind in _NEWER_SYNTAX:
        return Refusal(SYNTAX_ERROR, f"syntax error: {_NEWER_SYNTAX[kind]} came after PostgreSQL 16")
    return None


def _refuse_locking(clause: Any) -> Refusal | None:
    if enum_name(clause, "strength") not in ("LCS_FORUPDATE", "LCS_FORKEYSHARE"):
        return unsupported("locking clauses other than FOR UPDATE/FOR KEY SHARE are not supported")
    # DSQL's grammar knows them, but where nothing waits they mean nothing, and code that needs them is wrong there.
    if enum_name(clause, "wait_policy") in ("LockWaitSkip", "LockWaitError"):
        return unsupported("NOWAIT and SKIP LOCKED are not supported")
    return None


def _refuse_function(qualified: list[str]) -> Refusal | None:
    name = qualified[-1] if qualified else ""
    if name in _NEWER_FUNCTIONS and qualified[0] in (name, "pg_catalog"):
        return Refusal("42883", f"function {name}() does not exist")
    if name.startswith(("pg_advisory_", "pg_try_advisory_")):
        return unsupported(f"advisory locks are not supported: {name}")
    if name in ("set_config", "pg_notify"):
        return unsupported(f"function {name} not supported")
    if name in _TEXT_SEARCH:
        return Refusal("42704", 'text search configuration "english" does not exist')
    return None
