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
from sales.proof import BOOKS, BOOKS_WHOLE
from sellers import approval
from sellers.models import Seller

WEEK = dt.timedelta(days=7)
LISTED = 10


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
    shops_url = reverse("admin:sellers_seller_changelist")
    return (
        context
        | _lists(request)
        | {
            "shops_url": f"{shops_url}?waits=asks",
            "parked_url": f"{work_url}?state=parked",
            "alarms": [
                (_("Shops that wait for an answer"), approval.list_waiting().count(), f"{shops_url}?waits=asks"),
                (_("Broken checks"), runs["broken"], reverse("admin:sales_proofrun_changelist")),
                (_("Checks that did not end"), runs["failed"], reverse("admin:sales_proofrun_changelist")),
                (_("Parked work"), work["parked"], f"{work_url}?state=parked"),
                (_("Work late by over a minute"), work["late"], f"{work_url}?state=late"),
                *(
                    (_("Set aside: {what}").format(what=_(what)), count, sales_url)
                    for what, count in alarms.stuck_now().items()
                ),
            ],
            "states": [
                (state.label, by_state.get(state, 0), f"{sales_url}?state__exact={state}") for state in SaleState
            ],
            "figures": [
                (_("Proof runs"), runs["all"]),
                (_("Shops"), Seller.objects.count()),
                (_("Shops opened this week"), Seller.objects.filter(created_at__gte=now - WEEK).count()),
                (_("Accounts"), get_user_model().objects.count()),
            ],
        }
    )


def _lists(request: HttpRequest) -> dict[str, Any]:
    """The first few rows that wait for somebody, each for who may deal with them. Their buttons are the actions of the lists that
    have all of them, which ask for a reason."""
    parked = DueWork.objects.filter(parked_at__isnull=False).order_by("parked_at", "id")
    runs = ProofRun.objects.filter(Q(subject_id__in=(BOOKS, BOOKS_WHOLE)) | Q(holds=False))
    may = request.user.has_perm
    return {
        "waiting": approval.list_waiting()[:LISTED] if may("sellers.change_seller") else [],
        "parked": parked[:LISTED] if may("core.change_duework") else [],
        "runs": [_run(run) for run in runs.order_by("holds", "-ran_at")[:LISTED]] if may("sales.view_proofrun") else [],
    }


def _run(run: ProofRun) -> dict[str, Any]:
    books = {BOOKS: _("The books, what is new"), BOOKS_WHOLE: _("The books as a whole")}
    url = reverse("admin:sales_proofrun_change", args=[run.subject_id])
    return {"subject": books.get(run.subject_id, run.subject_id), "holds": run.holds, "ran_at": run.ran_at, "url": url}
