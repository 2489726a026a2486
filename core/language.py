"""How the reader's language and zone write amounts, numbers and moments. Scripts write the same with `Intl` (`static/js/words.js`).

Which language is Django's to find: the cookie that a choice leaves, or what the browser asks for. The zone is the browser's own,
kept in a cookie by `static/js/page.js`, or the one that somebody chose in their account.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from babel import Locale, dates, numbers
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.functional import lazy

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise as Said  # text, or lazy: written in the language of who reads it
else:
    Said = str

ZONE_COOKIE = "zone"
KEPT_S = 365 * 86_400
_MOMENTS = {"en": "d MMM y, HH:mm zzz", "de": "d. MMM y, HH:mm zzz"}
_DAYS = {"en": "d MMM y", "de": "d. MMM y"}


class ZoneMiddleware:
    """The reader's zone while a page is made."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        zone = request.COOKIES.get(ZONE_COOKIE, "").replace("%2F", "/")
        if not is_zone(zone):
            return self.get_response(request)
        with timezone.override(ZoneInfo(zone)):
            return self.get_response(request)


@cache
def zones() -> frozenset[str]:
    """The zones by their names, like "Europe/Berlin"."""
    return frozenset(available_timezones())


def is_zone(name: str) -> bool:
    return name in zones()


def keep(answer: HttpResponse, *, language: str = "", zone: str = "") -> None:
    """Have the browser remember them. What is empty stays as it was."""
    for cookie, value in ((settings.LANGUAGE_COOKIE_NAME, language), (ZONE_COOKIE, zone)):
        if value:
            answer.set_cookie(cookie, value, max_age=KEPT_S, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax")


def language() -> str:
    """ "en" or "de": what the page is written in."""
    return (translation.get_language() or settings.LANGUAGE_CODE).partition("-")[0]


def amount(minor: int, exponent: int, currency: str) -> str:
    """An amount as the reader's language writes it, English apart: that is `Money`'s own."""
    return numbers.format_currency(Decimal(minor).scaleb(-exponent), currency, locale=_locale())


def decimal(minor: int, exponent: int) -> str:
    """`123450, 2` → `1,234.50`, or `1.234,50`."""
    return numbers.format_decimal(Decimal(minor).scaleb(-exponent), f"#,##0.{'0' * exponent}", locale=_locale())


def number(value: int) -> str:
    """`1000000` → `1,000,000`, or `1.000.000`."""
    return f"{value:,}" if language() == "en" else numbers.format_decimal(value, locale=_locale())


# Written when it is read, in the language of who reads it then: for what is told to many.
number_lazy = lazy(number, str)


def within(words: str) -> str:
    """A label as it stands within a sentence: "Owner" → "owner". German writes its nouns large everywhere."""
    return words.lower() if language() == "en" else words


def moment(at: dt.datetime) -> str:
    """`25 Nov 2026, 23:14 UTC`: in the reader's zone, with its name, because a receipt is read elsewhere, and later."""
    here = timezone.localtime(at)
    return dates.format_datetime(here, _MOMENTS[language()], tzinfo=here.tzinfo, locale=_locale())


def day(at: dt.date) -> str:
    """`25 Nov 2026`, or `25. Nov. 2026`."""
    return dates.format_date(at, _DAYS[language()], locale=_locale())


def _locale() -> Locale:
    return _parsed("en_GB" if language() == "en" else language())


@cache
def _parsed(name: str) -> Locale:
    return Locale.parse(name)
