"""Who acts: the user of the request that is under way, or the key that they lent. Services write it beside what was done.

Without a request it is nobody: due work, a command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest, HttpResponse


@dataclass(frozen=True, slots=True)
class Actor:
    user_id: UUID | None = None
    key_id: UUID | None = None


NOBODY = Actor()
# Asked only when something is written: who is logged in costs a look into the database.
_asked: ContextVar[Callable[[], Actor]] = ContextVar("actor", default=lambda: NOBODY)


def current() -> Actor:
    return _asked.get()()


@contextmanager
def acting(actor: Callable[[], Actor]) -> Iterator[None]:
    token = _asked.set(actor)
    try:
        yield
    finally:
        _asked.reset(token)


class ActorMiddleware:
    """Behind the one that knows the user. `request.shop_key_id` is set where a key was accepted."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        def actor() -> Actor:
            return Actor(request.user.pk, getattr(request, "shop_key_id", None))

        with acting(actor):
            return self.get_response(request)
