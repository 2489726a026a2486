"""What a fan has in sales that are not over is still to be passed on or given back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.closing import Part, register
from sales.formats import list_formats
from sales.models import SaleState

OVER = (SaleState.SETTLED, SaleState.CANCELLED)


def obstacles(user_id: UUID) -> list[str]:
    running = [
        things.noun for format in list_formats() for things in format.things if things.has_running(user_id, OVER)
    ]
    return [_("You have a running {noun}: wait for the end of its sale.").format(noun=noun) for noun in running]


def export(user_id: UUID) -> dict[str, Any]:
    return {things.name: things.as_values(user_id) for format in list_formats() for things in format.things}


register(Part("purchases", obstacles=obstacles, export=export))
