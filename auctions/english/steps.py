"""How far the next bid must go: a table of steps by the current price, pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter

from django.utils.translation import gettext as _
from msgspec import Struct

from core.errors import Invalid
from core.money import MINOR_MAX, MoneyError, parse_money

STEPS_MAX = 20
STEPS_TEXT_MAX = 600
_from_minor = attrgetter("from_minor")


class Step(Struct, frozen=True, gc=False):
    """From the price `from_minor` on, the next bid is `step_minor` more. Minor units."""

    from_minor: int
    step_minor: int


def check_steps(steps: Sequence[Step]) -> str | None:
    """Why these rows are no table of steps, as a sentence; None when they are."""
    if not 1 <= len(steps) <= STEPS_MAX:
        return _("A lot has 1 to {steps_max} bid steps.").format(steps_max=STEPS_MAX)
    if steps[0].from_minor != 0:
        return _("The first bid step starts at a price of zero.")
    if any(later.from_minor <= earlier.from_minor for earlier, later in pairwise(steps)):
        return _("Each bid step must start at a higher price than the one before.")
    if any(step.step_minor <= 0 for step in steps):
        return _("Every bid step must be above zero.")
    if any(max(step.from_minor, step.step_minor) > MINOR_MAX for step in steps):
        return _("A bid step is too large.")
    return None


def step_at(steps: Sequence[Step], price_minor: int) -> int:
    """The step of the last row that starts at or below this price, of a table that `check_steps` finds right. Minor units."""
    return steps[bisect_right(steps, price_minor, key=_from_minor) - 1].step_minor


def parse_steps(text: str, currency: str) -> tuple[Step, ...]:
    """`"0:0.05,1:0.25", "EUR"` → from 0.00 steps of 0.05, from 1.00 steps of 0.25. Raises Invalid.

    A comma parts rows here, so cents stand behind a point.
    """
    steps = tuple(_parse_step(row.strip(), currency) for row in text.split(","))
    if (wrong := check_steps(steps)) is not None:
        raise Invalid(wrong, field="steps")
    return steps


def _parse_step(row: str, currency: str) -> Step:
    amounts = row.split(":")
    if len(amounts) != 2:
        raise Invalid(_("Please write bid steps like 0:0.50,10:1 with a price and a step in each."), field="steps")
    try:
        return Step(*(parse_money(amount.strip(), currency).minor for amount in amounts))
    except MoneyError as error:
        raise Invalid(str(error), field="steps") from error


def steps_text(steps: Sequence[Step]) -> str:
    """The table as it is kept and sealed: `from:step,from:step`, minor units."""
    return ",".join(f"{step.from_minor}:{step.step_minor}" for step in steps)


def read_steps(text: str) -> tuple[Step, ...]:
    """What `steps_text` wrote. Raises ValueError for another text."""
    rows = [row.split(":") for row in text.split(",")]
    return tuple(Step(int(from_minor), int(step_minor)) for from_minor, step_minor in rows)
