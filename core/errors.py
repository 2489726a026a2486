"""Refusals: what a caller may be told instead of an answer. Each kind maps to one HTTP status, once, in `core.http`."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as N_


class Refusal(Exception):
    """A request the rules turn down. `code` is for programs, `detail` for people, `data` holds the facts."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "refused"
    detail: ClassVar[str] = N_("This request was refused.")

    def __init__(self, detail: str | None = None, **data: Any) -> None:
        self.message = detail or str(self.detail)
        self.data = data
        super().__init__(self.message)

    @property
    def said(self) -> str:
        """`message` in the language of who reads the page: what a class or a lane says is in English."""
        return gettext(self.message)

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "detail": self.message, "data": self.data}


class NotAuthenticated(Refusal):
    status = 401
    code = "not_authenticated"
    detail = N_("Please log in first.")


class NotAllowed(Refusal):
    status = 403
    code = "not_allowed"
    detail = N_("You may not do this.")


class NotFound(Refusal):
    """Missing, or somebody else's: both read alike, so an id cannot be probed."""

    status = 404
    code = "not_found"
    detail = N_("There is nothing here.")


class WrongMethod(Refusal):
    status = 405
    code = "wrong_method"
    detail = N_("This address does not answer that method.")


class Conflict(Refusal):
    status = 409
    code = "conflict"
    detail = N_("This clashes with what happened meanwhile.")


class Invalid(Refusal):
    status = 422
    code = "invalid"
    detail = N_("Something in the request is not right.")


class TooMany(Refusal):
    """A caller over its rate limit. `retry_after_s` becomes the Retry-After header."""

    status = 429
    code = "too_many_requests"
    detail = N_("Too many requests. Please wait a moment.")

    def __init__(self, detail: str | None = None, *, retry_after_s: int = 1, **data: Any) -> None:
        super().__init__(detail, **data)
        self.retry_after_s = retry_after_s


class Busy(Refusal):
    """The system is overloaded or could not finish in time; nothing was decided that a repeat would not repeat."""

    status = 503
    code = "busy"
    detail = N_("Too many people at once. Please try again in a moment.")

    def __init__(self, detail: str | None = None, *, retry_after_s: int = 1, **data: Any) -> None:
        super().__init__(detail, **data)
        self.retry_after_s = retry_after_s


class Failed(Refusal):
    """A fault of ours. Particulars are in the log only."""

    status = 500
    code = "error"
    detail = N_("Something went wrong on our side.")


def sentences() -> dict[str, str]:
    """What each kind of refusal says, by its code."""
    found: dict[str, str] = {}
    waiting: list[type[Refusal]] = [Refusal]
    while waiting:
        kind = waiting.pop(0)
        waiting.extend(kind.__subclasses__())
        found.setdefault(kind.code, kind.detail)
    return found
