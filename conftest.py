"""Fixtures for the whole suite, and the rule that it ends every test with: the books and every sale must still hold.

`dsql` is a package of its own, whose tests also run without the shop, so nothing here touches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

POOL_MAX = 32  # a racing test starts more threads than a web process has lanes


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "tampers: breaks rows on purpose, so the checks need not hold afterwards")
    config.addinivalue_line(
        "markers", "database_clock: commands are held against the database's clock, as in production"
    )


def _is_of_the_shop(request: pytest.FixtureRequest) -> bool:
    return "dsql" not in request.path.relative_to(request.config.rootpath).parts[:1]


def _commits(request: pytest.FixtureRequest) -> bool:
    marker = request.node.get_closest_marker("django_db")
    return "transactional_db" in request.fixturenames or bool(marker and marker.kwargs.get("transaction"))


@pytest.fixture(scope="session", autouse=True)
def _wide_pool_and_quiet_outside() -> None:
    from django.conf import settings

    pool = settings.DATABASES["default"]["OPTIONS"].get("pool")
    if pool:
        pool["max_size"] = max(POOL_MAX, pool["max_size"])
        pool["timeout"] = 10.0  # what is tested here is not the pool
    if settings.ROOT_URLCONF != "dropfront.urls":
        return
    from dropfront.celery import app

    # Nudges go to a broker that forgets them: nothing outside the test works on its rows.
    app.conf.broker_url = "memory://localhost/"


class _QuickFlush:
    """Leaves alone, after a test that commits, what Django would delete and at once write anew: a hundred permissions."""

    kept = ("django_content_type", "auth_permission")
    is_on = False  # set by each test for the flush at its end

    def __init__(self, flush: Any) -> None:
        self.sql_flush, self.emit = flush.sql_flush, flush.emit_post_migrate_signal

    def statements(self, *args: Any, **kwargs: Any) -> list[str]:
        statements = self.sql_flush(*args, **kwargs)
        return [sql for sql in statements if not (self.is_on and any(f'"{table}"' in sql for table in self.kept))]

    def signal(self, *args: Any, **kwargs: Any) -> None:
        if not self.is_on:
            self.emit(*args, **kwargs)


@pytest.fixture(scope="session")
def _quick_flush() -> Iterator[_QuickFlush]:
    from django.core.management.commands import flush

    quick = _QuickFlush(flush)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "sql_flush", quick.statements)
        patch.setattr(flush, "emit_post_migrate_signal", quick.signal)
        yield quick


@pytest.fixture(autouse=True)
def _flush_at_the_end(request: pytest.FixtureRequest, _quick_flush: _QuickFlush) -> None:
    _quick_flush.is_on = _is_of_the_shop(request)


@pytest.fixture(autouse=True)
def _cheap_passwords(request: pytest.FixtureRequest) -> None:
    if _is_of_the_shop(request):
        settings = request.getfixturevalue("settings")
        settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _pictures_of_its_own(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    if _is_of_the_shop(request):
        request.getfixturevalue("settings").MEDIA_ROOT = tmp_path_factory.getbasetemp() / "media"


@pytest.fixture(autouse=True)
def _commands_stand_at_their_second(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests name the second that a command is received at; only those of the clock itself want the database to doubt it."""
    if _is_of_the_shop(request) and request.node.get_closest_marker("database_clock") is None:
        from sales import lanes

        monkeypatch.setattr(lanes, "believable", lambda batch, now: batch)
        monkeypatch.setattr(lanes, "believed", lambda at, now: at)


@pytest.fixture(autouse=True)
def _books_hold(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test that commits: every check of every published sale and of the books, from the product's own list."""
    if not (_is_of_the_shop(request) and _commits(request)):
        yield
        return
    request.getfixturevalue("transactional_db")  # first, so that the rows are still there when we look
    from django.core.cache import cache

    cache.clear()  # rate limits, sessions and shared proofs of the tests before
    yield
    from live import publisher
    from tests.tools.truth import broken_checks

    assert publisher.flush(10), "frames are still on their way"
    if request.node.get_closest_marker("tampers") is None:
        assert broken_checks() == []


@pytest.fixture
def make_seller() -> Callable[..., Any]:
    from tests.tools import shop

    return shop.make_seller


@pytest.fixture
def make_fan() -> Callable[..., Any]:
    from tests.tools import shop

    return shop.make_fan


@pytest.fixture
def make_fans() -> Callable[..., Any]:
    from tests.tools import shop

    return shop.make_fans


@pytest.fixture
def make_drop() -> Callable[..., Any]:
    from tests.tools import shop

    return shop.make_drop


@pytest.fixture
def buy() -> Callable[..., Any]:
    from tests.tools import shop

    return shop.buy


@pytest.fixture
def race() -> Callable[..., list[Any]]:
    from tests.tools.race import race

    return race


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries begin again at once, with the same jitter every time."""
    from dsql import transactions

    monkeypatch.setattr(transactions, "sleep", lambda pause_s: None)
    monkeypatch.setattr(transactions, "random", lambda: 0.5)


@pytest.fixture
def sent_frames(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The sales whose frame was asked to be sent, in order; nothing is sent."""
    from live import publisher

    sent: list[Any] = []
    monkeypatch.setattr(publisher, "send_soon", lambda sale_id, read: sent.append(sale_id))
    return sent
