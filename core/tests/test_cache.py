from __future__ import annotations

import pytest
from django.core.cache import cache

from core.cache import ForgivingRedisCache

# A port that nobody listens on.
AWAY = ForgivingRedisCache("redis://127.0.0.1:1/0", {"OPTIONS": {"socket_connect_timeout": 0.2}})


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda: AWAY.get("k", "default"), "default"),
        (lambda: AWAY.get_many(["k"]), {}),
        (lambda: AWAY.has_key("k"), False),
        (lambda: AWAY.add("k", 1), True),
        (lambda: AWAY.set("k", 1), None),
        (lambda: AWAY.set_many({"k": 1}), []),
        (lambda: AWAY.delete("k"), False),
        (lambda: AWAY.get_or_set("k", lambda: "made"), "made"),
    ],
)
def test_a_cache_out_of_reach_has_forgotten_everything(call, answer):
    assert call() == answer


def test_a_cache_in_reach_remembers():
    cache.set("test-cache", {"a": 1}, timeout=5)

    assert cache.get("test-cache") == {"a": 1}
    assert cache.get_or_set("test-cache", lambda: "other") == {"a": 1}
