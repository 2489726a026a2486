"""In which order tables are emptied when foreign keys are enforced."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

REFERENCES_SQL = """
    SELECT child.relname, parent.relname
    FROM pg_constraint con JOIN pg_class child ON child.oid = con.conrelid JOIN pg_class parent ON parent.oid = con.confrelid
    WHERE con.contype = 'f' AND pg_catalog.pg_table_is_visible(child.oid)
"""


def read_references(connection: Any) -> list[tuple[str, str]]:
    """Every foreign key of the database, as (child table, parent table)."""
    with connection.cursor() as cursor:
        cursor.execute(REFERENCES_SQL)
        return cursor.fetchall()


def deletion_groups(tables: Sequence[str], references: Iterable[tuple[str, str]]) -> list[list[str]]:
    """`tables` with children before their parents; those that refer to each other in a circle are one group."""
    children: dict[str, set[str]] = {table: set() for table in tables}
    for child, parent in references:
        if child in children and parent in children:
            children[parent].add(child)
    below = {table: _all_below(table, children) for table in tables}
    groups: list[list[str]] = []
    # A child and all below it are below its parent too, so the parent has more, unless they form a circle.
    for table in sorted(tables, key=lambda table: len(below[table] | {table})):
        circle = [other for other in tables if other in below[table] and table in below[other]]
        group = circle or [table]
        if group not in groups:
            groups.append(group)
    return groups


def refers_to_itself(group: Collection[str], references: Iterable[tuple[str, str]]) -> bool:
    """Whether rows of `group` refer to rows of it, so that they can only go together."""
    return any(child in group and parent in group for child, parent in references)


def _all_below(table: str, children: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(children[table])
    while waiting:
        child = waiting.pop()
        if child not in found:
            found.add(child)
            waiting += children[child]
    return found
