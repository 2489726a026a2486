"""What DSQL takes in a table, a column, a constraint and an index. Called by `rules` with nodes of the parse tree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import postgast

from dsql.strict.refusals import LIMIT_EXCEEDED, SYNTAX_ERROR, Refusal, unsupported
from dsql.strict.tree import enum_name, qualified_name, quoted

COLUMNS_MAX = 256  # as a cluster was seen to; 255 are documented
INDEXES_MAX = 24  # a table's, with its primary key
KEY_COLUMNS_MAX = 8
VARCHAR_BYTES_MAX = 65_535
CHAR_BYTES_MAX = 4_096
KEY_BYTES_MAX = 2_000  # declared
BIG_CACHE_MIN = 65_536
TOO_MANY_COLUMNS = "54011"
SEQUENCE_WITHOUT_CACHE = "sequence is not supported without an explicit cache size"
IDENTITY_WITHOUT_CACHE = "identity column is not supported without an explicit cache size"

DROPPABLE = frozenset(
    {
        "OBJECT_TABLE",
        "OBJECT_INDEX",
        "OBJECT_VIEW",
        "OBJECT_SEQUENCE",
        "OBJECT_SCHEMA",
        "OBJECT_FUNCTION",
        "OBJECT_ROUTINE",
        "OBJECT_DOMAIN",
        "OBJECT_STATISTIC_EXT",
    }
)
RENAMABLE = frozenset(
    {
        "OBJECT_TABLE",
        "OBJECT_COLUMN",
        "OBJECT_TABCONSTRAINT",
        "OBJECT_VIEW",
        "OBJECT_SCHEMA",
        "OBJECT_SEQUENCE",
        "OBJECT_ROLE",
        "OBJECT_FUNCTION",
        "OBJECT_DOMAIN",
    }
)
ALTERABLE = frozenset({"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_SEQUENCE"})
# ALTER TABLE actions that need no closer look.
_PLAIN_ACTIONS = frozenset(
    {
        "AT_DropColumn",
        "AT_ColumnDefault",
        "AT_DropNotNull",
        "AT_SetStorage",
        "AT_DropIdentity",
        "AT_DropExpression",
        "AT_DropConstraint",
        "AT_AlterConstraint",
        "AT_ChangeOwner",
    }
)
_REFUSED_ACTIONS = {
    "AT_AlterColumnType": "unsupported ALTER TABLE ALTER COLUMN ... SET DATA TYPE statement",
    "AT_SetNotNull": "unsupported ALTER TABLE ALTER COLUMN ... SET NOT NULL statement",
    "AT_SetStatistics": "unsupported ALTER TABLE ALTER COLUMN ... SET STATISTICS statement",
}
# Types as PostgreSQL displays them, where that differs from the name in the parse tree.
_DISPLAYED = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "bpchar": "character",
    "varchar": "character varying",
    "timetz": "time with time zone",
    "timestamptz": "timestamp with time zone",
    "varbit": "bit varying",
}
_SERIALS = frozenset({"serial", "serial2", "serial4", "serial8", "bigserial", "smallserial"})
# A name that is in neither list may be a domain, so the server decides.
_REFUSED_TYPES = frozenset(
    [
        "money",
        "xml",
        "inet",
        "cidr",
        "macaddr",
        "macaddr8",
        "point",
        "line",
        "lseg",
        "box",
        "path",
        "polygon",
        "circle",
        "tsvector",
        "tsquery",
        "bit",
        "varbit",
        "pg_lsn",
        "int4range",
        "int8range",
        "numrange",
        "daterange",
        "tsrange",
        "tstzrange",
        "int4multirange",
        "int8multirange",
        "nummultirange",
        "datemultirange",
        "tsmultirange",
        "tstzmultirange",
        "txid_snapshot",
        "pg_snapshot",
        "citext",
        "hstore",
        "jsonpath",
        # Types of the system's own tables.
        "char",
        "cid",
        "name",
        "oid",
        "refcursor",
        "regclass",
        "regtype",
        "tid",
        "xid",
        "xid8",
    ]
)
# What a key may consist of, and which types of columns it may not.
_KEY_TYPES = frozenset(
    [
        "int2",
        "int4",
        "int8",
        "float4",
        "float8",
        "numeric",
        "bpchar",
        "varchar",
        "text",
        "bool",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "uuid",
    ]
)
_NO_KEY_TYPES = frozenset({"json", "jsonb", "bytea", "interval", "timetz"})


@dataclass(frozen=True, slots=True)
class CatalogQuestion:
    """What a DDL statement does, for the rules that only the catalog can decide.

    `table` is the one it changes, quoted, and the columns are plain names. `key_sql` is a query whose columns have the
    types of a key that it makes.
    """

    table: str = ""
    dropped_columns: tuple[str, ...] = ()
    added_columns: int = 0
    added_indexes: int = 0
    key_sql: str = ""


def refuse_create_table(node: Any) -> Refusal | None:
    """Why DSQL refuses this CREATE TABLE, or None."""
    persistence = node.relation.relpersistence
    if persistence == "t":
        return unsupported("TEMPORARY or TEMP table not supported for CREATE TABLE")
    if persistence == "u":
        return unsupported("UNLOGGED table not supported for CREATE TABLE")
    if node.inh_relations or node.HasField("partspec") or node.HasField("partbound"):
        return unsupported("INHERITS and PARTITION not supported for CREATE TABLE")
    if node.options or node.tablespacename or node.access_method:
        return unsupported("storage options not supported for CREATE TABLE")
    columns = [element.column_def for element in node.table_elts if element.HasField("column_def")]
    constraints = [element.constraint for element in node.table_elts if element.HasField("constraint")]
    if len(columns) > COLUMNS_MAX:
        return too_many_columns()
    if _count_keys(columns, constraints) > INDEXES_MAX:
        return too_many_indexes()
    refusals = [refuse_column(column) for column in columns]
    refusals += [_refuse_table_constraint(constraint) for constraint in constraints]
    refusals += [_refuse_key_size(columns, constraint) for constraint in constraints]
    return _first(refusals)


def refuse_create_domain(node: Any) -> Refusal | None:
    """Why DSQL refuses this CREATE DOMAIN, or None."""
    if node.HasField("coll_clause"):
        return unsupported("COLLATE clause not supported")
    return refuse_type(node.type_name)


def refuse_column(column: Any) -> Refusal | None:
    """Why DSQL refuses this column in CREATE TABLE, or None."""
    if refusal := refuse_type(column.type_name):
        return refusal
    if column.HasField("coll_clause"):
        return unsupported("COLLATE clause not supported")
    return _first(_refuse_column_constraint(column, element.constraint) for element in column.constraints)


def refuse_type(type_name: Any) -> Refusal | None:
    """Why DSQL refuses a column of this type, or None."""
    name = _type(type_name)
    if name in _SERIALS:
        return Refusal("42704", f'type "{name}" does not exist')
    displayed = _DISPLAYED.get(name, name)
    if type_name.array_bounds:
        return unsupported(f"datatype {displayed}[] not supported")
    if name in _REFUSED_TYPES:
        return unsupported(f"datatype {displayed} not supported")
    size = _size(type_name)
    if name == "varchar" and size > VARCHAR_BYTES_MAX:
        return Refusal(LIMIT_EXCEEDED, f"Datatype limit greater than {VARCHAR_BYTES_MAX} bytes")
    if name == "bpchar" and size > CHAR_BYTES_MAX:
        return Refusal(LIMIT_EXCEEDED, f"Datatype limit greater than {CHAR_BYTES_MAX} bytes")
    return None


def refuse_alter_table(node: Any, is_async: bool) -> Refusal | None:
    """Why DSQL refuses this ALTER TABLE, or None. `is_async` says that the word ASYNC was there."""
    if enum_name(node, "objtype") not in ALTERABLE:
        return unsupported("unsupported statement: AlterTable")
    actions = [element.alter_table_cmd for element in node.cmds]
    if is_async and [enum_name(action, "subtype") for action in actions] != ["AT_ValidateConstraint"]:
        return unsupported("ASYNC is supported for VALIDATE CONSTRAINT only")
    return _first(_refuse_action(action, is_async) for action in actions)


def _refuse_action(action: Any, is_async: bool) -> Refusal | None:
    kind = enum_name(action, "subtype")
    if kind in _PLAIN_ACTIONS:
        return None
    if kind == "AT_AddColumn":
        return _refuse_added_column(getattr(action, "def").column_def)
    if kind == "AT_AddConstraint":
        return _refuse_added_constraint(getattr(action, "def").constraint)
    if kind == "AT_AddIdentity":
        return (
            None if has_valid_cache(getattr(action, "def").constraint.options) else unsupported(IDENTITY_WITHOUT_CACHE)
        )
    if kind == "AT_SetIdentity":
        options = getattr(action, "def").list.items
        return unsupported(IDENTITY_WITHOUT_CACHE) if names_other_cache(options) else None
    if kind == "AT_ValidateConstraint":
        return None if is_async else unsupported("unsupported ALTER TABLE VALIDATE CONSTRAINT statement")
    words = kind.removeprefix("AT_")
    return unsupported(_REFUSED_ACTIONS.get(kind, f"unsupported ALTER TABLE {words} statement"))


def _refuse_added_column(column: Any) -> Refusal | None:
    if refusal := refuse_type(column.type_name):
        return refusal
    if column.HasField("coll_clause"):
        return unsupported("COLLATE clause not supported")
    if any(enum_name(element.constraint, "contype") != "CONSTR_NULL" for element in column.constraints):
        return unsupported("ALTER TABLE ADD COLUMN with constraint not supported")
    return None


def _refuse_added_constraint(constraint: Any) -> Refusal | None:
    kind = enum_name(constraint, "contype")
    if refusal := _refuse_newer(constraint):
        return refusal
    if kind in ("CONSTR_CHECK", "CONSTR_FOREIGN") and constraint.skip_validation:
        return None
    if kind == "CONSTR_UNIQUE" and constraint.indexname and not constraint.deferrable:
        return None
    return unsupported("unsupported ALTER TABLE ADD CONSTRAINT statement")


def _refuse_column_constraint(column: Any, constraint: Any) -> Refusal | None:
    kind = enum_name(constraint, "contype")
    if refusal := _refuse_newer(constraint):
        return refusal
    if kind == "CONSTR_IDENTITY":
        type_name = _type(column.type_name)
        if type_name != "int8":
            displayed = _DISPLAYED.get(type_name, type_name)
            return unsupported(f"datatype {displayed} not supported, identity column type must be bigint")
        return None if has_valid_cache(constraint.options) else unsupported(IDENTITY_WITHOUT_CACHE)
    if kind == "CONSTR_GENERATED" and constraint.generated_kind != "s":
        return unsupported("virtual generated columns not supported")
    if kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
        return _refuse_table_constraint(constraint) or _refuse_declared_size(column)
    if kind == "CONSTR_ATTR_DEFERRABLE" and not _refers(column):
        return unsupported("DEFERRABLE is supported for foreign keys only")
    return None


def _refuse_table_constraint(constraint: Any) -> Refusal | None:
    kind = enum_name(constraint, "contype")
    if refusal := _refuse_newer(constraint):
        return refusal
    if kind == "CONSTR_EXCLUSION":
        return unsupported("EXCLUDE constraint not supported")
    if kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
        if constraint.deferrable:
            return unsupported("DEFERRABLE is supported for foreign keys only")
        if len(constraint.keys) > KEY_COLUMNS_MAX:
            return Refusal(TOO_MANY_COLUMNS, f"more than {KEY_COLUMNS_MAX} column keys in a key are not supported")
    return None


def _refuse_newer(constraint: Any) -> Refusal | None:
    """What came after PostgreSQL 16, whose parser DSQL has."""
    kind = enum_name(constraint, "contype")
    is_unenforced = kind in ("CONSTR_CHECK", "CONSTR_FOREIGN") and not constraint.is_enforced
    if is_unenforced or kind in ("CONSTR_ATTR_ENFORCED", "CONSTR_ATTR_NOT_ENFORCED"):
        return Refusal(SYNTAX_ERROR, 'syntax error at or near "ENFORCED"')
    if constraint.without_overlaps or constraint.fk_with_period:
        return Refusal(SYNTAX_ERROR, "syntax error: keys over periods came after PostgreSQL 16")
    return None


def _refuse_key_size(columns: Iterable[Any], constraint: Any) -> Refusal | None:
    if enum_name(constraint, "contype") not in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
        return None
    names = {key.string.sval for key in constraint.keys}
    return _refuse_declared_size(*(column for column in columns if column.colname in names))


def _refuse_declared_size(*key: Any) -> Refusal | None:
    types = [(_type(column.type_name), _size(column.type_name)) for column in key]
    # The others are domains, about which the catalog is asked.
    return refuse_key((name, size) for name, size in types if name in _KEY_TYPES or name in _NO_KEY_TYPES)


def refuse_key(types: Iterable[tuple[str, int]]) -> Refusal | None:
    """Why DSQL refuses a key over values of these types, or None. Each is a name and a declared size (0: none)."""
    size_bytes = 0
    for name, declared in types:
        if name not in _KEY_TYPES:
            return unsupported(f"datatype {_DISPLAYED.get(name, name)} is not supported in a key")
        size_bytes += declared if name in ("varchar", "bpchar") else 0
    if size_bytes > KEY_BYTES_MAX:
        return Refusal(LIMIT_EXCEEDED, f"key size greater than {KEY_BYTES_MAX} bytes not supported")
    return None


def too_many_columns() -> Refusal:
    return Refusal(TOO_MANY_COLUMNS, f"tables can have at most {COLUMNS_MAX} columns")


def too_many_indexes() -> Refusal:
    return Refusal(LIMIT_EXCEEDED, f"more than {INDEXES_MAX} indexes on a table are not supported")


def _count_keys(columns: Iterable[Any], constraints: Iterable[Any]) -> int:
    """How many indexes a CREATE TABLE makes."""
    inline = [element.constraint for column in columns for element in column.constraints]
    kinds = [enum_name(constraint, "contype") for constraint in (*inline, *constraints)]
    return sum(kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE") for kind in kinds)


def refuse_index(node: Any, is_async: bool, names_method: bool) -> Refusal | None:
    """Why DSQL refuses this CREATE INDEX, or None. `names_method` says that the word USING was there."""
    if node.concurrent:
        return unsupported("CONCURRENTLY not supported for CREATE INDEX")
    if names_method:
        return unsupported("USING not supported for CREATE INDEX")
    if not is_async:
        return unsupported("unsupported mode. please use CREATE INDEX ASYNC.")
    if node.options or node.table_space:
        return unsupported("storage options not supported for CREATE INDEX")
    if len(node.index_params) > KEY_COLUMNS_MAX:
        return Refusal(TOO_MANY_COLUMNS, f"more than {KEY_COLUMNS_MAX} column keys in an index are not supported")
    for element in (param.index_elem for param in node.index_params):
        if enum_name(element, "ordering") in ("SORTBY_ASC", "SORTBY_DESC"):
            return unsupported("specifying sort order not supported for index keys")
        if element.opclass:
            return unsupported("opclass not supported for index keys")
        if element.collation:
            return unsupported("COLLATE clause not supported")
    return None


def question_of_alter(node: Any) -> CatalogQuestion | None:
    """What an ALTER TABLE asks of the catalog, or None."""
    actions = [(enum_name(element.alter_table_cmd, "subtype"), element.alter_table_cmd) for element in node.cmds]
    dropped = tuple(action.name for kind, action in actions if kind == "AT_DropColumn")
    added = sum(kind == "AT_AddColumn" for kind, _ in actions)
    if not dropped and not added:
        return None
    return CatalogQuestion(qualified_name(node.relation), dropped_columns=dropped, added_columns=added)


def question_of_index(node: Any) -> CatalogQuestion:
    """What a CREATE INDEX asks of the catalog."""
    elements = [param.index_elem for param in node.index_params]
    parts = ", ".join(quoted(element.name) if element.name else _as_sql(element.expr) for element in elements)
    table = qualified_name(node.relation)
    return CatalogQuestion(table, added_indexes=1, key_sql=f"SELECT {parts} FROM {table} LIMIT 0")  # noqa: S608


def question_of_create(node: Any) -> CatalogQuestion | None:
    """What a CREATE TABLE asks of the catalog, or None: what the domains in its keys are made of."""
    columns = {element.column_def.colname: element.column_def for element in node.table_elts}
    in_key = {key.string.sval for element in node.table_elts if _is_key(element) for key in element.constraint.keys}
    in_key |= {name for name, column in columns.items() if any(map(_is_key, column.constraints))}
    names = [columns[name].type_name.names for name in in_key if name in columns]
    domains = {".".join(quoted(part.string.sval) for part in name) for name in names if not _is_known(name)}
    if not domains:
        return None
    # An element of an array, because NULL alone may be no value of the domain.
    parts = ", ".join(f"(NULL::{domain}[])[1]" for domain in sorted(domains))
    return CatalogQuestion(key_sql=f"SELECT {parts} LIMIT 0")


def _is_key(element: Any) -> bool:
    return element.HasField("constraint") and enum_name(element.constraint, "contype") in (
        "CONSTR_PRIMARY",
        "CONSTR_UNIQUE",
    )


def _is_known(names: Any) -> bool:
    return names[-1].string.sval in _KEY_TYPES | _NO_KEY_TYPES


def _as_sql(expression: Any) -> str:
    parsed = postgast.parse("SELECT 1")
    parsed.stmts[0].stmt.select_stmt.target_list[0].res_target.val.CopyFrom(expression)
    return postgast.deparse(parsed).removeprefix("SELECT ")


def has_valid_cache(options: Iterable[Any]) -> bool:
    """Whether sequence options name a cache of 1 or of at least 65536, the two that DSQL has."""
    size = _cache_of(options)
    return size == 1 or size >= BIG_CACHE_MIN


def names_other_cache(options: Iterable[Any]) -> bool:
    """Whether sequence options name a cache that DSQL does not have."""
    options = list(options)
    return _cache_of(options) != 0 and not has_valid_cache(options)


def _cache_of(options: Iterable[Any]) -> int:
    """The cache that sequence options name; 0 when they name none."""
    for option in options:
        if option.def_elem.defname == "cache":
            constant = option.def_elem.arg
            return constant.integer.ival if constant.HasField("integer") else int(constant.float.fval)
    return 0


def _refers(column: Any) -> bool:
    return any(enum_name(element.constraint, "contype") == "CONSTR_FOREIGN" for element in column.constraints)


def _type(type_name: Any) -> str:
    return type_name.names[-1].string.sval if type_name.names else ""


def _size(type_name: Any) -> int:
    return type_name.typmods[0].a_const.ival.ival if type_name.typmods else 0


def _first(refusals: Iterable[Refusal | None]) -> Refusal | None:
    return next((refusal for refusal in refusals if refusal), None)
