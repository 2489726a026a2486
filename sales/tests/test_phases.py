"""Where a sale stands: every phase, by clock and state. The page's script is tried on the same cases in `tests/browser`."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from django.template import Context, Template

from drops.format import DROP
from sales import phases
from sales.models import Sale, SaleState
from sales.phases import Phase, phase_of

ROOT = Path(__file__).resolve().parents[2]
NOW = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
# A part for each phase alone.
PARTS = Template("{% load phases %}{% for name in names %}<p{% phases name %}></p>{% endfor %}")


class Case(NamedTuple):
    state: str
    opens_in_h: int
    ends_in_h: int
    units_left: int | None
    phase: Phase

    def sale(self) -> Sale:
        opens_at, closes_at = NOW + self.opens_in_h * HOUR, NOW + self.ends_in_h * HOUR
        return Sale(format=DROP.name, state=self.state, opens_at=opens_at, closes_at=closes_at)


CASES = [
    Case("draft", -1, 1, None, Phase.DRAFT),
    Case("scheduled", 1, 2, 3, Phase.UPCOMING),
    Case("scheduled", 1, 2, 0, Phase.UPCOMING),
    Case("scheduled", -1, 1, 3, Phase.OPEN),  # nobody has announced it, and it is open all the same
    Case("live", 0, 1, None, Phase.OPEN),  # as many as want it
    Case("live", -1, 1, 0, Phase.SOLD_OUT),
    Case("live", -2, 0, 0, Phase.ENDED),  # the scheduler is late
    Case("frozen", -1, 1, 3, Phase.FROZEN),
    Case("frozen", -2, -1, 0, Phase.FROZEN),
    Case("closed", -2, 1, 3, Phase.ENDED),
    Case("settling", -2, 1, 0, Phase.ENDED),
    Case("settled", -2, -1, 0, Phase.SETTLED),
    Case("cancelled", 1, 2, 3, Phase.CANCELLED),
]


def test_the_cases_show_every_phase_and_every_state() -> None:
    assert {case.phase for case in CASES} == set(Phase)
    assert {case.state for case in CASES} == {*SaleState.values, "frozen"}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_where_a_sale_stands_goes_by_the_clock_while_it_runs(case: Case) -> None:
    assert phase_of(case.sale(), NOW, case.units_left) == case.phase


def test_a_sale_ends_when_its_format_says(monkeypatch: pytest.MonkeyPatch) -> None:
    sale = Case("live", -2, -1, 3, Phase.ENDED).sale()
    monkeypatch.setattr(type(DROP.rules), "ends_at", lambda self, sale: NOW + HOUR)

    assert phase_of(sale, NOW) == Phase.OPEN
    assert phases.standing(sale, NOW)["ends_at"] == NOW + HOUR


def test_a_sale_that_was_paused_opens_and_ends_later_by_as_long() -> None:
    sale = Case("scheduled", -1, 1, 3, Phase.OPEN).sale()
    sale.frozen_ms = 2 * 3_600_000

    assert phase_of(sale, NOW) == Phase.UPCOMING
    assert phase_of(sale, NOW + 2 * HOUR) == Phase.OPEN
    stands = phases.standing(sale, NOW)
    assert (stands["opens_at"], stands["ends_at"]) == (NOW + HOUR, NOW + 3 * HOUR)


@pytest.mark.parametrize("phase", Phase)
def test_a_part_is_shown_in_its_phase_alone(phase: Phase) -> None:
    page = PARTS.render(Context({"phase": phase, "names": list(Phase)}))

    assert re.findall(r'data-phases="(\w+)"></p>', page) == [phase]
    assert re.findall(r'data-phases="(\w+)" hidden></p>', page) == [one for one in Phase if one != phase]


def test_a_part_for_a_phase_that_does_not_exist_is_a_mistake() -> None:
    page = Template('{% load phases %}<p{% phases "soldout" %}>')

    with pytest.raises(ValueError, match="soldout"):
        page.render(Context({"phase": Phase.OPEN}))


def test_pages_and_scripts_have_no_second_list_of_phases() -> None:
    words = [f'"{phase.word}"' for phase in Phase]
    scripts = [path for path in ROOT.glob("**/static/**/*.js") if ".venv" not in path.parts]
    templates = [path for path in ROOT.glob("**/templates/**/*.html") if ".venv" not in path.parts]

    assert len(scripts) > 10
    assert len(templates) > 60
    assert [(path.name, word) for path in scripts for word in words if word in path.read_text()] == []
    assert [path.name for path in templates if "data-phases=" in path.read_text()] == []
