"""A rally from its wizard to its receipts: the price melts in front of everybody who looks."""

from __future__ import annotations

import datetime as dt
import re
import uuid

from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.test_pages import contrast_faults, faults_of, take_picture
from tests.browser.test_seller_journey import read_proof
from tests.browser.visitor import Visitor
from tests.browser.world import World

LIVE_WITHIN_MS = 60_000  # only ends a test that would wait for ever
SETTLED_WITHIN_MS = 120_000


def test_a_rally_from_its_wizard_to_its_receipts(visit: OpenVisitor, world: World) -> None:
    seller, inviter, invited = visit(email=world.seller), visit(email=world.next_fan()), visit(email=world.next_fan())
    title = f"Test kettle {uuid.uuid4().hex[:6]}"
    sale_id = draft_and_publish(seller, title)

    # One joins, and holds the most it can cost.
    inviter.page.goto(f"/sales/{sale_id}/")
    expect(inviter.page.get_by_text("€100.00 is held in your wallet until the end.")).to_be_visible()
    inviter.button("Join").click()
    expect(inviter.heading("Your place")).to_be_focused()
    expect(inviter.page.get_by_text("You would pay now")).to_be_visible()
    expect(inviter.button("Join")).to_be_hidden()
    expect(inviter.page.locator("[data-price]")).to_have_text("€100.00")
    take_picture(inviter, "rally-joined-1440")

    # The other comes by the first one's link: the price melts in the first one's open page.
    inviter.page.evaluate("window.isTheFirstLoad = true")
    invited.page.goto(inviter.page.locator("#invite-url").inner_text())
    expect(invited.page.get_by_text("You come by an invite link.")).to_be_visible()
    invited.button("Join").click()
    expect(inviter.page.locator("[data-price]")).to_have_text("€80.00", timeout=LIVE_WITHIN_MS)
    expect(inviter.page.locator("[data-pays-now]")).to_have_text("€80.00")
    expect(inviter.page.get_by_text("€20.00 against the first price")).to_be_visible()
    # Joins bunch up so that the list of who came is not fetched for each of them.
    expect(inviter.page.get_by_role("list", name="Who came by your link")).to_have_text("A", timeout=120_000)
    assert inviter.page.evaluate("window.isTheFirstLoad") is True
    expect(invited.page.get_by_text("A brought you.")).to_be_visible()
    assert [fault for visitor in (inviter, invited) for fault in faults_of(visitor.page)] == []
    take_picture(inviter, "rally-melted-1440")

    # The seller has seen it without a reload, and ends it.
    expect(seller.page.get_by_text("€160.00").first).to_be_visible()
    assert faults_of(seller.page) == []
    seller.page.reload()
    seller.link("Close early").click()
    expect(seller.page.get_by_text("2 units would be paid at €52.00")).to_be_visible()
    seller.button("Close the rally").click()

    # Settled by the worker; the fans' pages hear of it.
    for fan in (inviter, invited):
        expect(fan.page.get_by_text("You paid €52.00")).to_be_visible(timeout=SETTLED_WITHIN_MS)
    take_picture(inviter, "rally-settled-1440")
    assert faults_of(inviter.page) == []
    inviter.link("See the receipt").click()
    expect(inviter.page.get_by_text("Saved", exact=True)).to_be_visible()
    expect(inviter.link(world.terms_hash(sale_id))).to_be_visible()
    take_picture(inviter, "rally-receipt-1440")
    assert faults_of(inviter.page) == []
    invited.page.goto("/rallies/")
    expect(invited.link(title)).to_be_visible()
    invited.page.goto(f"/proof/{sale_id}/")
    read_proof(invited)


def draft_and_publish(seller: Visitor, title: str) -> str:
    """Through the wizard; the sale's id. The seller then stands on the rally's own page."""
    seller.page.goto("/sell/northlight/rallies/new/")
    page = seller.page
    page.get_by_label("Title").fill(title)
    page.get_by_label("a unit costs, tier 1").fill("100")
    page.get_by_label("From how many, tier 2").fill("2")
    page.get_by_label("a unit costs, tier 2").fill("80")
    # The staircase is drawn while the tiers are typed.
    expect(page.locator("[data-step]")).to_have_count(2)
    for left in (2, 1):
        page.get_by_role("button", name=re.compile("^Remove tier")).last.click()
        expect(page.get_by_role("button", name=re.compile("^Remove tier"))).to_have_count(left)
    seller.button("Add a tier").click()
    expect(page.get_by_label("From how many, tier 3")).to_be_focused()
    page.keyboard.type("4")
    page.get_by_label("a unit costs, tier 3").fill("52")
    expect(page.locator("[data-step]")).to_have_count(3)
    expect(page.get_by_role("cell", name="€208.00")).to_be_visible()
    take_picture(seller, "rally-wizard-1440")
    assert faults_of(page) == []
    closes_at = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    page.get_by_label("Time zone of these times").select_option("UTC")
    page.get_by_label("Closing time").fill(f"{closes_at:%Y-%m-%dT%H:%M}")
    seller.button("Make the draft").click()
    expect(seller.heading(title)).to_be_visible()
    assert faults_of(page) == []
    seller.button("Publish").click()
    expect(page.get_by_text(f"{title} is published and its terms are sealed.")).to_be_visible()
    return page.url.rstrip("/").rsplit("/", 1)[1]


def test_without_scripts_a_fan_joins_with_a_limit_and_leaves(visit: OpenVisitor, world: World) -> None:
    sale_id = world.demo_rally()
    visitor = visit(email=world.fan, scripts=False, width=390)

    visitor.page.goto(f"/sales/{sale_id}/")
    visitor.page.get_by_label("At what price").select_option(label="Only at €52.00 or less")
    visitor.button("Join").click()

    expect(visitor.page.get_by_text("nothing yet: it has not fallen to your €52.00")).to_be_visible()
    take_picture(visitor, "rally-limit-390")
    assert faults_of(visitor.page) == []
    visitor.button("Leave the rally").click()
    expect(visitor.page.get_by_text("You left this rally")).to_be_visible()
    expect(visitor.button("Join")).to_be_visible()


def test_the_keyboard_alone_joins_and_leaves(visit: OpenVisitor, world: World) -> None:
    sale_id = world.demo_rally()
    visitor = visit(email=world.fan)
    visitor.page.goto(f"/sales/{sale_id}/")

    for name in ("Join", "Leave the rally"):
        button = visitor.button(name)
        expect(button).to_be_visible()
        for _ in range(40):
            visitor.page.keyboard.press("Tab")
            if button.evaluate("button => button === document.activeElement"):
                break
        expect(button).to_be_focused()
        visitor.page.keyboard.press("Enter")

    expect(visitor.page.get_by_text("You have left, and your money is in your wallet.")).to_be_visible()


def test_the_pages_behind_a_login_can_be_read_in_the_dark(visit: OpenVisitor, world: World) -> None:
    running, ended = world.demo_rally(), world.past_rally()
    pages = {
        world.fan: {"fan": f"/sales/{running}/", "late": f"/sales/{ended}/", "mine": "/rallies/"},
        world.seller: {"wizard": "/sell/northlight/rallies/new/", "console": f"/sell/kiln-nine/rallies/{running}/"},
    }
    faults: list[str] = []
    for email, paths in pages.items():
        visitor = visit(email=email, width=390)
        visitor.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        for name, path in paths.items():
            visitor.page.goto(path)
            take_picture(visitor, f"rally-{name}-390-dark")
            faults += [f"{path}: {fault}" for fault in contrast_faults(visitor.page)]
    assert faults == []
