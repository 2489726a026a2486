"""Walking postgast's parse trees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def nodes(message: Any) -> Iterator[tuple[str, Any]]:
    """Every node below `message`, as (name of its type, node), in no particular order."""
    stack = [message]
    while stack:
        for descriptor, value in stack.pop().ListFields():
            if descriptor.message_type is None:
                continue
            for child in value if hasattr(value, "add") else (value,):
                stack.append(child)
                yield descriptor.message_type.name, child


def enum_name(node: Any, field: str) -> str:
    """The name of the value that the enum `field` of `node` has."""
    descriptor = node.DESCRIPTOR.fields_by_name[field]
    return descriptor.enum_type.values_by_number[getattr(node, field)].name


def qualified_name(relation: Any) -> str:
    """The name of a RangeVar as SQL: quoted, with its schema when it was given."""
    return ".".join(map(quoted, filter(None, (relation.schemaname, relation.relname))))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
