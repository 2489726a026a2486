"""Every page, wide and narrow: it fits and can be read, its controls have names, its headings are in order."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import OpenVisitor
from tests.browser.visitor import Visitor
from tests.browser.world import World

RESULTS = Path(__file__).resolve().parents[2] / "test-results"

# Sideways scrolling of the whole page, and what sticks out of it.
OVERFLOWING = """
() => document.documentElement.scrollWidth <= window.innerWidth ? [] :
  [...document.querySelectorAll("body *")]
    .filter((element) => element.getBoundingClientRect().right > window.innerWidth + 1)
    .map((element) => `${element.tagName} ${element.className}`).slice(0, 5)
"""
# A control's label, or what stands in for one.
NAMELESS = """
() => [...document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a[href], progress")]
  .filter((control) => control.getClientRects().length)
  .filter((control) => !(control.labels?.length || control.getAttribute("aria-label") ||
    control.getAttribute("aria-labelledby") || (control.matches("a, button") && control.textContent.trim())))
  .map((control) => control.outerHTML.slice(0, 120))
"""
HEADING_LEVELS = """
() => [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")]
  .filter((heading) => heading.getClientRects().length).map((heading) => Number(heading.tagName[1]))
"""
# The contrast of each text with the nearest background that is not see-through (WCAG 2.2, 1.4.3), where it is too low.
LOW_CONTRAST = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = (part) => ((part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") return null; // a picture or a gradient: not for a sum
      const colour = rgba(style.backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !element.getClientRects().length) continue;
    if (element.closest("[disabled], [aria-disabled=true], .only-read-aloud, .skip, option, script, style, template")) continue;
    const style = getComputedStyle(element), ground = behind(element);
    if (!ground || style.visibility === "hidden") continue;
    const [one, two] = [luminance(rgba(style.color)), luminance(ground)];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) {
      const words = texts.currentNode.textContent.trim().slice(0, 30);
      found.add(`${ratio.toFixed(2)}: ${element.tagName} ${element.className} "${words}"`);
    }
  }
  return [...found].slice(0, 10);
}
"""


# The tables beside charts, which are folded.
UNFOLD = "() => document.querySelectorAll('details.more').forEach((details) => { details.open = true; })"


@pytest.fixture(scope="module")
def pages(world: World) -> dict[str, list[tuple[str, str]]]:
    """Who sees which pages: name and path."""
    one = world.one_value
    live = one("SELECT id FROM sales_sale WHERE title LIKE 'Aurora risograph%%'")
    upcoming = one("SELECT id FROM sales_sale WHERE title LIKE 'Moon%%'")
    settled = one("SELECT id FROM sales_sale WHERE title LIKE 'Harbour%%'")
    with_hold = one("SELECT id FROM sales_sale WHERE title LIKE 'Tide%%'")
    rally, past_rally = world.demo_rally(), world.past_rally()
    auction, past_auction = world.demo_auction(), world.past_auction()
    public = [
        ("home", "/"),
        ("storefront", "/s/northlight/"),
        ("storefront-about", "/s/northlight/?tab=about"),
        ("found", "/?q=aurora&format=drop"),
        ("parts", "/dev/parts/"),
        ("room-live", f"/sales/{live}/"),
        ("room-upcoming", f"/sales/{upcoming}/"),
        ("room-settled", f"/sales/{settled}/"),
        ("rally-live", f"/sales/{rally}/"),
        ("rally-settled", f"/sales/{past_rally}/"),
        ("rally-proof", f"/proof/{past_rally}/"),
        ("auction-live", f"/sales/{auction}/"),
        ("auction-settled", f"/sales/{past_auction}/"),
        ("auction-proof", f"/proof/{past_auction}/"),
        ("terms", f"/sales/{settled}/terms/"),
        ("proof-list", "/proof/"),
        ("proof", f"/proof/{settled}/"),
        ("sign-up", "/accounts/signup/"),
        ("log-in", "/accounts/login/"),
        ("forgotten-password", "/accounts/password/reset/"),
        ("not-found", "/nowhere/"),
    ]
    own = [
        ("room-live-fan", f"/sales/{live}/"),
        ("room-hold-fan", f"/sales/{with_hold}/"),
        ("rally-live-fan", f"/sales/{rally}/"),
        ("rally-late-fan", f"/sales/{past_rally}/"),
        ("auction-live-fan", f"/sales/{auction}/"),
        ("wins", "/auctions/won/"),
        ("things", "/things/"),
        ("rallies", "/rallies/"),
        ("wallet", "/wallet/"),
        ("top-up", "/pay/"),
        ("orders", "/orders/"),
        ("account", "/account/"),
        ("e-mail", "/accounts/email/"),
        ("password", "/accounts/password/change/"),
        ("log-out", "/accounts/logout/"),
    ]
    shop = [
        ("shops", "/sell/"),
        ("console", "/sell/northlight/"),
        ("money", "/sell/northlight/money/"),
        ("members", "/sell/northlight/members/"),
        ("brand", "/sell/northlight/brand/"),
        ("growth", "/sell/northlight/growth/"),
        ("followers", "/sell/northlight/followers/"),
        ("keys", "/sell/northlight/keys/"),
        ("log", "/sell/northlight/log/"),
        ("products", "/sell/northlight/products/"),
        ("product", f"/sell/northlight/products/{world.product()}/"),
        ("launch", "/sell/northlight/launch/"),
        ("launch-drop", "/sell/northlight/launch/?format=drop"),
        ("launch-product", f"/sell/northlight/rallies/new/?product={world.product()}"),
        ("new-drop", "/sell/northlight/drops/new/"),
        ("console-live", f"/sell/northlight/drops/{live}/"),
        ("console-settled", f"/sell/northlight/drops/{settled}/"),
        ("close", f"/sell/northlight/drops/{live}/close/"),
        ("new-rally", "/sell/northlight/rallies/new/"),
        ("console-rally", f"/sell/kiln-nine/rallies/{rally}/"),
        ("console-rally-settled", f"/sell/northlight/rallies/{past_rally}/"),
        ("new-auction", "/sell/northlight/auctions/new/"),
        ("console-auction", f"/sell/kiln-nine/auctions/{auction}/"),
        ("console-auction-settled", f"/sell/northlight/auctions/{past_auction}/"),
    ]
    return {"": public, world.fan: own, world.seller: shop}


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("who", ["public", "fan", "seller"])
def test_every_page_fits_and_can_be_used(
    visit: OpenVisitor, world: World, pages: dict[str, list[tuple[str, str]]], who: str, width: int
) -> None:
    email = {"public": "", "fan": world.fan, "seller": world.seller}[who]
    visitor = visit(email=email, width=width)
    faults: list[str] = []
    for name, path in pages[email]:
        visitor.page.goto(path)
        visitor.page.evaluate(UNFOLD)
        take_picture(visitor, f"{name}-{width}")
        faults += [f"{name} at {width} px: {fault}" for fault in faults_of(visitor.page)]
    assert faults == []


def test_a_receipt_fits_and_can_be_used(visit: OpenVisitor, world: World) -> None:
    sale_id = world.next_drop()
    email = world.next_fan()
    faults: list[str] = []
    for width in (1440, 390):
        visitor = visit(email=email, width=width)
        visitor.page.goto(f"/sales/{sale_id}/")
        visitor.button("Buy").click()
        visitor.link("See the receipt").first.wait_for()
        take_picture(visitor, f"room-bought-{width}")
        visitor.link("See the receipt").first.click()
        visitor.page.wait_for_url("**/orders/*/")
        take_picture(visitor, f"receipt-{width}")
        faults += [f"receipt at {width} px: {fault}" for fault in faults_of(visitor.page)]
    assert faults == []


def test_an_unfolded_proof_fits_a_phone(visit: OpenVisitor, pages: dict[str, list[tuple[str, str]]]) -> None:
    visitor = visit(width=390)
    visitor.page.goto(dict(pages[""])["proof"])
    visitor.page.locator("details.group > summary").first.click()
    visitor.page.locator("details.check__sql > summary").first.click()
    visitor.button("Work the hash out here").click()
    visitor.page.get_by_text("It is the same.").wait_for()
    assert faults_of(visitor.page) == []


def test_the_dark_scheme_can_be_read_too(visit: OpenVisitor, pages: dict[str, list[tuple[str, str]]]) -> None:
    visitor = visit()
    visitor.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    faults: list[str] = []
    for name, path in pages[""]:
        visitor.page.goto(path)
        take_picture(visitor, f"{name}-dark")
        faults += [f"{name}: {fault}" for fault in contrast_faults(visitor.page)]
    assert faults == []


BAD_PAGE = """
<main><h2>Second</h2><h1>First</h1><h4>Fourth</h4>
<p style="color: #999; background: #fff">Pale</p><input><div style="width: 3000px">wide</div></main>
"""


def test_the_faults_of_a_bad_page_are_found(visit: OpenVisitor) -> None:
    """The positive control: what never finds anything proves nothing."""
    page = visit().page
    page.set_content(BAD_PAGE)

    assert faults_of(page) == [
        "sticks out: DIV ",
        "has no name: <input>",
        "first-level headings: [2, 1, 4]",
        "a level is left out: [2, 1, 4]",
        'contrast of 2.85: P  "Pale"',
        "has no title",
    ]


def take_picture(visitor: Visitor, name: str) -> None:
    """A screenshot of the whole page, to be looked at by people."""
    RESULTS.mkdir(exist_ok=True)
    visitor.page.screenshot(path=RESULTS / f"{name}.png", full_page=True)


def faults_of(page: Page) -> list[str]:
    return [
        *(f"sticks out: {element}" for element in page.evaluate(OVERFLOWING)),
        *(f"has no name: {control}" for control in page.evaluate(NAMELESS)),
        *heading_faults(page.evaluate(HEADING_LEVELS)),
        *contrast_faults(page),
        *([] if page.title().strip() else ["has no title"]),
    ]


def contrast_faults(page: Page) -> list[str]:
    return [f"contrast of {text}" for text in page.evaluate(LOW_CONTRAST)]


def heading_faults(levels: list[int]) -> list[str]:
    """One first-level heading, which comes first, and no level left out on the way down."""
    faults = [] if levels[:1] == [1] and levels.count(1) == 1 else [f"first-level headings: {levels}"]
    return faults + [f"a level is left out: {levels}" for up, down in pairwise(levels) if down > up + 1]
