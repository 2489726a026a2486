"""A seller's drop from the form to the proof that everybody can read."""

from __future__ import annotations

import datetime as dt
import re
import uuid

from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.visitor import Visitor
from tests.browser.world import World

OPENS_IN_S = 25  # time to publish it and to have its fans wait in the room
UNITS = 2
CHECKED_WITHIN_MS = 120_000


def test_a_drop_from_its_form_to_its_proof(visit: OpenVisitor, world: World) -> None:
    seller = visit(email=world.seller)
    fans = [visit(email=world.next_fan()), visit(email=world.next_fan())]
    sale_id = draft_and_publish(seller)

    # It opens by itself in front of those who wait.
    for fan in fans:
        fan.page.goto(f"/sales/{sale_id}/")
    expect(fans[0].button("Buy")).to_be_disabled()
    for fan in fans:
        expect(fan.button("Buy")).to_be_enabled(timeout=4 * OPENS_IN_S * 1_000)
        fan.button("Buy").click()
        expect(fan.page.get_by_text("It is yours")).to_be_visible()

    # Sold out, and the seller sees it without a reload.
    expect(fans[0].page.get_by_text("Sold out", exact=True)).to_be_visible()
    expect(fans[0].button("Buy")).to_be_hidden()
    expect(seller.page.get_by_text("€48.00").first).to_be_visible()
    seller.page.reload()
    seller.link("Close early").click()
    seller.button("Close the drop").click()

    # Settled by the worker; the fans' pages hear of it.
    expect(fans[1].link("Check this sale yourself")).to_be_visible()
    fans[1].link("Check this sale yourself").click()
    read_proof(fans[1])


def draft_and_publish(seller: Visitor) -> str:
    """Through the form; the sale's id. The seller then stands on the drop's own page."""
    now = dt.datetime.now(dt.UTC)
    seller.page.goto("/sell/")
    seller.link("Northlight Press").click()
    seller.link("New sale").click()
    title = f"Test print {uuid.uuid4().hex[:6]}"
    seller.page.get_by_label("Name").fill(title)
    seller.page.get_by_label("Story").fill("Pulled once, numbered by hand.")
    seller.button("On to how many and when").click()
    expect(seller.page.locator("[aria-current=step]")).to_have_text("How many and when")
    seller.page.get_by_label("Price of one unit").fill("24.00")
    seller.page.get_by_label("Units").fill(str(UNITS))
    seller.page.get_by_label("Limit per fan").fill("1")
    seller.page.get_by_label("At a time").check()
    # The control offers whole minutes and the form takes seconds: a test does not wait a minute for the difference.
    for control in seller.page.get_by_label(re.compile("(Opening|Closing) time")).all():
        control.evaluate("control => control.step = 1")
    expect(seller.page.get_by_label("Time zone of these times")).to_have_value("Europe/Berlin")  # the browser's own
    seller.page.get_by_label("Time zone of these times").select_option("UTC")
    opens_at = now + dt.timedelta(seconds=OPENS_IN_S)
    seller.page.get_by_label("Opening time").fill(f"{opens_at:%Y-%m-%dT%H:%M:%S}")
    seller.page.get_by_label("Closing time").fill(f"{now + dt.timedelta(hours=1):%Y-%m-%dT%H:%M:%S}")
    seller.button("Make the draft").click()
    expect(seller.heading(title)).to_be_visible()
    seller.link("See the room as fans will").click()
    expect(seller.page.get_by_text("A preview: nobody else sees this yet.")).to_be_visible()
    seller.button("Publish").click()
    expect(seller.page.get_by_text(f"{title} is published and its terms are sealed.")).to_be_visible()
    return seller.page.url.rstrip("/").rsplit("/", 1)[1]


def read_proof(visitor: Visitor) -> None:
    """Green once the worker has checked it, each check with its SQL, which can be unfolded."""
    expect(visitor.page.get_by_text(re.compile(r"^All \d+ checks hold\.$"))).to_be_visible(timeout=CHECKED_WITHIN_MS)
    for group in visitor.page.locator("details.group > summary").all():
        group.click()
    checks = visitor.page.get_by_role("list").filter(has=visitor.page.get_by_text("The SQL")).get_by_role("listitem")
    count = checks.count()
    assert count >= 10
    expect(visitor.page.get_by_text(f"All {count} checks hold.")).to_be_visible()
    assert visitor.page.get_by_text("Broken", exact=True).count() == 0
    for check in checks.all():
        expect(check.get_by_text("Holds", exact=True)).to_be_visible()
        check.get_by_text("The SQL").click()
        expect(check.get_by_text(re.compile(r"\bSELECT\b"))).to_be_visible()
