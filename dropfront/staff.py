"""Staff's first page: what needs a hand, how sales stand, what the checks say."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Count, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from core import alarms, clock
from core.models import DueWork
from sales.models import ProofRun, Sale, SaleState
from sellers.models import Seller

WEEK = dt.timedelta(days=7)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What `admin/index.html` shows. Called by Unfold."""
    now = clock.now()
    by_state = dict(Sale.objects.values_list("state").annotate(count=Count("id")).order_by())
    work = DueWork.objects.filter(done_at=None).aggregate(
        parked=Count("id", filter=Q(parked_at__isnull=False)),
        late=Count("id", filter=Q(parked_at=None, due_at__lt=now - dt.timedelta(minutes=1))),
    )
    runs = ProofRun.objects.aggregate(
        all=Count("subject_id"),
        broken=Count("subject_id", filter=Q(holds=False)),
        failed=Count("subject_id", filter=~Q(error="")),
    )
    work_url, sales_url = reverse("admin:core_duework_changelist"), reverse("admin:sales_sale_changelist")
    return context | {
        "alarms": [
            (_("Broken checks"), runs["broken"], reverse("admin:sales_proofrun_changelist")),
            (_("Checks that did not end"), runs["failed"], reverse("admin:sales_proofrun_changelist")),
            (_("Parked work"), work["parked"], f"{work_url}?state=parked"),
            (_("Work late by over a minute"), work["late"], f"{work_url}?state=late"),
            *(
                (_("Set aside: {what}").format(what=_(what)), count, sales_url)
                for what, count in alarms.stuck_now().items()
            ),
        ],
        "states": [(state.label, by_state.get(state, 0), f"{sales_url}?state__exact={state}") for state in SaleState],
        "figures": [
            (_("Proof runs"), runs["all"]),
            (_("Shops"), Seller.objects.count()),
            (_("Shops opened this week"), Seller.objects.filter(created_at__gte=now - WEEK).count()),
            (_("Accounts"), get_user_model().objects.count()),
        ],
    }
