"""A live site and a real browser. Each test ends with: no script error, and nothing that the page's own rules forbid."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.visitor import Visitor
from tests.browser.world import MAIL, World
from tests.e2e.shop import scratch_folder
from tests.e2e.site import running_site

CHROMIUM = os.environ.get("DROPFRONT_CHROMIUM") or "/usr/bin/chromium"
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-quic",
]  # fmt: skip

OpenVisitor = Callable[..., Visitor]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.slow)
            item.add_marker(
                pytest.mark.xdist_group("browser")
            )  # one site and one browser are enough for a small machine


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not os.access(CHROMIUM, os.X_OK):
        sentence = f"There is no Chromium at {CHROMIUM}: install it, or name one in DROPFRONT_CHROMIUM."
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


# The browser is asked for first: without one, the site need not start.
@pytest.fixture(scope="session")
def world(chromium: Browser) -> Iterator[World]:
    with scratch_folder() as folder, running_site({"EMAIL_FILE_PATH": str(folder / MAIL)}) as site:
        yield World(site, folder / MAIL)


@pytest.fixture
def visit(chromium: Browser, world: World) -> Iterator[OpenVisitor]:
    """Opens a visitor: a browser window with cookies of its own, logged in if `email` is given."""
    visitors: list[Visitor] = []

    def open_visitor(*, email: str = "", scripts: bool = True, width: int = 1440, locale: str = "en-GB") -> Visitor:
        visitor = Visitor(chromium, world.site.url, scripts=scripts, width=width, locale=locale)
        visitors.append(visitor)
        if email:
            visitor.log_in(email, world.password)
        return visitor

    yield open_visitor
    for visitor in visitors:
        visitor.close()
    assert [complaint for visitor in visitors for complaint in visitor.complaints] == []
