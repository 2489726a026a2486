from __future__ import annotations

from typing import Any

from django import template
from django.http import QueryDict

register = template.Library()


@register.filter
def has(query: QueryDict, name: str) -> bool:
    return name in query


@register.simple_tag(takes_context=True)
def next_page(context: dict[str, Any], param: str, cursor: str) -> str:
    """This page's address, whose search and filters stay, with the next cursor."""
    query = context["request"].GET.copy()
    query[param] = cursor
    return f"?{query.urlencode()}"


@register.simple_tag(takes_context=True)
def first_page(context: dict[str, Any], param: str) -> str:
    query = context["request"].GET.copy()
    query.pop(param, None)
    return f"?{query.urlencode()}"


@register.simple_tag(takes_context=True)
def with_query(context: dict[str, Any], **changes: Any) -> str:
    """This page's address with these wishes changed; None takes one away. It begins at the first page again."""
    query = context["request"].GET.copy()
    for name in ("open", "upcoming", "past", "after"):
        query.pop(name, None)
    for name, value in changes.items():
        query.pop(name, None)
        if value is not None:
            query[name] = str(value)
    return f"?{query.urlencode()}"
