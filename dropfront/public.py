"""What visitors that are not people ask a site for, and the mailbox of a machine without a mail server."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.contrib.sitemaps import Sitemap
from django.contrib.sitemaps.views import sitemap
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import path, reverse
from django.views.decorators.cache import cache_page
from django.views.decorators.http import require_safe

from core import clock, mailbox
from dropfront import specimens
from sales import selectors as sales
from sales.models import Sale
from sellers import selectors as sellers
from sellers.models import Seller

# Nobody's business: what is one person's, and what only forms lead to.
PRIVATE = ("/account/", "/accounts/", "/api/", "/dev/", "/pay/", "/sell/", "/staff/", "/wallet/")


class Sales(Sitemap):  # type: ignore[type-arg]
    limit = 1_000

    def items(self) -> Any:
        return sales.published_sales().filter(seller__is_active=True).order_by("-id")

    def location(self, item: Sale) -> str:
        return reverse("sales:room", args=[item.id])


class Shops(Sitemap):  # type: ignore[type-arg]
    limit = 1_000

    def items(self) -> Any:
        return sellers.open_shops().order_by("-id")

    def location(self, item: Seller) -> str:
        return reverse("sales:storefront", args=[item.handle])


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    lines = [
        "User-agent: *",
        *(f"Disallow: {place}" for place in PRIVATE),
        f"Sitemap: {request.build_absolute_uri('/sitemap.xml')}",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@require_safe
def security_txt(request: HttpRequest) -> HttpResponse:
    """RFC 9116, if somebody is named whom faults can be told."""
    if not settings.SECURITY_CONTACT:
        raise Http404
    expires = (clock.now() + dt.timedelta(days=180)).strftime("%Y-%m-%dT00:00:00Z")
    here = request.build_absolute_uri(reverse("security_txt"))
    text = f"Contact: {settings.SECURITY_CONTACT}\nExpires: {expires}\nPreferred-Languages: en, de\nCanonical: {here}\n"
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Asked for by whoever does not read our pages' heads."""
    return redirect(static("img/favicon.svg"))


@require_safe
def change_password(request: HttpRequest) -> HttpResponse:
    """Where password managers look."""
    return redirect("account_change_password")


@require_safe
def mails(request: HttpRequest) -> HttpResponse:
    listed = [(path.stem, mailbox.read(path)) for path in mailbox.newest_first(mailbox.folder())]
    return render(request, "dev/mails.html", {"mails": listed})


@require_safe
def one_mail(request: HttpRequest, mail: str) -> HttpResponse:
    """One of them: its text, with its links to follow."""
    path = mailbox.folder() / f"{mail}.eml"
    if not path.exists():
        raise Http404
    message = mailbox.read(path)
    return render(request, "dev/mail.html", {"mail": message, "text": mailbox.text_of(message)})


urlpatterns = [
    path("robots.txt", robots, name="robots"),
    path("favicon.ico", favicon, name="favicon"),
    path("sitemap.xml", cache_page(600)(sitemap), {"sitemaps": {"sales": Sales, "shops": Shops}}, name="sitemap"),
    path(".well-known/security.txt", security_txt, name="security_txt"),
    path(".well-known/change-password", change_password, name="change_password"),
]
if not settings.PRODUCTION:
    urlpatterns += [path("dev/parts/", specimens.parts, name="parts")]
if settings.EMAIL_FILE_PATH and not settings.PRODUCTION:
    urlpatterns += [path("dev/mail/", mails, name="mails"), path("dev/mail/<slug:mail>/", one_mail, name="mail")]
