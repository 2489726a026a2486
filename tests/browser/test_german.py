"""A fan whose browser asks for German reads German: what the server writes and what scripts say, words and amounts."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.world import World

GERMAN = "de-DE"
AMOUNT = "24,00 €"  # with a space that does not break, which the browser's tests read as any other
TIMES = "\N{MULTIPLICATION SIGN}"
LIVE_WITHIN_MS = 60_000  # only ends a test that would wait for ever


def test_a_fan_buys_in_german_and_others_go_on_reading_their_own_language(visit: OpenVisitor, world: World) -> None:
    sale_id = world.open_drop("--price", "24.00")
    fan, other = visit(email=world.next_fan(), locale=GERMAN), visit()
    other.page.goto(f"/sales/{sale_id}/")

    # What the server wrote, but for the button, whose amount is the script's.
    fan.page.goto(f"/sales/{sale_id}/")
    expect(fan.page.locator("html")).to_have_attribute("lang", "de")
    expect(fan.page.locator(".stock__words")).to_have_text("von 5 übrig")
    expect(fan.page.locator(".dock__amount")).to_have_text(AMOUNT)
    expect(fan.button(f"Für {AMOUNT} kaufen")).to_be_enabled()

    # What scripts say, and what the server wrote anew.
    fan.button(f"Für {AMOUNT} kaufen").click()
    expect(fan.page.get_by_text("Es gehört dir", exact=True)).to_be_visible()
    expect(fan.page.get_by_text(f"1 {TIMES} {AMOUNT}, bezahlt.")).to_be_visible()
    row = fan.page.get_by_role("region", name="Deine Bestellungen hier").get_by_role("row").last
    expect(row).to_contain_text(AMOUNT)
    expect(row).to_contain_text("Bezahlt")

    # A frame goes to everybody, and brings nobody else's words.
    expect(other.page.locator("[data-count]")).to_have_text("4", timeout=LIVE_WITHIN_MS)
    expect(other.page.locator(".stock__words")).to_have_text("of 5 left")
    expect(other.page.locator(".dock__amount")).to_have_text("€24.00")

    fan.link("Zum Beleg").first.click()
    expect(fan.page.get_by_text("Beleg", exact=True)).to_be_visible()
    expect(fan.page.get_by_role("main")).to_contain_text(AMOUNT)
    assert world.count_orders(sale_id) == 1


def test_a_script_says_a_refusal_in_german(visit: OpenVisitor, world: World) -> None:
    """The API says it in English, whoever asks: the page knows the sentence."""
    sale_id = world.open_drop("--price", "24.00")
    fan = visit(email=world.poor_fan, locale=GERMAN)
    fan.page.goto(f"/sales/{sale_id}/")

    fan.button(f"Für {AMOUNT} kaufen").click()

    expect(fan.page.get_by_text("Dafür reicht dein Guthaben nicht.")).to_be_visible()
    expect(fan.page.get_by_text("Deine Anfrage kam um")).to_be_visible()
    expect(fan.link("Das fehlende Geld aufladen")).to_be_visible()
    assert world.count_orders(sale_id) == 0


def test_without_scripts_a_refusal_is_german_too(visit: OpenVisitor, world: World) -> None:
    sale_id = world.open_drop("--price", "24.00")
    fan = visit(email=world.poor_fan, locale=GERMAN, scripts=False)
    fan.page.goto(f"/sales/{sale_id}/")

    fan.button("Kaufen").click()

    expect(fan.page.get_by_text("Dafür reicht dein Guthaben nicht.")).to_be_visible()
    expect(fan.link("Das fehlende Geld aufladen")).to_be_visible()
    assert world.count_orders(sale_id) == 0
