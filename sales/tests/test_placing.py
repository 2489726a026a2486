"""The hot routes of all formats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from core.lean import Text
from sales.formats import list_formats
from sales.placing import Place

PLACES = [place for format in list_formats() for place in format.places]


class Plain(msgspec.Struct):
    name: str | None


class Guarded(msgspec.Struct):
    names: list[Text]


def texts_in(kind: Any) -> Iterator[inspect.StrType]:
    """Every text in the type, however deep."""
    if isinstance(kind, inspect.StrType):
        yield kind
    for name in getattr(kind, "__struct_fields__", ()):
        part = getattr(kind, name)
        for each in part if isinstance(part, tuple) else (part,):
            if isinstance(each, inspect.Type | inspect.Field):
                yield from texts_in(each)


def takes_what_no_column_can_store(body: type[msgspec.Struct]) -> bool:
    return any(text.pattern is None or re.match(text.pattern, "a\x00") for text in texts_in(inspect.type_info(body)))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.operation_id)
def test_no_hot_body_takes_the_nul_character(place: Place) -> None:
    assert not takes_what_no_column_can_store(place.body)


def test_a_plain_text_is_found() -> None:
    assert takes_what_no_column_can_store(Plain)
    assert not takes_what_no_column_can_store(Guarded)
