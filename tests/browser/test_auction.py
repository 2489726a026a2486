"""An auction from its form to its winner: whoever looks sees who leads and when it ends, without a reload."""

from __future__ import annotations

import datetime as dt
import re
import uuid

from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenVisitor
from tests.browser.test_pages import contrast_faults, faults_of, take_picture
from tests.browser.test_seller_journey import read_proof
from tests.browser.visitor import Visitor
from tests.browser.world import World

LIVE_WITHIN_MS = 60_000  # only ends a test that would wait for ever
SETTLED_WITHIN_MS = 120_000
# Every bid is a late one, and there are hours until the end all the same.
ALWAYS_LATE = ["--window-s", "10800", "--extend-s", "10800", "--closes-in", "7200", "--hard-end-in", "43200"]


def price(visitor: Visitor) -> Locator:
    return visitor.page.locator("[data-price]")


def shown(visitor: Visitor, words: str, *, within: str = "main") -> None:
    """Waits until these words can be seen."""
    seen = visitor.page.locator(within).get_by_text(words).filter(visible=True)
    expect(seen.first).to_be_visible(timeout=LIVE_WITHIN_MS)


def stands(visitor: Visitor, words: str) -> None:
    """Waits until the fan's own part of the dock says so: not the answer to the button that was just pressed."""
    shown(visitor, words, within="#mine")


def end_of(visitor: Visitor) -> str:
    """The moment that the countdown runs to, as the page has it."""
    return str(visitor.page.locator("[data-ends-line] time[data-countdown]").get_attribute("datetime"))


def moved_from(visitor: Visitor, end: str) -> None:
    """Waits until the page counts down to another moment, which is a later one."""
    expect(visitor.page.locator("[data-ends-line] time[data-countdown]")).not_to_have_attribute(
        "datetime", end, timeout=LIVE_WITHIN_MS
    )
    assert dt.datetime.fromisoformat(end_of(visitor)) > dt.datetime.fromisoformat(end)


def faults_in_both_schemes(visitor: Visitor) -> list[str]:
    found = faults_of(visitor.page)
    visitor.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found += [f"dark: {fault}" for fault in contrast_faults(visitor.page)]
    visitor.page.emulate_media(color_scheme="light", reduced_motion="reduce")
    return found


def test_two_fans_outbid_each_other_across_the_soft_close(visit: OpenVisitor, world: World) -> None:
    first, second = visit(email=world.next_fan(), width=390), visit(email=world.next_fan())
    sale_id = world.open_auction(*ALWAYS_LATE, "--title", "Late lot")
    for fan in (first, second):
        fan.page.goto(f"/sales/{sale_id}/")
        fan.page.evaluate("window.isTheFirstLoad = true")
    planned = end_of(first)
    assert end_of(second) == planned

    # The next bid in one press.
    first.button("Bid €10.00").click()
    stands(first, "You lead")
    shown(first, "you lead")
    expect(first.page.locator("[data-bid-next]")).to_be_hidden()
    for fan in (first, second):
        moved_from(fan, planned)
        shown(fan, "Overtime")
    assert faults_in_both_schemes(first) == []
    take_picture(first, "auction-leading-390")

    # The other sets a maximum of their own by the steps of the field: the first press is the next bid, each other one a step.
    expect(second.button("Bid €11.00")).to_be_visible(timeout=LIVE_WITHIN_MS)
    after_first = end_of(second)
    for _ in range(10):
        second.button("One bid step higher").click()
    second.button("One bid step lower").click()
    expect(second.page.get_by_label("Your maximum")).to_have_value("19.00")
    second.button("Set maximum").click()
    stands(second, "You lead")
    stands(second, "Up to your maximum of €19.00")

    # The first one's page says so, and the end has moved on both.
    stands(first, "You were outbid")
    expect(price(first)).to_have_text("€11.00", timeout=LIVE_WITHIN_MS)
    expect(first.button("Bid €12.00")).to_be_visible(timeout=LIVE_WITHIN_MS)
    for fan in (first, second):
        moved_from(fan, after_first)
    assert faults_in_both_schemes(first) == []
    take_picture(first, "auction-outbid-390")

    # A bid below the hidden maximum is outbid at once, and is no win to celebrate.
    first.button("Bid €12.00").click()
    expect(price(first)).to_have_text("€13.00", timeout=LIVE_WITHIN_MS)
    expect(price(second)).to_have_text("€13.00", timeout=LIVE_WITHIN_MS)
    stands(first, "You were outbid")
    expect(first.page.locator(".won")).to_have_count(0)
    stands(second, "You lead")
    first.page.get_by_label("Your maximum").fill("25")
    first.page.keyboard.press("Enter")
    stands(first, "You lead")
    stands(second, "You were outbid")
    expect(price(second)).to_have_text("€20.00", timeout=LIVE_WITHIN_MS)
    expect(second.page.locator("#log").get_by_text("Took the lead")).to_have_count(3, timeout=LIVE_WITHIN_MS)
    for fan in (first, second):
        assert fan.page.evaluate("window.isTheFirstLoad") is True


def test_a_maximum_that_is_far_too_high_is_asked_about_again(visit: OpenVisitor, world: World) -> None:
    sale_id = world.open_auction("--start", "1.00")
    fan = visit(email=world.next_fan())
    fan.page.goto(f"/sales/{sale_id}/")
    field = fan.page.get_by_label("Your maximum")

    field.fill("100")
    fan.button("Set maximum").click()
    assert "more than ten times" in field.evaluate("field => field.validationMessage")
    assert world.one_value("SELECT seq FROM auctions_lot WHERE sale_id = %s", sale_id) == 0
    fan.button("Set maximum").click()

    stands(fan, "You lead")
    stands(fan, "Up to your maximum of €100.00")


def test_without_scripts_a_fan_bids_and_raises(visit: OpenVisitor, world: World) -> None:
    sale_id = world.open_auction("--premium-bps", "1250")
    fan = visit(email=world.next_fan(), scripts=False, width=390)
    fan.page.goto(f"/sales/{sale_id}/")
    take_picture(fan, "auction-plain-390")

    fan.button("Bid €10.00").click()
    stands(fan, "You lead")
    shown(fan, "you lead")
    assert faults_of(fan.page) == []
    fan.page.get_by_label("Your maximum").fill("20")
    fan.button("Raise maximum").click()

    expect(fan.page.get_by_text("Up to your maximum of €20.00; €22.50 is held.")).to_be_visible()
    fan.page.get_by_label("Your maximum").fill("15")
    fan.button("Raise maximum").click()
    expect(fan.page.get_by_text("Your maximum is €20.00.")).to_be_visible()
    assert faults_of(fan.page) == []


def test_whoever_buys_at_once_has_it_and_all_pages_know(visit: OpenVisitor, world: World) -> None:
    sale_id = world.open_auction("--buy-now", "50.00")
    buyer, other = visit(email=world.next_fan(), width=390), visit(email=world.next_fan())
    for fan in (buyer, other):
        fan.page.goto(f"/sales/{sale_id}/")
    other.button("Bid €10.00").wait_for()

    buyer.button("Buy now").click()

    shown(buyer, "It is yours")
    for fan in (buyer, other):
        expect(fan.link("Check this sale yourself")).to_be_visible(timeout=SETTLED_WITHIN_MS)
        shown(fan, "Sold at €50.00")
        assert faults_in_both_schemes(fan) == []
    expect(buyer.link("See the receipt")).to_be_visible(timeout=SETTLED_WITHIN_MS)
    expect(buyer.page.locator(".won")).to_have_count(1)
    take_picture(buyer, "auction-won-390")
    buyer.link("See the receipt").click()
    expect(buyer.link(world.terms_hash(sale_id))).to_be_visible()
    assert faults_of(buyer.page) == []
    take_picture(buyer, "auction-receipt-390")
    buyer.page.goto(f"/proof/{sale_id}/")
    read_proof(buyer)


def test_a_seller_makes_an_auction_and_publishes_it(visit: OpenVisitor, world: World) -> None:
    seller, fan = visit(email=world.seller), visit(email=world.next_fan())
    title = f"Test lot {uuid.uuid4().hex[:6]}"
    page = seller.page
    page.goto("/sell/northlight/auctions/new/")
    assert faults_in_both_schemes(seller) == []
    page.get_by_label("Title").fill(title)
    page.get_by_label("First bid").fill("20")
    page.get_by_label("Bid steps").fill("0:1, 50:2.50")
    page.get_by_label("Reserve").fill("15")
    page.get_by_label("Buy now").fill("10")
    page.get_by_label("Buyer's premium").select_option("12.5 %")
    page.get_by_label("Time zone of these times").select_option("UTC")
    closes_at = dt.datetime.now(dt.UTC) + dt.timedelta(hours=3)
    page.get_by_label("Closing time").fill(f"{closes_at:%Y-%m-%dT%H:%M}")
    seller.button("Make the draft").click()
    # Buying at once for less than the first bid makes no sense, and is said at its field.
    expect(page.get_by_label("Buy now")).to_have_attribute("aria-invalid", "true")
    take_picture(seller, "auction-new-refused-1440")
    assert faults_of(page) == []
    page.get_by_label("Buy now").fill("80")
    seller.button("Make the draft").click()

    expect(seller.heading(title)).to_be_visible()
    expect(page.get_by_text("Your reserve is €15.00. Fans see only whether it is met.")).to_be_visible()
    expect(page.get_by_text("€1.00 from €0.00, €2.50 from €50.00")).to_be_visible()
    assert faults_in_both_schemes(seller) == []
    take_picture(seller, "auction-draft-1440")
    seller.button("Publish").click()
    expect(page.get_by_text(f"{title} is published and its terms are sealed.")).to_be_visible()
    sale_id = page.url.rstrip("/").rsplit("/", 1)[1]
    expect(seller.link("Close early")).to_be_visible()

    # A bid appears on the seller's page, and from then on the lot runs to its end.
    fan.page.goto(f"/sales/{sale_id}/")
    fan.button("Bid €20.00").click()
    stands(fan, "You lead")
    expect(page.get_by_text("Nobody has bid yet.")).to_be_hidden(timeout=LIVE_WITHIN_MS)
    expect(page.get_by_text(re.compile("^Fan "))).to_be_visible()
    page.reload()
    expect(seller.link("Close early")).to_be_hidden()
    expect(page.get_by_text("Fans have bid, so it runs to its end.")).to_be_visible()
    assert faults_in_both_schemes(seller) == []
    take_picture(seller, "auction-console-1440")


def test_a_stranger_reads_an_auction_in_each_phase(visit: OpenVisitor, world: World) -> None:
    upcoming = world.open_auction("--title", "Upcoming lot", "--opens-in", "86400", "--closes-in", "90000")
    without_bids = world.open_auction("--title", "Fresh lot")
    rooms = {"upcoming": upcoming, "fresh": without_bids, "open": world.demo_auction(), "settled": world.past_auction()}
    faults: list[str] = []
    for width in (1440, 390):
        stranger = visit(width=width)
        for name, sale_id in rooms.items():
            stranger.page.goto(f"/sales/{sale_id}/")
            take_picture(stranger, f"auction-{name}-{width}")
            faults += [f"{name} at {width} px: {fault}" for fault in faults_in_both_schemes(stranger)]
    assert faults == []
