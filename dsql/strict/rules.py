"""What DSQL makes of a statement: text in, verdict out. No database is asked.

A kind of statement that is not listed here is refused. Text that does not parse goes to the server, whose syntax
error is the right answer. Facts that only the catalog knows (is this column the primary key?) become the verdict's
`question`, which `catalog` answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import postgast
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from dsql.strict import tables
from dsql.strict.locks import RowLocks, find_row_locks
from dsql.strict.queries import look_inside, refuse_returning, write_targets
from dsql.strict.refusals import Refusal, unsupported
from dsql.strict.sizes import WriteTarget
from dsql.strict.tree import enum_name

# A text of several statements that begins with BEGIN, which can be run one by one: each then finds the server in the
# state that it would find it in. Run as a whole, it is refused.
SCRIPT = "script"
CACHED_TEXTS = 4096
# Longer texts carry literals and will not come again; keeping them would only cost memory.
CACHED_TEXT_LENGTH = 20_000

SETTABLE = frozenset(
    {
        "application_name",
        "client_encoding",
        "datestyle",
        "extra_float_digits",
        "intervalstyle",
        "timezone",
        "search_path",
        "dsql.enable_batched_nestloop",
        "disable_sync_create_index",
    }
)
# A placeholder becomes a string constant, the one thing that every place for a value accepts.
_PLACEHOLDER = re.compile(r"%(?:%|(?:\([^)]*\))?[sbt])")
# Every refusal and every write inside a query needs one of these words. Most queries have none, and need no walk
# through their parse tree, which costs ten times as much as parsing.
_DEEP_WORDS = re.compile(
    r"share|no\s+key|skip|nowait|sample|into|merge|insert|update|delete|advisory|set_config|notify|tsquery|tsvector|u&"
    r"|json_(?:value|query|exists|table|scalar|serialize)|\bjson\s*\(|uuidv|uuid_extract|to_bin|to_oct|to_regtypemod"
    r"|array_sort|array_reverse|casefold|crc32|gamma|unicode|xmltext|pg_basetype",
    re.IGNORECASE,
)
_QUERY_START = re.compile(
    r"[\s(]*(?:select|with|insert|update|delete|explain\s+(?:\([^)]*\)\s*|analyze\s+|verbose\s+)*\(*select)\b",
    re.IGNORECASE,
)
_MAY_LOCK_ROWS = frozenset({"select_stmt", "insert_stmt", "update_stmt", "delete_stmt"})
_JOBS_TEXT = re.compile(r"\bsys\s*\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Job:
    """An asynchronous job that a statement starts."""

    job_type: str
    object_name: str


class _Text(NamedTuple):
    """What the judges of single statements need to know about the whole text."""

    is_async: bool
    has_deep_words: bool
    names_method: bool  # somewhere an index is created USING an access method


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a statement, or with a text of several.

    `sql` replaces the text when it is not None. `hides_writes` says that the cursor's row count does not tell how
    many rows changed; `stores_values` that the values sent are stored.
    """

    kind: str = ""
    refusal: Refusal | None = None
    sql: str | None = None
    ddl_count: int = 0
    writes: bool = False
    hides_writes: bool = False
    counts_each: bool = False  # several statements: the written rows are the sum of all results' counts
    stores_values: bool = False
    begins: bool = False
    ends_transaction: bool = False
    commits: bool = False
    job: Job | None = None
    uses_jobs: bool = False
    locks: RowLocks | None = None
    question: tables.CatalogQuestion | None = None  # what must be asked before the statement may run
    targets: tuple[WriteTarget, ...] = ()
    takes_arrays: bool = False

    @property
    def is_ddl(self) -> bool:
        return self.ddl_count > 0

    @property
    def is_dml(self) -> bool:
        return self.writes


def judge(text: str, has_placeholders: bool = False) -> Verdict:
    """The verdict on `text`; with `has_placeholders`, on the template that psycopg fills in."""
    if len(text) > CACHED_TEXT_LENGTH:
        return _judge(text, has_placeholders)
    return _judge_cached(text, has_placeholders)


def _judge(text: str, has_placeholders: bool) -> Verdict:
    rewritten, async_count, names_method = _in_postgresql(text)
    try:
        parsed = postgast.parse(_PLACEHOLDER.sub(_constant, rewritten) if has_placeholders else rewritten)
    except postgast.PgQueryError:
        return Verdict(kind="unparsed", sql=rewritten if rewritten != text else None)
    except DecodeError:
        return _judge_too_deep(text)
    context = _Text(async_count > 0, _DEEP_WORDS.search(text) is not None, names_method)
    verdicts = [_judge_statement(raw.stmt, context) for raw in parsed.stmts]
    verdict = _combine(verdicts)
    uses_jobs = verdict.job is not None or _JOBS_TEXT.search(text) is not None
    locks = None
    if verdict.kind in _MAY_LOCK_ROWS and verdict.refusal is None and context.has_deep_words:
        locks = find_row_locks(getattr(parsed.stmts[0].stmt, verdict.kind), rewritten)
    sql = rewritten if rewritten != text else None
    return replace(verdict, sql=sql, uses_jobs=uses_jobs, locks=locks, takes_arrays="[]" in text)


def _judge_too_deep(text: str) -> Verdict:
    """The verdict on what nests deeper than a parse tree can be passed on, such as a hundred parts of one UNION.

    A single query or write is counted, but what is inside is not judged. Anything else is refused.
    """
    if ";" in text.strip().rstrip(";") or not _QUERY_START.match(text):
        return Verdict(kind="too deep", refusal=unsupported("a statement that nests too deeply to be judged"))
    writes = _DEEP_WORDS.search(text) is not None
    return Verdict(kind="too deep", writes=writes, hides_writes=writes)


_judge_cached = lru_cache(maxsize=CACHED_TEXTS)(_judge)


def _constant(match: re.Match[str]) -> str:
    return "%" if match[0] == "%%" else "'1'"


def _combine(verdicts: list[Verdict]) -> Verdict:
    if len(verdicts) == 1:
        return verdicts[0]
    if not verdicts:
        return Verdict(kind="empty")
    refusal = next((verdict.refusal for verdict in verdicts if verdict.refusal), None)
    writes = any(verdict.writes for verdict in verdicts)
    ddl_count = sum(verdict.ddl_count for verdict in verdicts)
    if any(verdict.kind == "transaction_stmt" or verdict.job for verdict in verdicts):
        unjudged = unsupported("several statements at once with BEGIN, COMMIT or ASYNC among them are not judged")
        if verdicts[0].begins:
            return Verdict(kind=SCRIPT, refusal=unjudged, ddl_count=ddl_count, writes=writes)
        refusal = refusal or unjudged
    if ddl_count > 1:
        refusal = unsupported("multiple ddl statements not supported in a transaction")
    elif ddl_count and writes:
        refusal = unsupported("ddl and dml are not supported in the same transaction")
    return Verdict(
        kind="several",
        refusal=refusal,
        ddl_count=ddl_count,
        writes=writes,
        # Row counts of several plain statements can be added up; a SELECT among them counts what it shows, not writes.
        counts_each=writes and all(verdict.writes and not verdict.hides_writes for verdict in verdicts),
        hides_writes=writes and any(verdict.hides_writes or not verdict.writes for verdict in verdicts),
        stores_values=any(verdict.stores_values for verdict in verdicts),
        question=next((verdict.question for verdict in verdicts if verdict.question), None),
        targets=tuple(target for verdict in verdicts for target in verdict.targets),
    )


def _in_postgresql(text: str) -> tuple[str, int, bool]:
    """`text` in PostgreSQL's grammar, the number of ASYNC in it, and whether an index names another access method.

    PostgreSQL can parse neither the ASYNC of CREATE INDEX and ALTER TABLE nor find the access method `btree_index`.
    Its parser does not tell `USING btree` from no USING at all.
    """
    lowered = text.lower()
    if "async" not in lowered and not ("using" in lowered and "index" in lowered):
        return text, 0, False
    data = text.encode()
    try:
        tokens = postgast.scan(text).tokens
    except postgast.PgQueryError:
        return text, 0, False
    spans = [(token.start, token.end) for token in tokens]
    words = [data[start:end].decode().upper() for start, end in spans]
    cuts = [spans[n] for n in range(len(words)) if _is_async(words, n)]
    async_count = len(cuts)
    methods = [n + 1 for n in range(len(words)) if _names_method(words, n)]
    ours = [n for n in methods if words[n] == "BTREE_INDEX"]
    cuts += [(spans[n - 1][0], spans[n][1]) for n in ours]
    for start, end in sorted(cuts, reverse=True):
        data = data[:start] + data[end:].lstrip()
    return data.decode(), async_count, len(ours) < len(methods)


def _is_async(words: list[str], n: int) -> bool:
    return words[n] == "ASYNC" and (
        words[max(n - 2, 0) : n] in (["CREATE", "INDEX"], ["ALTER", "TABLE"])
        or words[max(n - 3, 0) : n] == ["CREATE", "UNIQUE", "INDEX"]
    )


def _names_method(words: list[str], n: int) -> bool:
    """Whether the word is the USING of a CREATE INDEX: between ON with its table and the bracket of the columns."""
    if words[n] != "USING":
        return False
    start = max((at for at in range(n) if words[at] == ";"), default=-1) + 1
    before = words[start:n]
    is_index = before[:2] == ["CREATE", "INDEX"] or before[:3] == ["CREATE", "UNIQUE", "INDEX"]
    return is_index and "(" not in before


# -- one statement


def _judge_statement(statement: Any, text: _Text) -> Verdict:
    kind = statement.WhichOneof("node")
    node = getattr(statement, kind)
    judge_kind = _JUDGES.get(kind)
    if judge_kind is not None:
        verdict = judge_kind(node, text)
    elif kind in _PLAIN_DDL:
        verdict = Verdict(ddl_count=1)
    elif kind in _HARMLESS:
        verdict = Verdict()
    else:
        verdict = Verdict(refusal=unsupported(f"unsupported statement: {_words(kind)}"))
    return replace(verdict, kind=kind)


_PLAIN_DDL = frozenset(
    {
        "alter_domain_stmt",
        "comment_stmt",
        "create_role_stmt",
        "alter_role_stmt",
        "drop_role_stmt",
        "grant_role_stmt",
        "alter_default_privileges_stmt",
        "alter_owner_stmt",
        "alter_object_schema_stmt",
        "create_stats_stmt",
        "alter_stats_stmt",
    }
)
_HARMLESS = frozenset({"variable_show_stmt", "constraints_set_stmt", "call_stmt"})


def _judge_query(node: Any, text: _Text) -> Verdict:
    if not text.has_deep_words:
        return Verdict()
    refusal, writes = look_inside(node)
    return Verdict(refusal=refusal, writes=writes, hides_writes=writes, stores_values=writes)


def _judge_write(node: Any, text: _Text) -> Verdict:
    refusal, hides_writes = look_inside(node)
    targets = write_targets(node)
    refusal = refusal or refuse_returning(node)
    return Verdict(
        refusal=refusal, writes=True, hides_writes=hides_writes, stores_values=bool(targets), targets=targets
    )


def _judge_merge(node: Any, text: _Text) -> Verdict:
    return Verdict(refusal=unsupported("unsupported statement type: MERGE"))


def _judge_explain(node: Any, text: _Text) -> Verdict:
    if node.query.WhichOneof("node") != "select_stmt":
        return Verdict(refusal=unsupported("EXPLAIN of statements other than SELECT not supported"))
    return _judge_query(node.query.select_stmt, text)


def _judge_copy(node: Any, text: _Text) -> Verdict:
    if node.is_from or node.filename or node.is_program:
        return Verdict(refusal=unsupported("unsupported statement: Copy"))
    if not node.HasField("query"):
        return Verdict()
    inside = _judge_statement(node.query, text)
    return Verdict(refusal=unsupported("unsupported statement: Copy") if inside.writes else inside.refusal)


# -- transactions and settings


_SAVEPOINT_WORDS = {
    "TRANS_STMT_SAVEPOINT": "SAVEPOINT",
    "TRANS_STMT_RELEASE": "RELEASE",
    "TRANS_STMT_ROLLBACK_TO": "ROLLBACK TO",
    "TRANS_STMT_PREPARE": "PREPARE TRANSACTION",
    "TRANS_STMT_COMMIT_PREPARED": "COMMIT PREPARED",
    "TRANS_STMT_ROLLBACK_PREPARED": "ROLLBACK PREPARED",
}


def _judge_transaction(node: Any, text: _Text) -> Verdict:
    kind = enum_name(node, "kind")
    if kind in _SAVEPOINT_WORDS:
        return Verdict(refusal=unsupported(f"unsupported transaction statement: {_SAVEPOINT_WORDS[kind]}"))
    if node.chain:
        return Verdict(refusal=unsupported("unsupported transaction statement: AND CHAIN"))
    commits = kind == "TRANS_STMT_COMMIT"
    return Verdict(
        refusal=_refuse_isolation(node.options),
        begins=kind in ("TRANS_STMT_BEGIN", "TRANS_STMT_START"),
        ends_transaction=commits or kind == "TRANS_STMT_ROLLBACK",
        commits=commits,
    )


def _refuse_isolation(options: Any) -> Refusal | None:
    for option in options:
        if option.def_elem.defname == "transaction_isolation":
            level = option.def_elem.arg.a_const.sval.sval
            if level != "repeatable read":
                return unsupported(f"Unsupported isolation level: {level.upper()}")
    return None


def _judge_set(node: Any, text: _Text) -> Verdict:
    name = node.name.lower()
    kind = enum_name(node, "kind")
    if kind == "VAR_SET_MULTI":  # SET TRANSACTION and SET SESSION CHARACTERISTICS
        return Verdict(refusal=_refuse_isolation(node.args) or _not_settable("TRANSACTION"))
    is_allowed = kind == "VAR_RESET_ALL" or is_settable(name) or (name == "role" and node.is_local)
    return Verdict(refusal=None if is_allowed else _not_settable(node.name))


def is_settable(name: str) -> bool:
    """Whether DSQL lets a client set the parameter `name`."""
    return name.lower() in SETTABLE or name.lower().startswith("enable_")


def _not_settable(name: str) -> Refusal:
    return unsupported(f'setting configuration parameter "{name}" not supported')


def _judge_vacuum(node: Any, text: _Text) -> Verdict:
    return Verdict(refusal=unsupported("unsupported VACUUM statement") if node.is_vacuumcmd else None)


def _judge_deallocate(node: Any, text: _Text) -> Verdict:
    return Verdict(refusal=unsupported("unsupported statement: Deallocate") if node.name else None)


# -- schema


def _judge_create_schema(node: Any, text: _Text) -> Verdict:
    inside = [_judge_statement(element, text).refusal for element in node.schema_elts]
    return Verdict(refusal=next((refusal for refusal in inside if refusal), None), ddl_count=1)


def _judge_create_domain(node: Any, text: _Text) -> Verdict:
    return Verdict(refusal=tables.refuse_create_domain(node), ddl_count=1)


def _judge_create_table(node: Any, text: _Text) -> Verdict:
    question = tables.question_of_create(node)
    return Verdict(refusal=tables.refuse_create_table(node), ddl_count=1, question=question)


def _judge_alter_table(node: Any, text: _Text) -> Verdict:
    refusal = tables.refuse_alter_table(node, text.is_async)
    job = None
    if text.is_async and refusal is None:
        job = Job("CONSTRAINT_VALIDATION", node.cmds[0].alter_table_cmd.name)
    return Verdict(refusal=refusal, ddl_count=1, job=job, question=tables.question_of_alter(node))


def _judge_index(node: Any, text: _Text) -> Verdict:
    job = Job("INDEX_BUILD", node.idxname or node.relation.relname) if text.is_async else None
    refusal = tables.refuse_index(node, text.is_async, text.names_method)
    return Verdict(refusal=refusal, ddl_count=1, job=job, question=tables.question_of_index(node))


def _judge_drop(node: Any, text: _Text) -> Verdict:
    if enum_name(node, "remove_type") not in tables.DROPPABLE:
        return Verdict(refusal=unsupported("unsupported object in DROP statement"), ddl_count=1)
    if node.concurrent:
        return Verdict(refusal=unsupported("CONCURRENTLY not supported for DROP INDEX"), ddl_count=1)
    return Verdict(ddl_count=1)


def _judge_rename(node: Any, text: _Text) -> Verdict:
    # Sources disagree about ALTER INDEX ... RENAME, so it is refused until a cluster has been asked.
    if enum_name(node, "rename_type") not in tables.RENAMABLE:
        return Verdict(refusal=unsupported("unsupported statement: Rename"), ddl_count=1)
    return Verdict(ddl_count=1)


def _judge_sequence(node: Any, text: _Text) -> Verdict:
    if node.HasField("sequence") and node.sequence.relpersistence == "t":
        return Verdict(refusal=unsupported("TEMPORARY or TEMP sequence not supported"), ddl_count=1)
    refusal = None if tables.has_valid_cache(node.options) else unsupported(tables.SEQUENCE_WITHOUT_CACHE)
    return Verdict(refusal=refusal, ddl_count=1)


def _judge_alter_sequence(node: Any, text: _Text) -> Verdict:
    refusal = unsupported(tables.SEQUENCE_WITHOUT_CACHE) if tables.names_other_cache(node.options) else None
    return Verdict(refusal=refusal, ddl_count=1)


def _judge_view(node: Any, text: _Text) -> Verdict:
    if node.view.relpersistence == "t":
        return Verdict(refusal=unsupported("TEMPORARY or TEMP view not supported"), ddl_count=1)
    return Verdict(refusal=look_inside(node.query)[0], ddl_count=1)


def _judge_function(node: Any, text: _Text) -> Verdict:
    if node.is_procedure:
        return Verdict(refusal=unsupported("PROCEDURE is not supported"), ddl_count=1)
    languages = [o.def_elem.arg.string.sval for o in node.options if o.def_elem.defname == "language"]
    language = languages[0].lower() if languages else "sql"
    if language != "sql":
        return Verdict(refusal=unsupported(f"CREATE FUNCTION with language {language} not supported"), ddl_count=1)
    return Verdict(ddl_count=1)


def _judge_grant(node: Any, text: _Text) -> Verdict:
    on_public = enum_name(node, "objtype") == "OBJECT_SCHEMA" and any(o.string.sval == "public" for o in node.objects)
    refusal = unsupported("feature not supported on system entity") if on_public and node.is_grant else None
    return Verdict(refusal=refusal, ddl_count=1)


def _refused(message: str) -> Callable[[Any, _Text], Verdict]:
    return lambda node, text: Verdict(refusal=unsupported(message))


_JUDGES: dict[str, Callable[[Any, _Text], Verdict]] = {
    "select_stmt": _judge_query,
    "insert_stmt": _judge_write,
    "update_stmt": _judge_write,
    "delete_stmt": _judge_write,
    "merge_stmt": _judge_merge,
    "explain_stmt": _judge_explain,
    "copy_stmt": _judge_copy,
    "transaction_stmt": _judge_transaction,
    "variable_set_stmt": _judge_set,
    "vacuum_stmt": _judge_vacuum,
    "deallocate_stmt": _judge_deallocate,
    "create_schema_stmt": _judge_create_schema,
    "create_domain_stmt": _judge_create_domain,
    "create_stmt": _judge_create_table,
    "alter_table_stmt": _judge_alter_table,
    "index_stmt": _judge_index,
    "drop_stmt": _judge_drop,
    "rename_stmt": _judge_rename,
    "create_seq_stmt": _judge_sequence,
    "alter_seq_stmt": _judge_alter_sequence,
    "view_stmt": _judge_view,
    "create_function_stmt": _judge_function,
    "grant_stmt": _judge_grant,
    "create_trig_stmt": _refused("CREATE TRIGGER not supported"),
    "create_enum_stmt": _refused("CREATE TYPE not supported"),
    "define_stmt": _refused("CREATE TYPE not supported"),
    "alter_enum_stmt": _refused("ALTER TYPE not supported"),
    "alter_type_stmt": _refused("ALTER TYPE not supported"),
    "composite_type_stmt": _refused("unsupported statement: CompositeType"),
    "create_range_stmt": _refused("unsupported statement: CreateRange"),
}


def _words(kind: str) -> str:
    """A kind of statement as DSQL names it: create_extension_stmt is CreateExtension."""
    return "".join(word.capitalize() for word in kind.removesuffix("_stmt").split("_"))
