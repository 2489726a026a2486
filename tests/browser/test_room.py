"""The room of a drop: live for all who look, right without scripts, and one purchase for one wish to buy."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenVisitor
from tests.browser.world import World

LIVE_WITHIN_MS = 60_000  # only ends a test that would wait for ever


@pytest.fixture(scope="module")
def fan(world: World) -> str:
    return world.next_fan()


def test_two_windows_see_the_stock_fall_together_without_a_reload(visit: OpenVisitor, world: World) -> None:
    sale_id = world.next_drop()
    (buyer,) = world.site.mint_fans(sale_id, count=1)
    viewers = [visit(), visit()]
    for viewer in viewers:
        viewer.page.goto(f"/sales/{sale_id}/")
        expect(viewer.page.get_by_text("of 5 left")).to_be_visible()
        viewer.page.evaluate("window.isTheFirstLoad = true")

    world.order(sale_id, buyer["buy_token"])

    for viewer in viewers:
        expect(viewer.page.get_by_text("4", exact=True)).to_be_visible(timeout=LIVE_WITHIN_MS)
        assert viewer.page.evaluate("window.isTheFirstLoad") is True


def test_without_scripts_the_room_is_right_and_the_plain_form_buys(visit: OpenVisitor, world: World, fan: str) -> None:
    sale_id = world.next_drop()
    visitor = visit(email=fan, scripts=False)

    visitor.page.goto(f"/sales/{sale_id}/")
    expect(visitor.page.get_by_text("of 5 left")).to_be_visible()
    visitor.page.get_by_label("How many").fill("2")
    visitor.button("Buy").click()

    expect(visitor.page.get_by_text("Receipt", exact=True)).to_be_visible()
    expect(visitor.link(world.terms_hash(sale_id))).to_be_visible()
    visitor.page.goto(f"/sales/{sale_id}/")
    expect(visitor.page.get_by_role("progressbar", name="Units left")).to_have_attribute("value", "3")
    assert world.count_orders(sale_id) == 1


def test_without_scripts_a_refusal_is_read_in_the_room(visit: OpenVisitor, world: World) -> None:
    sale_id = world.next_drop()
    visitor = visit(email=world.poor_fan, scripts=False)

    visitor.page.goto(f"/sales/{sale_id}/")
    visitor.button("Buy").click()

    expect(visitor.link("Add the missing money")).to_be_visible()
    assert world.count_orders(sale_id) == 0


def test_a_double_click_makes_one_order(visit: OpenVisitor, world: World, fan: str) -> None:
    sale_id = world.next_drop()
    visitor = visit(email=fan)
    visitor.page.goto(f"/sales/{sale_id}/")

    visitor.button("Buy").dblclick()

    expect(visitor.page.get_by_text("It is yours")).to_be_visible()
    expect(visitor.page.get_by_role("region", name="Your orders here").get_by_role("row")).to_have_count(
        2
    )  # and its head
    assert world.count_orders(sale_id) == 1


def test_a_double_click_without_scripts_makes_one_order(visit: OpenVisitor, world: World, fan: str) -> None:
    sale_id = world.next_drop()
    visitor = visit(email=fan, scripts=False)
    visitor.page.goto(f"/sales/{sale_id}/")

    visitor.button("Buy").dblclick()

    expect(visitor.page.get_by_text("Receipt", exact=True)).to_be_visible()
    assert world.count_orders(sale_id) == 1


def test_the_keyboard_alone_buys(visit: OpenVisitor, world: World, fan: str) -> None:
    sale_id = world.next_drop()
    visitor = visit(email=fan)
    visitor.page.goto(f"/sales/{sale_id}/")
    buy = visitor.button("Buy")

    for _ in range(40):
        visitor.page.keyboard.press("Tab")
        if buy.evaluate("button => button === document.activeElement"):
            break
    expect(buy).to_be_focused()
    outline = buy.evaluate("button => getComputedStyle(button).outlineStyle + getComputedStyle(button).boxShadow")
    assert outline != "nonenone", "the focus cannot be seen"
    visitor.page.keyboard.press("Enter")

    expect(visitor.page.get_by_text("It is yours")).to_be_visible()
    expect(visitor.page.locator(".won").get_by_role("link")).to_be_focused()  # where one goes on from here
    assert world.count_orders(sale_id) == 1


def test_a_dear_thing_is_paid_for_in_payments_that_are_taken(visit: OpenVisitor, world: World) -> None:
    sale_id = world.open_drop("--currency", "JPY", "--price", "400000")
    visitor = visit(email=world.poor_fan)
    visitor.page.goto(f"/sales/{sale_id}/")

    visitor.button("Buy").click()

    visitor.link("Add the missing money in 3 payments").click()
    expect(visitor.page.get_by_label("Amount")).to_have_value("150000")
    expect(visitor.page.get_by_label("Currency")).to_have_value("JPY")


def test_a_refusal_in_a_currency_the_browser_does_not_know_is_read(visit: OpenVisitor, world: World) -> None:
    data = {"available_minor": 0, "needed_minor": 500, "currency": "PLAY"}
    refusal = {"code": "insufficient_funds", "detail": "There is not enough money.", "data": data}
    visitor = visit(email=world.poor_fan)
    visitor.page.route("**/api/v1/drops/*/orders", lambda route: route.fulfill(status=409, json=refusal))
    visitor.page.goto(f"/sales/{world.open_drop()}/")

    visitor.button("Buy").click()

    expect(visitor.page.get_by_text("There is not enough money.")).to_be_visible()


def test_logging_out_in_one_tab_ends_buying_in_the_others(visit: OpenVisitor, world: World) -> None:
    sale_id = world.next_drop()
    visitor = visit(email=world.next_fan())
    visitor.page.goto(f"/sales/{sale_id}/")
    expect(visitor.button("Buy")).to_be_enabled()
    other = visitor.open_tab()
    other.goto("/accounts/logout/")
    other.get_by_role("main").get_by_role("button", name="Log out").click()

    expect(visitor.page.get_by_text("You are not logged in here any more")).to_be_visible()
    expect(visitor.button("Buy")).to_be_disabled()
    assert world.count_orders(sale_id) == 0


def test_a_page_of_somebody_elses_is_no_purchase_and_the_next_try_buys_once(visit: OpenVisitor, world: World) -> None:
    """What a proxy or a wall against bots may answer."""
    sale_id = world.next_drop()
    visitor = visit(email=world.next_fan())
    answers = [{"status": 200, "content_type": "text/html"}, {"status": 403, "content_type": "text/html"},
               {"status": 200, "content_type": "application/json", "body": "{}"}]  # fmt: skip

    def answer(route: Route) -> None:
        if answers:
            route.fulfill(**answers.pop(0))
        else:
            route.continue_()

    visitor.page.route("**/orders", answer)
    visitor.page.goto(f"/sales/{sale_id}/")
    visitor.button("Buy").click()

    expect(visitor.page.get_by_text("It is yours")).to_be_visible()
    assert answers == []
    assert world.count_orders(sale_id) == 1


def test_many_tabs_without_sockets_leave_connections_to_buy_with(visit: OpenVisitor, world: World) -> None:
    """A browser without HTTP/2 has six connections to a site, and each stream keeps one."""
    sale_id = world.next_drop()
    visitor = visit(email=world.next_fan())
    visitor.context.add_init_script(
        "window.WebSocket = class { constructor() { setTimeout(() => this.onclose({code: 1006})); } close() {} }"
    )
    tabs = [visitor.page, *(visitor.open_tab() for _ in range(7))]
    for tab in tabs:
        tab.goto(f"/sales/{sale_id}/")
    visitor.page.wait_for_timeout(8_000)  # for every tab to have given up on sockets

    visitor.button("Buy").click()

    expect(visitor.page.get_by_text("It is yours")).to_be_visible()
    expect(tabs[7].locator("[data-count]")).to_have_text("4")
