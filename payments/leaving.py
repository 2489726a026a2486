"""Money that is on its way must not arrive at nobody's."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.closing import Part, register
from core import clock
from payments.models import TopUp, TopUpState

ON_ITS_WAY = dt.timedelta(days=1)  # what was begun earlier and never ended was given up


def obstacles(user_id: UUID) -> list[str]:
    begun = TopUp.objects.filter(user_id=user_id, state=TopUpState.STARTED, created_at__gt=clock.now() - ON_ITS_WAY)
    return [_("A payment of yours is under way: end it, or wait a day.")] if begun.exists() else []


register(Part("payments", obstacles=obstacles))
