"""Where a sale stands for the one who looks: the one table of phases, which pages and their scripts read.

By the clock, as the rules decide: a late scheduler changes nothing. `static/js/phase.js` works the same out from a frame, with
the table that the page brings (`as_data`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext_lazy as _

from sales.formats import get_format
from sales.models import Sale, SaleState


class Phase(StrEnum):
    """Each with its word, and the classes of the badge that shows it."""

    word: str
    badge: str

    def __new__(cls, value: str, word: str = "", badge: str = "") -> Phase:  # with the value alone, one is looked up
        phase = str.__new__(cls, value)
        phase._value_ = value
        phase.word = word
        phase.badge = badge
        return phase

    DRAFT = "draft", _("Draft"), "badge"
    UPCOMING = "upcoming", _("Upcoming"), "badge"
    OPEN = "open", _("Live"), "badge badge--open"
    SOLD_OUT = "sold_out", _("Sold out"), "badge"
    FROZEN = "frozen", _("Paused"), "badge badge--frozen"
    ENDED = "ended", _("Closed"), "badge"
    SETTLED = "settled", _("Settled"), "badge badge--settled"
    CANCELLED = "cancelled", _("Called off"), "badge"

    @property
    def is_open(self) -> bool:
        """On sale by the clock, whether anything is left or not."""
        return self in (Phase.OPEN, Phase.SOLD_OUT)

    @property
    def is_running(self) -> bool:
        """It sells, will sell, or is only paused."""
        return self.is_open or self in (Phase.UPCOMING, Phase.FROZEN)


# States that say where a sale stands. In all others it is the clock that says so.
STANDING: Mapping[str, Phase] = {
    SaleState.DRAFT: Phase.DRAFT,
    SaleState.FROZEN: Phase.FROZEN,
    SaleState.CLOSED: Phase.ENDED,
    SaleState.SETTLING: Phase.ENDED,
    SaleState.SETTLED: Phase.SETTLED,
    SaleState.CANCELLED: Phase.CANCELLED,
}


def phase_of(sale: Sale, now: dt.datetime, units_left: int | None = None, *, ends: dt.datetime | None = None) -> Phase:
    """`units_left` only matters when it is 0: a sale that is open has then sold out. `ends` is when it ends, if that is known."""
    if sale.state in STANDING:
        return STANDING[sale.state]
    if now < opens_at(sale):
        return Phase.UPCOMING
    if now >= (ends or ends_at(sale)):
        return Phase.ENDED
    return Phase.SOLD_OUT if units_left == 0 else Phase.OPEN


def opens_at(sale: Sale) -> dt.datetime:
    """When buying begins: later than sealed by as long as staff have paused the sale."""
    return sale.opens_at + sale.moved_by


def ends_at(sale: Sale) -> dt.datetime:
    """When buying ends, as it stands now: the sale's format knows."""
    return get_format(sale.format).rules.ends_at(sale)


def ends_in(frame: Mapping[str, Any]) -> dt.datetime | None:
    """When buying ends, as a frame says it of a sale whose end moves: so that a list of sales need not ask for each."""
    return dt.datetime.fromisoformat(frame["ends_at"]) if "ends_at" in frame else None


def standing(sale: Sale, now: dt.datetime, units_left: int | None = None) -> dict[str, Any]:
    """What every page of one sale says: its format, where it stands, and when it opens and ends."""
    return {
        "format": get_format(sale.format),
        "phase": phase_of(sale, now, units_left),
        "opens_at": opens_at(sale),
        "ends_at": ends_at(sale),
    }


def as_data() -> dict[str, dict[str, str]]:
    """The table, for scripts."""
    return {
        "states": {str(state): str(phase) for state, phase in STANDING.items()},
        "words": {str(phase): str(phase.word) for phase in Phase},
        "badges": {str(phase): phase.badge for phase in Phase},
    }
