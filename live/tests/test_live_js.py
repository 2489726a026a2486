"""`static/js/live.js` in a real browser, against a real server."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Page, sync_playwright
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from live import hub as hub_module
from live.hub import hub
from live.tests.served import application, served
from live.tests.test_served import until

pytestmark = pytest.mark.browser

SCRIPT = Path(__file__).resolve().parents[2] / "static" / "js" / "live.js"
AHEAD_MS = 3_600_000  # by so much the server's clock is ahead of the browser's


class Site:
    """A page that watches a sale, and a server that can refuse sockets and streams."""

    def __init__(self) -> None:
        self.refused: set[str] = set()  # path prefixes
        self.polls = 0
        self.app = application(
            Route("/", lambda _request: HTMLResponse("<!doctype html><title>A sale</title>")),
            Route("/live.js", lambda _request: FileResponse(SCRIPT, media_type="text/javascript")),
            Route("/api/v1/sales/{sale_id:uuid}/frame", self.frame),
            Route("/time", self.time),
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not any(scope.get("path", "").startswith(prefix) for prefix in self.refused):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        else:
            await Response(status_code=502)(scope, receive, send)

    async def frame(self, request: Request) -> Response:
        self.polls += 1
        payload = await hub.latest(request.path_params["sale_id"])
        return Response(status_code=404) if payload is None else Response(payload, media_type="application/json")

    async def time(self, _request: Request) -> Response:
        return Response(headers={"X-Server-Time": str(int(time.time() * 1000) + AHEAD_MS)})


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        # Run by root, as in a container, Chromium has no sandbox of its own.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=os.environ.get("DROPFRONT_CHROMIUM"), args=options)
        yield browser
        browser.close()


@pytest.fixture
def page(browser) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script("Math.random = () => 0;")  # nobody else comes back at the same moment: no need to wait
    yield page
    context.close()


@pytest.fixture
def site(valkey) -> Site:
    return Site()


@contextmanager
def opened(site: Site, page: Page, sale_id: UUID) -> Iterator[None]:
    with served(site) as address:
        open_page(page, address, sale_id)
        yield
        page.evaluate("stop()")


def open_page(page: Page, address: str, sale_id: UUID) -> None:
    page.goto(f"http://{address}/")
    page.evaluate(
        """async (saleId) => {
            window.versions = [];
            window.states = [];
            const { watchSale } = await import("/live.js");
            const onState = (state) => window.states.push(state);
            window.stop = watchSale(saleId, (frame) => window.versions.push(frame.version), { onState });
        }""",
        str(sale_id),
    )


def wait_for(page: Page, expression: str, within_s: float = 60.0) -> None:
    page.wait_for_function(expression, timeout=within_s * 1000)


def hide(page: Page, is_hidden: bool) -> None:
    page.evaluate(
        """(isHidden) => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        is_hidden,
    )


def test_frames_come_by_socket(site, page, sale_id, publish):
    publish(1)
    with opened(site, page, sale_id):
        wait_for(page, "versions.at(-1) === 1")
        until(lambda: hub._is_subscribed)
        publish(2)
        wait_for(page, "versions.at(-1) === 2")

        assert page.evaluate("[versions, states]") == [[1, 2], ["connected"]]
        assert hub.viewers_count == 1
        assert site.polls == 0


def test_where_sockets_do_not_pass_events_are_streamed(site, page, sale_id, publish):
    site.refused = {"/ws/"}
    publish(1)
    with opened(site, page, sale_id):
        wait_for(page, "versions.at(-1) === 1")
        until(lambda: hub._is_subscribed)
        publish(2)
        wait_for(page, "versions.at(-1) === 2")

        assert page.evaluate("states") == ["reconnecting", "connected"]
        assert site.polls == 0


def test_where_neither_passes_the_page_polls_but_not_while_hidden(site, page, sale_id, publish):
    site.refused = {"/ws/", "/live/"}
    publish(1)
    with opened(site, page, sale_id):
        wait_for(page, "versions.at(-1) === 1")
        publish(2)
        wait_for(page, "versions.at(-1) === 2")

        hide(page, True)
        polls = site.polls
        publish(3)
        time.sleep(3)
        assert site.polls == polls

        hide(page, False)
        wait_for(page, "versions.at(-1) === 3")
        assert page.evaluate("versions") == [1, 2, 3]


def test_a_socket_that_is_cut_comes_back_and_catches_up(site, page, sale_id, publish):
    publish(1)
    with opened(site, page, sale_id):
        wait_for(page, "versions.at(-1) === 1")
        until(lambda: hub._is_subscribed)
        page.context.set_offline(True)
        page.context.set_offline(False)  # "online": the page opens a new socket
        publish(2)
        wait_for(page, "versions.at(-1) === 2")

        assert page.evaluate("versions") == [1, 2]


def test_a_page_outlives_its_servers_restart(valkey, page, sale_id, publish):
    # Retrying without a pause, it would soon take sockets for impossible.
    page.add_init_script("Math.random = () => 0.2;")
    site, again = Site(), Site()
    publish(1)
    with served(site) as address:
        port = int(address.rpartition(":")[2])
        open_page(page, address, sale_id)
        wait_for(page, "versions.at(-1) === 1")
    publish(2)
    wait_for(page, "states.at(-1) === 'reconnecting'")
    with served(again, port=port):
        wait_for(page, "versions.at(-1) === 2")
        assert page.evaluate("[versions, states]") == [[1, 2], ["connected", "reconnecting", "connected"]]
        assert hub.viewers_count == 1  # by socket, as before
        page.evaluate("stop()")


def test_a_page_shown_again_asks_what_it_missed(site, page, sale_id, publish):
    publish(1)
    with opened(site, page, sale_id):
        wait_for(page, "versions.at(-1) === 1")

        hide(page, True)
        hide(page, False)

        until(lambda: site.polls == 1)


def test_a_sale_that_does_not_exist_ends_the_watching(site, page, sale_id):
    with opened(site, page, sale_id):
        wait_for(page, "states.length > 0")
        time.sleep(0.5)

        assert page.evaluate("[versions, states]") == [[], ["missing"]]
        assert hub.viewers_count == 0


def test_a_full_server_is_tried_again(site, page, sale_id, publish, monkeypatch):
    publish(1)
    monkeypatch.setattr(hub_module, "VIEWERS_MAX", 0)
    with opened(site, page, sale_id):
        wait_for(page, "states.includes('reconnecting')")
        monkeypatch.setattr(hub_module, "VIEWERS_MAX", 1)

        wait_for(page, "versions.at(-1) === 1")


def test_stopping_ends_the_socket(site, page, sale_id, publish):
    publish(1)
    with opened(site, page, sale_id):
        wait_for(page, "versions.at(-1) === 1")
        page.evaluate("stop()")

        until(lambda: hub.viewers_count == 0)
        publish(2)
        time.sleep(0.3)
        assert page.evaluate("versions") == [1]


@pytest.mark.parametrize(
    ("endpoint", "ahead_ms", "wrong_by_ms"),
    [
        pytest.param("/time", AHEAD_MS, 100, id="in milliseconds"),
        pytest.param("/live.js", 0, 550, id="from the Date header, which has whole seconds"),
        pytest.param("/nowhere", 0, 1, id="its own, when the server does not tell"),
    ],
)
def test_a_page_knows_the_servers_clock(site, page, endpoint, ahead_ms, wrong_by_ms):
    site.refused = {"/nowhere"}
    with served(site) as address:
        page.goto(f"http://{address}/")
        measured_ms, took_ms = page.evaluate(
            """async (endpoint) => {
                const { serverClock } = await import("/live.js");
                const began = performance.now();
                const clock = serverClock(endpoint);
                await clock.ready;
                clock.stop();
                return [clock.now() - Date.now(), performance.now() - began];
            }""",
            endpoint,
        )

    # However long the readings took on a loaded machine: by so much they may be wrong.
    assert abs(measured_ms - ahead_ms) < wrong_by_ms + took_ms
