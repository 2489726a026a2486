"""What pages ask the registry of formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import template
from django.urls import reverse

from core import language
from sales.formats import Format, get_format, list_formats
from sales.things import Things

register = template.Library()


@dataclass(frozen=True, slots=True)
class Tab:
    """A fan's list of what they have in the sales of one format."""

    format: Format
    url: str


@register.simple_tag
def mine_tabs() -> list[Tab]:
    return [Tab(format, reverse(format.mine)) for format in list_formats() if format.mine]


@dataclass(frozen=True, slots=True)
class StatementPart:
    """A line of a wallet's statement, with the purchase that it was for, if it was for one."""

    row: Any
    title: str = ""
    url: str = ""


@register.simple_tag
def with_purchases(rows: Sequence[Any]) -> list[StatementPart]:
    ids = {row.line.subject_id for row in rows}
    bought = {
        record.id: (getattr(record, things.terms).sale.title, reverse(things.page, args=[record.id]))
        for format in list_formats()
        for things in format.things
        for record in things.by_ids(ids)
    }
    return [StatementPart(row, *bought.get(row.line.subject_id, ())) for row in rows]


@register.simple_tag
def all_formats() -> list[Format]:
    return list_formats()


@register.simple_tag
def format_of(sale: Any) -> Format:
    return get_format(sale.format)


@register.filter
def a(noun: str) -> str:
    """The noun with its article: "a drop", "an auction". Only English does that without knowing more."""
    if language.language() != "en":
        return noun
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


@register.simple_tag
def format_url(format: Format, page: str, *args: Any) -> str:
    """A page of the format's own: `{% format_url format "console" shop.handle sale.id %}`."""
    return format.url(page, *args)


@register.simple_tag
def export_url(format: Format, handle: str, sale_id: UUID, things: Things[Any], kind: str) -> str:
    """A sale's purchases of one kind as a file."""
    return format.url("export", handle, sale_id, things.slug, kind)
