"""What one statement of a migration does to the schema, read from its text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import postgast

from dsql.strict.rules import judge

# What the server says when a thing is there already, and when it is gone already.
_RELATION_EXISTS = frozenset({"42P07"})
_COLUMN_EXISTS = frozenset({"42701"})
_OBJECT_EXISTS = frozenset({"42710"})
_ANY_EXISTS = frozenset({"42P07", "42710", "42P06", "42723"})
_IS_IDENTITY = frozenset({"55000"})
_RELATION_GONE = frozenset({"42P01"})
_COLUMN_GONE = frozenset({"42703"})
_OBJECT_GONE = frozenset({"42704"})
_ANY_GONE = frozenset({"42P01", "42704", "42883", "3F000"})

# PostgreSQL's grammar has no ASYNC.
_ASYNC = re.compile(r"^\s*(CREATE\s+(?:UNIQUE\s+)?INDEX|ALTER\s+TABLE)\s+ASYNC\b", re.IGNORECASE)


class Kind(Enum):
    INDEX = auto()
    VALIDATION = auto()
    WRITE = auto()  # rows, not schema
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Facts:
    """`table` and `name` say which index or constraint the statement is about.

    When the statement has been run before and is run again, one of `errors_of_repeat` is the answer, and `leaves`
    (a kind of thing and its names) is there: only both together prove that it was this statement's doing.
    """

    kind: Kind = Kind.OTHER
    table: str = ""
    name: str = ""
    errors_of_repeat: frozenset[str] = frozenset()
    leaves: tuple[str, ...] = ()


def read(text: str) -> Facts:
    """The facts about `text`; those of an unknown kind when it does not parse or is several statements."""
    verdict = judge(text)
    if verdict.writes and not verdict.is_ddl:
        return Facts(Kind.WRITE)
    try:
        parsed = postgast.parse(_ASYNC.sub(r"\1", text))
    except postgast.PgQueryError:
        return Facts()
    if len(parsed.stmts) != 1:
        return Facts()
    kind = parsed.stmts[0].stmt.WhichOneof("node")
    node = getattr(parsed.stmts[0].stmt, kind)
    if kind == "index_stmt":
        return Facts(Kind.INDEX, node.relation.relname, node.idxname, _RELATION_EXISTS)
    if kind == "create_stmt":
        return Facts(errors_of_repeat=_RELATION_EXISTS, leaves=("table", node.relation.relname))
    if kind == "alter_table_stmt":
        return _read_action(node)
    if kind == "rename_stmt":
        return _read_rename(node)
    if kind == "drop_stmt":
        return Facts(errors_of_repeat=_ANY_GONE)
    return Facts(errors_of_repeat=_ANY_EXISTS if kind.startswith(("create_", "view_", "define_")) else frozenset())


def _read_action(node: Any) -> Facts:
    # The actions of one ALTER TABLE are done together or not at all, so the first one speaks for all.
    action, table = node.cmds[0].alter_table_cmd, node.relation.relname
    subtype = action.DESCRIPTOR.fields_by_name["subtype"].enum_type.values_by_number[action.subtype].name
    made = getattr(action, "def")
    if subtype == "AT_ValidateConstraint":
        return Facts(Kind.VALIDATION, table, action.name)
    if subtype == "AT_AddColumn":
        return Facts(errors_of_repeat=_COLUMN_EXISTS, leaves=("column", table, made.column_def.colname))
    if subtype == "AT_AddConstraint":
        name = made.constraint.conname
        return Facts(table=table, name=name, errors_of_repeat=_OBJECT_EXISTS, leaves=("constraint", table, name))
    if subtype == "AT_AddIdentity":
        return Facts(errors_of_repeat=_IS_IDENTITY, leaves=("identity", table, action.name))
    errors = {"AT_DropColumn": _COLUMN_GONE, "AT_DropConstraint": _OBJECT_GONE}.get(subtype, frozenset())
    return Facts(errors_of_repeat=errors, leaves=("table", table))


def _read_rename(node: Any) -> Facts:
    kind = node.DESCRIPTOR.fields_by_name["rename_type"].enum_type.values_by_number[node.rename_type].name
    table = node.relation.relname
    if kind == "OBJECT_TABLE":
        return Facts(errors_of_repeat=_RELATION_GONE, leaves=("table", node.newname))
    if kind == "OBJECT_COLUMN":
        return Facts(errors_of_repeat=_COLUMN_GONE, leaves=("column", table, node.newname))
    if kind == "OBJECT_TABCONSTRAINT":
        return Facts(errors_of_repeat=_OBJECT_GONE, leaves=("constraint", table, node.newname))
    return Facts()
