"""Ways into an account that need a browser: passkeys."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.world import World

AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


def test_a_passkey_is_added_and_logs_in_without_a_password(visit: OpenVisitor, world: World) -> None:
    fan = visit(email=world.next_fan())
    devices = fan.context.new_cdp_session(fan.page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    fan.page.goto(
        f"{world.site.url.replace('127.0.0.1', 'localhost')}/accounts/login/"
    )  # a passkey is of a name, not a number
    fan.page.get_by_label("Email").fill(fan.email)
    fan.page.get_by_label("Password").fill(world.password)
    fan.button("Log in").click()

    # The account page leads there, and the password is asked for again.
    fan.page.goto(f"{world.site.url.replace('127.0.0.1', 'localhost')}/account/")
    fan.link("Second factor and passkeys").click()
    fan.page.get_by_role("link", name="Add").click()
    fan.page.get_by_label("Password").fill(world.password)
    fan.page.get_by_role("main").get_by_role("button").click()
    fan.page.get_by_label("Passwordless").check()
    fan.button("Add").click()
    expect(fan.page.get_by_role("heading", name="Recovery Codes")).to_be_visible()

    fan.page.get_by_label("Account menu").click()
    fan.page.get_by_role("button", name="Log out").click()
    fan.page.goto(f"{world.site.url.replace('127.0.0.1', 'localhost')}/accounts/login/")
    fan.button("Log in with a passkey").click()
    expect(fan.page.get_by_role("navigation", name="Site").get_by_label("Account menu")).to_be_visible()
