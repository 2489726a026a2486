"""`static/js/phase.js` against the table and the cases of `sales.phases`: the page and its script agree where a sale stands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.template import Context, Template
from playwright.sync_api import Browser, Page, Route

from sales.phases import Phase
from sales.tests.test_phases import CASES, NOW, Case

SCRIPT = Path(__file__).resolve().parents[2] / "static" / "js" / "phase.js"
SITE = "http://phases.test"
# The badge, and a part for each phase alone.
PAGE = Template(
    "{% load phases %}<!doctype html><title>A sale</title>{% phase_table %}<main>"
    "<span data-phase-badge></span>{% for name in names %}<p{% phases name %}></p>{% endfor %}</main>"
)
REPORT = """
async (sale) => {
  const { phaseOf, showPhase, wordOf } = await import("/phase.js");
  const phase = phaseOf(sale, sale.nowMs), root = document.querySelector("main"), badge = root.querySelector("[data-phase-badge]");
  showPhase(root, phase);
  const shown = [...root.querySelectorAll("[data-phases]:not([hidden])")].map((part) => part.dataset.phases);
  return [phase, wordOf(phase), badge.textContent, badge.className, shown];
}
"""


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    """A draft's page, and beside it the script."""

    def answer(route: Route) -> None:
        if route.request.url.endswith("/phase.js"):
            route.fulfill(body=SCRIPT.read_text(), content_type="text/javascript")
        else:
            html = PAGE.render(Context({"phase": Phase.DRAFT, "names": list(Phase)}))
            route.fulfill(body=html, content_type="text/html")

    page = chromium.new_page()
    page.route(f"{SITE}/**", answer)
    page.goto(f"{SITE}/")
    yield page
    page.close()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_script_shows_the_phase_that_the_page_would(page: Page, case: Case) -> None:
    sale, phase = case.sale(), case.phase

    by_script = page.evaluate(
        REPORT,
        {
            "state": case.state,
            "opensAtMs": in_milliseconds(sale.opens_at),
            "endsAtMs": in_milliseconds(sale.closes_at),
            "unitsLeft": case.units_left,
            "nowMs": in_milliseconds(NOW),
        },
    )

    assert by_script == [phase, phase.word, phase.word, phase.badge, [phase]]


def in_milliseconds(at: dt.datetime) -> int:
    return round(at.timestamp() * 1000)
