"""A fan's way from the first visit to the receipt."""

from __future__ import annotations

import uuid

from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.world import World

MINUS = "\N{MINUS SIGN}"


def test_sign_up_verify_top_up_buy_and_read_the_receipt(visit: OpenVisitor, world: World) -> None:
    sale_id = world.next_drop()
    email = f"new-{uuid.uuid4().hex[:8]}@example.org"
    fan = visit()

    # From the room through sign-up.
    fan.page.goto(f"/sales/{sale_id}/")
    fan.link("Make an account").click()
    fan.page.get_by_label("Email").fill(email)
    fan.page.get_by_label("Password", exact=True).fill(world.password)
    fan.page.get_by_label("Password (again)").fill(world.password)
    fan.button("Make the account").click()
    expect(fan.heading("Look into your mail")).to_be_visible()

    # The link in the mail asks for a press of a button: mail scanners follow links, too.
    fan.page.goto(world.confirmation_link(email))
    fan.button("Confirm").click()
    expect(fan.page.get_by_role("navigation", name="Site").get_by_label("Account menu")).to_be_visible()

    # Money.
    fan.page.goto("/wallet/")
    fan.page.get_by_label("Amount").fill("25.50")
    fan.button("Go to payment").click()
    fan.button("Pay €25.50").click()
    expect(fan.page.get_by_text("€25.50 is in your wallet.")).to_be_visible()

    # The purchase.
    fan.page.goto(f"/sales/{sale_id}/")
    fan.button("Buy").click()
    expect(fan.page.get_by_text("It is yours")).to_be_visible()
    fan.link("See the receipt").first.click()
    expect(fan.page.get_by_text("Receipt", exact=True)).to_be_visible()
    expect(fan.link(world.terms_hash(sale_id))).to_be_visible()

    fan.page.goto("/wallet/")
    row = fan.page.get_by_label("Statement").get_by_role("listitem").first  # the newest
    expect(row).to_contain_text(f"{MINUS}€10.00")
    expect(row).to_contain_text("€15.50")
    assert world.count_orders(sale_id) == 1


def test_the_right_password_brings_a_fan_back_to_the_room(visit: OpenVisitor, world: World) -> None:
    sale_id = world.next_drop()
    fan = visit()

    fan.page.goto(f"/sales/{sale_id}/")
    fan.link("Log in to buy").click()
    fan.page.get_by_label("Email").fill(world.fan)
    fan.page.get_by_label("Password").fill(world.password)
    fan.button("Log in").click()

    expect(fan.page).to_have_url(f"{world.site.url}/sales/{sale_id}/")
    expect(fan.button("Buy")).to_be_enabled()


def test_the_bell_opens_the_newest_news_and_closes_by_escape(visit: OpenVisitor, world: World) -> None:
    fan = visit(email=world.next_fan())
    fan.page.goto("/")
    bell = fan.page.locator("[data-bell] > a")

    bell.click()

    more = fan.page.get_by_role("link", name="All news, and what comes by mail")
    expect(more).to_be_visible()
    fan.page.keyboard.press("Escape")
    expect(more).to_have_count(0)
    expect(bell).to_be_focused()
