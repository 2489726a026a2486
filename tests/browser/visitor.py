"""Somebody at a browser."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

PATIENCE_MS = 60_000
HEIGHTS = {1440: 900, 390: 844}
# By the browser's language: the e-mail address, the password, the button.
LOGIN = {"en-GB": ("Email", "Password", "Log in"), "de-DE": ("E-Mail", "Passwort", "Anmelden")}
# A browser reports every answer from 400 on as an error, and refusals are answers. Failures of the server, and files that
# are missing, are not.
REFUSED = re.compile(r"Failed to load resource: .* status of 4\d\d ")

# Chromium also writes violations to the console, but not those of a policy that only reports.
WATCH_POLICY = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI}`);
});
"""


class Visitor:
    """A window with cookies of its own. `complaints` collects what its console and its policies complain of."""

    def __init__(self, browser: Browser, url: str, *, scripts: bool, width: int, locale: str) -> None:
        self.url = url
        self.locale = locale
        self.email = ""  # of who is logged in
        self.complaints: list[str] = []
        self.context = browser.new_context(
            base_url=url,
            java_script_enabled=scripts,
            viewport={"width": width, "height": HEIGHTS[width]},
            reduced_motion="reduce",
            locale=locale,
            timezone_id="Europe/Berlin",
        )
        self.context.set_default_timeout(PATIENCE_MS)
        if scripts:
            self.context.add_init_script(WATCH_POLICY)
        self.page = self.open_tab()

    def open_tab(self) -> Page:
        page = self.context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        return page

    def _on_console(self, message: ConsoleMessage) -> None:
        source = str(message.location.get("url", ""))
        is_refusal = REFUSED.match(message.text) and "/static/" not in source
        if message.type == "error" and not is_refusal:
            self.complaints.append(f"{source}: {message.text}")

    def log_in(self, email: str, password: str) -> None:
        self.email = email
        address, secret, go = LOGIN[self.locale]
        self.page.goto("/accounts/login/")
        self.page.get_by_label(address).fill(email)
        self.page.get_by_label(secret).fill(password)
        self.button(go).click()
        expect(self.page).to_have_url(f"{self.url}/")

    def button(self, name: str) -> Locator:
        """In the page's content: the site's head has buttons too. One that costs something may say how much."""
        named = re.compile(rf"^{re.escape(name)}( for \S+)?$")
        return self.page.get_by_role("main").get_by_role("button", name=named)

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("main").get_by_role("link", name=name, exact=True)

    def heading(self, name: str) -> Locator:
        return self.page.get_by_role("heading", name=name, exact=True)

    def close(self) -> None:
        self.context.close()
