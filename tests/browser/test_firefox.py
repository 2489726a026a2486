"""The ways that matter most, in another browser: signing up, buying, being refused, and two tabs."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from tests.browser.firefox import FIREFOX, Firefox, Tab, running_firefox
from tests.browser.world import World


@pytest.fixture(scope="module")
def firefox() -> Iterator[Firefox]:
    if not os.access(FIREFOX, os.X_OK):
        pytest.skip(f"There is no Firefox at {FIREFOX}: Debian's package is firefox-esr.")
    with running_firefox() as firefox:
        yield firefox
        assert [complaint for complaint in firefox.complaints if "Content-Security-Policy" in complaint] == []


def log_in(tab: Tab, world: World, email: str) -> None:
    tab.goto(f"{world.site.url}/accounts/login/")
    tab.type("[name=login]", email)
    tab.type("[name=password]", world.password)
    tab.click("main button.button--main")
    tab.wait_for("location.pathname === '/'")


def test_signing_up_and_confirming(firefox: Firefox, world: World) -> None:
    email = f"fox-{uuid.uuid4().hex[:8]}@example.org"
    tab = firefox.open_window()
    tab.goto(f"{world.site.url}/accounts/signup/")
    tab.type("[name=email]", email)
    tab.type("[name=password1]", world.password)
    tab.type("[name=password2]", world.password)
    tab.click("main button.button--main")
    tab.sees("Look into your mail")

    tab.goto(world.confirmation_link(email))
    tab.click("main button")
    tab.sees("Account")


def test_buying_and_logging_out_in_the_other_tab(firefox: Firefox, world: World) -> None:
    sale_id = world.next_drop()
    tab = firefox.open_window()
    log_in(tab, world, world.next_fan())
    tab.goto(f"{world.site.url}/sales/{sale_id}/")
    tab.click("[data-buy-button]")
    tab.sees("It is yours")
    tab.wait_for("document.querySelector('[data-count]').textContent.trim() === '4'")
    assert world.count_orders(sale_id) == 1

    other = firefox.open_tab(tab.user)
    other.goto(f"{world.site.url}/accounts/logout/")
    other.click("main form button")
    tab.sees("You are not logged in here any more")
    assert tab.run("document.querySelector('[data-buy-button]').disabled")


def test_a_refusal_is_read(firefox: Firefox, world: World) -> None:
    sale_id = world.next_drop()
    tab = firefox.open_window()
    log_in(tab, world, world.poor_fan)
    tab.goto(f"{world.site.url}/sales/{sale_id}/")
    tab.click("[data-buy-button]")

    tab.sees("There is not enough money in the wallet")
    assert world.count_orders(sale_id) == 0
