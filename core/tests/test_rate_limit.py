from __future__ import annotations

import pytest
import time_machine
from django.core.cache import cache
from django.test import RequestFactory

from core import rate_limit
from core.errors import TooMany
from core.ids import uuid7


@pytest.fixture
def who() -> str:
    return uuid7().hex


def test_the_limit_holds_within_a_window_and_not_beyond(who):
    with time_machine.travel(1_800_000_042, tick=False) as clock:
        for _ in range(3):
            rate_limit.check("test", who, allowed=3, window_s=60)
        with pytest.raises(TooMany) as refused:
            rate_limit.check("test", who, allowed=3, window_s=60)
        assert refused.value.retry_after_s == 18  # the rest of the window
        rate_limit.check("test", who + "-neighbour", allowed=3, window_s=60)
        rate_limit.check("something-else", who, allowed=3, window_s=60)

        clock.shift(18)
        rate_limit.check("test", who, allowed=3, window_s=60)


@pytest.mark.django_db(transaction=True)
def test_many_processes_share_one_limit(who, race):
    results = race(*[lambda: rate_limit.check("test", who, allowed=4, window_s=3_600)] * 10)

    assert sum(isinstance(result, TooMany) for result in results) == 6


def test_each_process_counts_for_itself_while_the_counter_is_down(who, monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError("no valkey")

    monkeypatch.setattr(cache, "incr", fail, raising=False)
    for uses in range(1, 4):
        rate_limit.check("test", who, allowed=3, window_s=3_600)
        assert rate_limit.used("test", who, window_s=3_600) == uses
    with pytest.raises(TooMany):
        rate_limit.check("test", who, allowed=3, window_s=3_600)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "6.6.6.6", "10.0.0.9"),  # nobody in front of us: what is written there is the client's own word
        (1, "", "10.0.0.9"),
        (1, "1.2.3.4", "1.2.3.4"),
        (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (2, "6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"),
        (2, "1.2.3.4", "10.0.0.9"),  # did not come through our proxies
    ],
)
def test_a_clients_address_is_what_our_proxies_saw(settings, proxies, forwarded, address):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR="10.0.0.9")

    assert rate_limit.client_address(request) == address
