from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.urls import include, path
from django.utils.translation import gettext_lazy as _
from django.views.i18n import set_language

from dropfront import appearance, language, public, staff_fan, staff_search, views
from dropfront.api import api
from sales.console import urls_of
from sales.formats import list_formats

# Staff log in like everybody: with allauth's limits and, later, its second factor.
admin.autodiscover()
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
# Addresses, second factors and sessions are changed by whose they are; a raw row here would be a way into any account.
admin.site.unregister([EmailAddress, Authenticator, UserSession])
admin.site.site_header = _("Dropfront staff")
admin.site.site_title = _("Dropfront staff")

urlpatterns = [
    path("", include(public)),
    path("appearance/", appearance.choose_theme, name="choose_theme"),
    path("language/", set_language, name="choose_language"),
    path("words/<slug:language>/", language.WordsScript.as_view(), name="words"),
    path("", include("pictures.urls")),
    path("", include("products.urls")),
    path("", include("sales.urls")),
    *(path("", include(urls_of(format))) for format in list_formats()),
    path("wallet/", include("ledger.urls")),
    path("pay/", include("payments.urls")),
    path("", include("sellers.urls")),
    path("account/", include("accounts.urls")),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", api.urls),
    path("staff/search/", staff_search.search, name="staff_search"),
    path("staff/fans/<uuid:user_id>/", staff_fan.fan, name="staff_fan"),
    path("staff/purchases/<uuid:sale_id>/<uuid:purchase_id>/", staff_fan.purchase, name="staff_purchase"),
    path("staff/", admin.site.urls),
]

handler400 = views.bad_request
handler403 = views.not_allowed
handler404 = views.not_found
handler500 = views.server_error
