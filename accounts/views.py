from __future__ import annotations

from allauth.account.decorators import reauthentication_required
from allauth.mfa.utils import is_mfa_enabled
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import closing, selectors, services
from accounts.forms import ProfileForm
from accounts.models import NewsKind
from core import clock, language, rate_limit
from core.http import user_id
from core.paging import cursor_of

NEWEST_SHOWN = 6


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """The user's name, language and time zone, and the ways to the pages of the rest."""
    form = ProfileForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        chosen = form.cleaned_data
        services.rename(user_id=user_id(request), display_name=chosen["display_name"])
        services.prefer(user_id=user_id(request), language=chosen["language"], zone=chosen["zone"])
        answer = redirect("accounts:profile")
        language.keep(answer, language=chosen["language"], zone=chosen["zone"])
        with translation.override(chosen["language"] or translation.get_language()):
            messages.success(request, _("Saved."))
        return answer
    context = {
        "form": form,
        "is_verified": selectors.is_verified(user_id(request)),
        "has_second_factor": is_mfa_enabled(request.user),
    }
    return render(request, "accounts/profile.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def notifications(request: HttpRequest) -> HttpResponse:
    """What the user was told, and what of it comes by mail too. Looking at the list is reading it."""
    now = clock.now()
    if request.method == "POST":
        kinds = [NewsKind(kind) for kind in request.POST.getlist("mail") if kind in NewsKind.values]
        services.wish_for_mail(user_id=user_id(request), kinds=kinds)
        messages.success(request, _("Saved."))
        return redirect("accounts:notifications")
    page = selectors.page_of_notifications(user_id(request), cursor_of(request))
    if any(notification.read_at is None for notification in page.rows):
        services.mark_read(user_id=user_id(request), now=now)
    return render(
        request,
        "accounts/notifications.html",
        {"page": page, "now": now, "kinds": NewsKind.choices, "wishes": selectors.mail_wishes(user_id(request))},
    )


@require_safe
@login_required
def newest_notifications(request: HttpRequest) -> HttpResponse:
    """The newest few, for the list below the bell. Opening it is reading them."""
    now = clock.now()
    rows = selectors.newest_notifications(user_id(request), NEWEST_SHOWN)
    if any(notification.read_at is None for notification in rows):
        services.mark_read(user_id=user_id(request), now=now)
    return render(request, "accounts/_newest.html", {"rows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@reauthentication_required
def close(request: HttpRequest) -> HttpResponse:
    """Leave for good. What stands in the way is said first; the password is asked for again."""
    if request.method == "POST":
        closing.close_account(user_id=user_id(request), now=clock.now())
        logout(request)
        messages.success(request, _("Your account is closed."))
        return redirect("sales:home")
    return render(request, "accounts/close.html", {"obstacles": closing.obstacles(user_id(request))})


@require_safe
@login_required
def export(request: HttpRequest) -> HttpResponse:
    """All that is kept of the user, as a file."""
    rate_limit.check("export", str(user_id(request)), allowed=10, window_s=3_600)
    answer = JsonResponse(closing.export(user_id(request)), json_dumps_params={"indent": 2})
    answer["Content-Disposition"] = 'attachment; filename="dropfront-account.json"'
    return answer
