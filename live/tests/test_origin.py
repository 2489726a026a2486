from __future__ import annotations

import pytest
from channels.testing import WebsocketCommunicator

from live.origin import ExactOrigin

pytestmark = pytest.mark.anyio


async def accepting_app(scope, receive, send) -> None:
    await receive()
    await send({"type": "websocket.accept"})


async def is_let_in(*headers: tuple[str, str], scheme: str = "ws") -> bool:
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    socket = WebsocketCommunicator(ExactOrigin(accepting_app), "/ws/", headers=encoded)
    socket.scope["scheme"] = scheme
    accepted, _ = await socket.connect()
    return accepted


@pytest.fixture(autouse=True)
def site(settings):
    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["shop.example", ".sellers.example", "127.0.0.1", "[::1]"]
    settings.SECURE_PROXY_SSL_HEADER = None


@pytest.mark.parametrize(
    ("scheme", "host", "origin"),
    [
        ("ws", "shop.example", "http://shop.example"),
        ("wss", "shop.example", "https://shop.example"),
        ("ws", "shop.example:8000", "http://shop.example:8000"),
        ("ws", "shop.example:80", "http://shop.example"),
        ("wss", "shop.example", "https://shop.example:443"),
        ("wss", "anna.sellers.example", "https://anna.sellers.example"),
        ("ws", "127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("ws", "[::1]:8000", "http://[::1]:8000"),
        ("ws", "Shop.Example", "http://shop.example"),
    ],
)
async def test_pages_of_the_same_origin_are_let_in(scheme, host, origin):
    assert await is_let_in(("Host", host), ("Origin", origin), scheme=scheme)


@pytest.mark.parametrize(
    ("scheme", "host", "origin"),
    [
        pytest.param("wss", "shop.example", "https://evil.example", id="another site"),
        pytest.param("wss", "shop.example", "null", id="null, as sandboxed frames send"),
        pytest.param("wss", "shop.example", "", id="empty"),
        pytest.param("wss", "shop.example", "https://shop.example.evil.example", id="our name as a prefix"),
        pytest.param("wss", "shop.example", "https://evilshop.example", id="our name as a suffix"),
        pytest.param("wss", "shop.example", "http://shop.example", id="http page, https socket"),
        pytest.param("ws", "shop.example", "https://shop.example", id="https page, http socket"),
        pytest.param("ws", "shop.example:8000", "http://shop.example:9000", id="another port"),
        pytest.param("ws", "shop.example:8000", "http://shop.example", id="the default port"),
        pytest.param("wss", "anna.sellers.example", "https://ben.sellers.example", id="a sibling's subdomain"),
        pytest.param("wss", "anna.sellers.example", "https://sellers.example", id="the parent domain"),
        pytest.param("wss", "custom-domain.example", "https://shop.example", id="a custom domain's page"),
        pytest.param("wss", "evil.example", "https://evil.example", id="a host that we do not serve"),
        pytest.param("wss", "shop.example", "https://user@shop.example", id="with a user"),
        pytest.param("wss", "shop.example", "https://shop.example/", id="with a path"),
        pytest.param("wss", "shop.example", "https://shop.example, https://evil.example", id="a list"),
        pytest.param("wss", "shop.example", "shop.example", id="no scheme"),
        pytest.param("wss", "shop.example", "ftp://shop.example", id="an unknown scheme"),
        pytest.param("wss", "shop.example", "chrome-extension://shop.example", id="an extension"),
        pytest.param("wss", "", "https://", id="empty hosts"),
        pytest.param("wss", "shop.example", "https://shop\u00e9.example", id="not ASCII"),
    ],
)
async def test_every_other_origin_is_refused(scheme, host, origin):
    assert not await is_let_in(("Host", host), ("Origin", origin), scheme=scheme)


async def test_a_handshake_without_an_origin_is_refused():
    assert not await is_let_in(("Host", "shop.example"))


async def test_a_handshake_without_a_host_is_refused():
    assert not await is_let_in(("Origin", "http://shop.example"))


@pytest.mark.parametrize("doubled", ["Host", "Origin"])
async def test_a_doubled_header_is_refused(doubled):
    right = {"Host": "shop.example", "Origin": "http://shop.example"}

    assert not await is_let_in(*right.items(), (doubled, right[doubled]))


@pytest.mark.parametrize(("forwarded", "origin"), [("https", "https://shop.example"), ("http", "http://shop.example")])
async def test_a_trusted_proxy_tells_the_scheme(settings, forwarded, origin):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    headers = [("Host", "shop.example"), ("X-Forwarded-Proto", forwarded)]

    assert await is_let_in(*headers, ("Origin", origin))
    other = {"https": "http", "http": "https"}[forwarded]
    assert not await is_let_in(*headers, ("Origin", f"{other}://shop.example"))


async def test_behind_a_chain_of_proxies_the_first_scheme_counts_as_it_does_for_pages(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    headers = [("Host", "shop.example"), ("X-Forwarded-Proto", "https, http")]

    assert await is_let_in(*headers, ("Origin", "https://shop.example"))


async def test_a_trusted_proxy_that_says_nothing_leaves_the_connections_own_scheme(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    assert await is_let_in(("Host", "shop.example"), ("Origin", "http://shop.example"))


async def test_without_a_trusted_proxy_its_header_is_not_believed():
    headers = [("Host", "shop.example"), ("X-Forwarded-Proto", "https")]

    assert not await is_let_in(*headers, ("Origin", "https://shop.example"))
    assert await is_let_in(*headers, ("Origin", "http://shop.example"))


async def test_under_debug_without_hosts_the_local_ones_are_served(settings):
    settings.DEBUG, settings.ALLOWED_HOSTS = True, []

    assert await is_let_in(("Host", "localhost:8000"), ("Origin", "http://localhost:8000"))
    assert not await is_let_in(("Host", "shop.example"), ("Origin", "http://shop.example"))


async def test_plain_requests_pass_whatever_their_origin():
    passed = []

    async def app(scope, receive, send) -> None:
        passed.append(scope["type"])

    await ExactOrigin(app)({"type": "http", "headers": [(b"origin", b"https://evil.example")]}, None, None)
    assert passed == ["http"]
