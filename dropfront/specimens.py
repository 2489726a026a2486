"""/dev/parts/: every part of the design system in all its states, for eyes, screenshots and axe. Not in production.

A format shows its own by a module `specimens`: `frame(phase)`, and `hero(frame)`, what its hero's template needs.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from core import clock
from core.ids import uuid7
from sales.formats import Format, Verdict, list_formats
from sales.models import Sale
from sales.phases import Phase
from sales.presenters import Card, Ready
from sellers.models import Seller

HOUR = dt.timedelta(hours=1)
TERMS = "5eed0fa11ca5e5b0a7d1ce5ca1ab1e0b5e55edf1eece5ca1ab1e5eed0fa11c00"
LONG = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen"
SHOWN = [phase for phase in Phase if phase != Phase.DRAFT]


@require_safe
def parts(request: HttpRequest) -> HttpResponse:
    now = clock.now()
    own = [(format, module) for format in list_formats() if (module := format.module("specimens"))]
    context = {
        "phases": list(Phase),
        "figures": ["4", "128", "1,280", "12,800", "1,280,000", "€128,000.00"],
        "cards": [_card(*each, phase, now) for each in own for phase in SHOWN],
        "heroes": [_hero(*each, phase, now) for each in own for phase in SHOWN],
        "until": now + dt.timedelta(seconds=90),
        "ready": [
            Ready(True, "Your e-mail address is confirmed."),
            Ready(False, "Your wallet has €132.00.", "/", "Add €8.00"),
        ],
        "shop": _shop(),
        "sale": _sale("drop", now),
    }
    return render(request, "dev/parts.html", context)


def _shop() -> Seller:
    return Seller(handle="specimens", name=f"A shop with a long name, {LONG}")


def _sale(format: str, now: dt.datetime) -> Sale:
    return Sale(
        id=uuid7(), seller=_shop(), format=format, title=f"{LONG} and other words", terms_sha256=TERMS, currency="EUR",
        opens_at=now - HOUR, closes_at=now + HOUR, closed_at=now,
    )  # fmt: skip


def _card(format: Format, module: Any, phase: Phase, now: dt.datetime) -> Card:
    frame = module.frame(phase)
    return Card(
        _sale(format.name, now), phase, now + HOUR, now + 2 * HOUR, {"version": 0, **frame}, format,
        format.presenter.verdict(_sale(format.name, now), frame), None,
    )  # fmt: skip


def _hero(format: Format, module: Any, phase: Phase, now: dt.datetime) -> dict[str, Any]:
    frame = module.frame(phase)
    verdict: Verdict = format.presenter.verdict(_sale(format.name, now), frame)
    return {
        "format": format, "phase": phase, "frame": frame, "verdict": verdict, "opens_at": now + HOUR, "ends_at": now + 2 * HOUR,
        **module.hero(frame),
    }  # fmt: skip
