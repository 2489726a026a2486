"""The registry of sale formats. A format is a folder that registers one `Format`; nothing else needs to know it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from django.http import HttpRequest

from accounts.services import Message
from core.errors import NotFound
from core.invariants import Check
from core.money import Money
from sales.models import Sale
from sales.terms import TermValue


class Rules(Protocol):
    """What the spine asks of a format. All but `frame_facts` and `terms` are parts of the spine's transaction.

    Steps are bounded (DSQL takes 3,000 rows a transaction) and safe to run again after a kill.
    """

    def terms(self, sale: Sale) -> Mapping[str, TermValue]:
        """The promises to seal, beside the ones every sale makes."""

    def publish(self, sale: Sale, now: dt.datetime) -> None:
        """Make the rows buyers contend on. Raises Invalid when the sale is not complete."""

    def close(self, sale: Sale, now: dt.datetime) -> None:
        """Let nobody buy any more. Must write the rows every purchase writes, so that the two conflict."""

    def settle_step(self, sale: Sale, now: dt.datetime) -> dt.datetime | None:
        """Pay the next chunk. The time of the next step, or None when this one found nothing left to do."""

    def unwind_step(self, sale: Sale, now: dt.datetime) -> dt.datetime | None:
        """Give the next chunk of buyers of a cancelled sale their money back. Answers like `settle_step`."""

    def messages(self, sale: Sale, event: str, *, after: UUID | None, limit: int) -> Sequence[Message]:
        """What to tell the next fans, in the order of their ids, of an event that the format named (`sales.telling`)."""

    def frame_facts(self, sale_id: UUID) -> tuple[int, dict[str, Any]]:
        """The version of the format's rows and what viewers are shown of them, from one statement."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What a sale has sold so far, for its seller."""

    units: int
    units_total: int | None  # None: as many as want it
    gross: Money


class Presenter(Protocol):
    """What a format shows on the spine's pages."""

    room_template: str
    card_template: str
    totals_template: str
    orders_template: str

    def room(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        """What the room's template needs beside the sale, its frame and its phase, which every room has."""

    def proof(self, sale: Sale) -> dict[str, Any]:
        """What the proof's totals and newest orders need: no names."""

    def sums(self, sales: Collection[Sale]) -> dict[UUID, Sums]: ...

    def console_url(self, sale: Sale) -> str:
        """The seller's page for this sale."""


@dataclass(frozen=True, slots=True)
class Count:
    """The number that a sale is about, read by one statement: the proof reads it through every endpoint of the database."""

    name: str
    sql: str  # `%(sale_id)s` stands for the sale


@dataclass(frozen=True, slots=True)
class Format:
    name: str  # as in Sale.format and in URLs
    label: str
    count: Count
    rules: Rules
    checks: Sequence[Check]
    presenter: Presenter

    def __post_init__(self) -> None:
        assert self.checks, f"the format {self.name} has no checks"


_formats: dict[str, Format] = {}


def register(format: Format) -> None:
    assert format.name not in _formats, format.name
    _formats[format.name] = format


def get_format(name: str) -> Format:
    if name not in _formats:
        raise NotFound("This kind of sale does not exist.")
    return _formats[name]


def list_formats() -> list[Format]:
    return list(_formats.values())
