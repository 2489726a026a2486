"""Staff's first page: what needs a hand, how sales stand, what the checks say."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Count, Q
from django.http import HttpRequest
from django.urls import reverse

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
            ("Broken checks", runs["broken"], reverse("admin:sales_proofrun_changelist")),
            ("Checks that did not end", runs["failed"], reverse("admin:sales_proofrun_changelist")),
            ("Parked work", work["parked"], f"{work_url}?state=parked"),
            ("Work late by over a minute", work["late"], f"{work_url}?state=late"),
            *((f"Set aside: {what}", count, sales_url) for what, count in alarms.stuck_now().items()),
        ],
        "states": [(state.label, by_state.get(state, 0), f"{sales_url}?state__exact={state}") for state in SaleState],
        "figures": [
            ("Proof runs", runs["all"]),
            ("Shops", Seller.objects.count()),
            ("Shops opened this week", Seller.objects.filter(created_at__gte=now - WEEK).count()),
            ("Accounts", get_user_model().objects.count()),
        ],
    }
